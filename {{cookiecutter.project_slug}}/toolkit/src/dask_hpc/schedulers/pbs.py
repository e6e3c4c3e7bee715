"""PBS: qsub, qstat, qdel (OpenPBS and PBS Pro; mostly Torque, too)."""

from __future__ import annotations

import re

from .base import Scheduler, read_walltime

WALLTIME_FORMS = "HH:MM:SS (also MM:SS, or a number alone: seconds)"

# Of OpenPBS's manual, pbs_server_attributes: "[[hours:]minutes:]seconds[.milliseconds]". Left out
# are the milliseconds, and days, as in D:HH:MM:SS, which Torque alone reads.
_DURATION = re.compile(r"(?:(?:(?P<h>\d+):)?(?P<m>\d+):)?(?P<s>\d+)")


def parse_walltime(text: str) -> float:
    """Seconds in a walltime as PBS reads it.

    Raises
    ------
    ValueError
        PBS would not read it, or it is zero.
    """
    return read_walltime(text, (_DURATION,), "PBS", WALLTIME_FORMS)


PBS = Scheduler(
    name="pbs",
    label="PBS",
    cluster_class="PBSCluster",
    section="pbs",
    account_key="account",
    queue_key="queue",
    directive="#PBS",
    submit="qsub",
    see_jobs="qstat -u $USER",
    see_queues="qstat -Q",
    cancel="qdel",
    walltime_key="walltime",
    walltime_forms=WALLTIME_FORMS,
    walltime_example="01:00:00",
    parse_walltime=parse_walltime,
)
