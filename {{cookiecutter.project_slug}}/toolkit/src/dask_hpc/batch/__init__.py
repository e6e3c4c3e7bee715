"""The batch systems that the toolkit knows, one description each."""

from .base import BatchSystem
from .htcondor import HTCONDOR
from .lsf import LSF
from .oar import OAR
from .pbs import PBS
from .sge import SGE
from .slurm import SLURM
from .state import JobState, JobStatus, JobUse

# The last one is none: workers run on the computer where Python runs.
_KNOWN = (SLURM, PBS, SGE, OAR, LSF, HTCONDOR, BatchSystem("none"))
BATCH_SYSTEMS = {batch_system.name: batch_system for batch_system in _KNOWN}

__all__ = ["BATCH_SYSTEMS", "BatchSystem", "JobState", "JobStatus", "JobUse", "get"]


def get(name: str) -> BatchSystem:
    """Return the description of the batch system with this name.

    Raises
    ------
    KeyError
        The name is unknown; the message lists the known names.
    """
    try:
        return BATCH_SYSTEMS[name]
    except (KeyError, TypeError):
        known = ", ".join(BATCH_SYSTEMS)
        raise KeyError(f"unknown batch system {name!r}; use one of {known}") from None
