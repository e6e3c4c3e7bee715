"""OAR: oarsub, oarstat, oardel (2.5)."""

from __future__ import annotations

import re
from types import MappingProxyType

from .base import Scheduler, read_walltime

WALLTIME_FORMS = "HH:MM:SS (also HH:MM, or a number alone: hours)"

# Of oarsub's manual, --resource: "[hour:mn:sec|hour:mn|hour]".
_CLOCK = re.compile(r"(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?")


def parse_walltime(text: str) -> float:
    """Seconds in a walltime as oarsub reads it.

    Raises
    ------
    ValueError
        oarsub would not read it, or it is zero.
    """
    return read_walltime(text, (_CLOCK,), "OAR", WALLTIME_FORMS)


OAR = Scheduler(
    name="oar",
    label="OAR",
    cluster_class="OARCluster",
    section="oar",
    account_key="project",
    queue_key="queue",
    unasked=MappingProxyType(
        {
            "memory-per-core-property-name": "memory: name the site's property for it, as in "
            "memcore (`oarnodes` lists them), or write not_applicable",
        }
    ),
    directive="#OAR",
    submit="oarsub",
    see_jobs="oarstat -u",
    cancel="oardel",
    walltime_key="walltime",
    walltime_forms=WALLTIME_FORMS,
    walltime_example="01:00:00",
    parse_walltime=parse_walltime,
)
