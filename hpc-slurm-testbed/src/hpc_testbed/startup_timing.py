"""How long the stages of a start took, read from what the roles and daemons wrote at that time.

So they can be told of any testbed that runs, whoever started it and when.
"""

import re
from collections.abc import Mapping
from datetime import datetime

# Who tells that a stage is done. Several may: the last of them counts.
STAGES = {
    "containers": (r".*", "ready: container"),
    "munge": (r".*", "ready: munge"),
    "database": (r"slurmdbd", "ready: database"),
    "slurmdbd": (r"slurmctld", "ready: slurmdbd"),
    "accounts": (r"slurmctld", "ready: accounts"),
    "slurmctld": (r"node", "ready: slurmctld"),
    "nodes": (r"node", "slurmd started"),
}
# What Compose prints: container, its service, time, text.
_LINE = re.compile(r"((\w+)-\d+) +\| (\S+Z) (.*)")


def startup_stages(log: str, created: Mapping[str, datetime]) -> dict[str, float]:
    """Return the seconds that each stage of the start took.

    A stage is counted from the moment at which all stages before it were done, so they add up to
    the time from the first container's creation to the last node's start.

    Parameters
    ----------
    log : str
        What ``docker compose logs --timestamps`` prints.
    created : mapping of str to datetime
        When each container was made, ``{"node-1": …}``. Those that came later, by scaling or as a
        replacement, are left out.

    Returns
    -------
    dict
        ``{"containers": 1.2, …}`` in seconds; without the stages of which the log has no trace.
    """
    if not created:
        return {}
    begin = min(created.values())
    told: dict[str, list[tuple[str, datetime]]] = {stage: [] for stage in STAGES}
    seen: set[tuple[str, str]] = set()
    for container, service, moment, text in _LINE.findall(log):
        time = datetime.fromisoformat(moment)
        for stage, (tellers, words) in STAGES.items():
            # Only the first time: a container that was started again tells it again.
            if words in text and re.fullmatch(tellers, service) and (stage, container) not in seen:
                seen.add((stage, container))
                told[stage].append((container, time))
    up = min((time for _, time in told["slurmctld"]), default=None)
    seconds: dict[str, float] = {}
    done = begin
    for stage, tellings in told.items():
        times = [
            time for container, time in tellings if up is None or created.get(container, begin) < up
        ]
        if times:
            last = max([done, *times])
            seconds[stage] = (last - done).total_seconds()
            done = last
    return seconds


def format_stages(stages: Mapping[str, float]) -> str:
    """Return stages as ``"containers 1.2 s, munge 0.3 s"``."""
    return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items())
