"""LSF: bsub, bjobs, bkill (IBM Spectrum LSF 10.1)."""

from __future__ import annotations

import re

from .base import Scheduler, read_walltime

WALLTIME_FORMS = "HH:MM (also a number alone: minutes); no seconds"

# Of bsub's reference, -W: "[hour:]minute[/host_name | /host_model]"; minutes may be more than 59.
_RUN_LIMIT = re.compile(r"(?:(?P<h>\d+):)?(?P<m>\d+)(?:/[^\s/]+)?")


def parse_walltime(text: str) -> float:
    """Seconds in a walltime (the run limit) as bsub reads it.

    Raises
    ------
    ValueError
        bsub would not read it, or it is zero.
    """
    return read_walltime(text, (_RUN_LIMIT,), "LSF", WALLTIME_FORMS)


LSF = Scheduler(
    name="lsf",
    label="LSF",
    cluster_class="LSFCluster",
    section="lsf",
    account_key="project",
    queue_key="queue",
    directive="#BSUB",
    submit="bsub",
    see_jobs="bjobs",
    see_queues="bqueues",
    cancel="bkill",
    walltime_key="walltime",
    walltime_forms=WALLTIME_FORMS,
    walltime_example="01:00",
    parse_walltime=parse_walltime,
)
