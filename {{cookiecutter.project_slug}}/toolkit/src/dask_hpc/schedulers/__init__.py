"""The batch systems that the toolkit knows, one description each."""

from .base import JobState, JobStatus, Scheduler
from .htcondor import HTCONDOR
from .lsf import LSF
from .none import NONE
from .oar import OAR
from .pbs import PBS
from .sge import SGE
from .slurm import SLURM

SCHEDULERS: dict[str, Scheduler] = {
    scheduler.name: scheduler for scheduler in (SLURM, PBS, SGE, OAR, LSF, HTCONDOR, NONE)
}

__all__ = ["SCHEDULERS", "JobState", "JobStatus", "Scheduler", "get"]


def get(name: str) -> Scheduler:
    """Return the description of the batch system of that name.

    Raises
    ------
    KeyError
        Its text is one line that lists the known names.
    """
    try:
        return SCHEDULERS[name]
    except (KeyError, TypeError):
        known = ", ".join(SCHEDULERS)
        raise KeyError(f"no batch system is called {name!r}; known: {known}") from None
