"""Grid Engine: qsub, qstat, qdel (SGE 6.2 and its descendants)."""

from __future__ import annotations

import re
from types import MappingProxyType

from .base import Scheduler, read_walltime

WALLTIME_FORMS = "HH:MM:SS (also a number alone: seconds)"

# Of its manual, sge_types, time_specifier: three numbers, of which one that is zero may be left out
# while its colon stays, or one in seconds. There is no MM:SS. A leading 0 or 0x would make a number
# octal or hexadecimal, which nobody means: it is refused here.
_CLOCK = re.compile(r"(?P<h>\d*):(?P<m>\d*):(?P<s>\d*)")
_SECONDS = re.compile(r"(?P<s>[1-9]\d*)")


def parse_walltime(text: str) -> float:
    """Seconds in a walltime (the resource h_rt) as Grid Engine reads it.

    Raises
    ------
    ValueError
        Grid Engine would not read it as meant, or it is zero.
    """
    return read_walltime(text, (_CLOCK, _SECONDS), "SGE", WALLTIME_FORMS)


SGE = Scheduler(
    name="sge",
    label="SGE",
    cluster_class="SGECluster",
    section="sge",
    account_key="project",
    queue_key="queue",
    unasked=MappingProxyType(
        {
            "job-extra-directives": "cores, as in -pe smp 8 (`qconf -spl` lists the site's words)",
            "resource-spec": "memory, as in h_vmem=2G (`qconf -sc` lists the site's words)",
        }
    ),
    directive="#$",
    submit="qsub",
    see_jobs="qstat -u $USER",
    see_queues="qstat -g c",
    cancel="qdel",
    walltime_key="walltime",
    walltime_forms=WALLTIME_FORMS,
    walltime_example="01:00:00",
    parse_walltime=parse_walltime,
)
