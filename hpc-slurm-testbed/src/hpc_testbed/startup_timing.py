"""Read the durations of the startup stages from the logs of the containers.

This works for any running testbed, no matter how it was started.
"""

import re
from collections.abc import Mapping
from datetime import datetime

# The services (as a regular expression) that log the end of a stage, and the text to look for. A
# stage ends with the last one.
STAGES = {
    "containers": (r".*", "ready: container"),
    "munge": (r".*", "ready: munge"),
    "database": (r"slurmdbd", "ready: database"),
    "slurmdbd": (r"slurmctld", "ready: slurmdbd"),
    "accounts": (r"slurmctld", "ready: accounts"),
    "slurmctld": (r"node", "ready: slurmctld"),
    "nodes": (r"node", "slurmd started"),
}
# A line of Compose's output: container, its service, time, text.
_LINE = re.compile(r"((\w+)-\d+) +\| (\S+Z) (.*)")


def startup_stages(log: str, created: Mapping[str, datetime]) -> dict[str, float]:
    """Return the duration of each startup stage, in seconds.

    A stage starts when all earlier stages have ended, so the durations add up to the time from the
    first container's creation to the last node's start.

    Parameters
    ----------
    log : str
        Output of ``docker compose logs --timestamps``.
    created : mapping of str to datetime
        When each container was created, ``{"node-1": …}``. Containers that were added later, by
        scaling or as a replacement, are ignored.

    Returns
    -------
    dict
        ``{"containers": 1.2, …}`` in seconds; without stages that are not in the log.
    """
    if not created:
        return {}
    begin = min(created.values())
    told: dict[str, list[tuple[str, datetime]]] = {stage: [] for stage in STAGES}
    seen: set[tuple[str, str]] = set()
    for container, service, moment, text in _LINE.findall(log):
        time = datetime.fromisoformat(moment)
        for stage, (tellers, words) in STAGES.items():
            # Only the first time: a restarted container logs it again.
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
