"""Errors that the user can do something about.

Each message is a single line: what is wrong, where, and what to do. The command line shows only
that line; in a notebook it is the last line of the traceback.
"""


class DaskHPCError(Exception):
    """Base class of all errors here. The message is one line, written for the user."""


class ConfigError(DaskHPCError, ValueError):
    """The lab's configuration is missing, can't be read, or says something impossible."""


class StartError(ConfigError, RuntimeError):
    """Dask's scheduler or workers can't start here. A RuntimeError, as distributed raises."""


class ConfigWarning(UserWarning):
    """Something in the lab's configuration has no effect, or not the one that was meant.

    Each warning is given once in a process, when a cluster is created. To turn them off:
    ``warnings.simplefilter("ignore", dask_hpc.ConfigWarning)``.
    """


class SubmitError(DaskHPCError):
    """The batch system refused a job, or its command is missing."""


class ClusterClosedError(DaskHPCError):
    """The cluster is closed; create a new one."""


class JobsEndedError(DaskHPCError):
    """All jobs ended before the requested workers arrived: waiting longer does not help."""


class WorkerStartTimeoutError(DaskHPCError, TimeoutError):
    """The requested workers did not arrive in time.

    Attributes
    ----------
    arrived, wanted : int
        Numbers of workers (processes) that had arrived at the end, and that were requested.
    """

    def __init__(self, message: str, arrived: int = 0, wanted: int = 0) -> None:
        super().__init__(message)
        self.arrived = arrived
        self.wanted = wanted


class TaskExceedsWalltimeError(DaskHPCError):
    """A task was stopped again and again by the end of the job that it ran in."""
