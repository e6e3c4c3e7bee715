"""Errors that the user can do something about.

Each one's message is a single line: what is wrong, where, and what to do. The command line shows
that line and nothing else; in a notebook it is the last line of the traceback.
"""


class UserError(Exception):
    """Base of all errors here. Its text is one line, made for the user."""


class ConfigError(UserError, ValueError):
    """The lab's configuration is missing, can't be read, or says something impossible."""


class StartError(ConfigError, RuntimeError):
    """Dask's scheduler or workers can't start here. A RuntimeError, as distributed raises."""


class ConfigWarning(UserWarning):
    """Something in the lab's configuration has no effect, or not the one that was meant.

    Said once in a process, when a cluster is made. To hear nothing of it:
    ``warnings.simplefilter("ignore", dask_hpc.ConfigWarning)``.
    """


class SubmitError(UserError):
    """The batch system refused a job, or its command is missing."""


class ClusterClosed(UserError):
    """The cluster is closed; a new one has to be made."""


class JobsEnded(UserError):
    """All jobs are over before the workers asked for have come: waiting longer does not help."""


class WorkersTimeout(UserError, TimeoutError):
    """The workers asked for were not there in time.

    Attributes
    ----------
    arrived, wanted : int
        Workers (processes) there at the end, and asked for.
    """

    def __init__(self, message: str, arrived: int = 0, wanted: int = 0):
        super().__init__(message)
        self.arrived = arrived
        self.wanted = wanted


class TaskTooLong(UserError):
    """A task was stopped again and again by the end of the job that it ran in."""
