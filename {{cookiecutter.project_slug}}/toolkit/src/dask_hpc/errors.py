"""Errors that the user can fix.

Each message is a single line: what is wrong, where, and what to do. The command line shows only
that line; in a notebook, it is the last line of the traceback.

Where distributed, dask-jobqueue, or Python raises an error in the same situation, ours is a
subclass of it, so that code that catches theirs also catches ours. Subclasses of distributed's are
in `dask_errors`, so that this module works even if Dask cannot be imported.
"""


class DaskHPCError(Exception):
    """Base class of the toolkit's errors. The message is one line, written for the user."""


class ConfigError(DaskHPCError, ValueError):
    """The lab's configuration is missing, unreadable, or invalid."""


class StartError(ConfigError, RuntimeError):
    """Dask's scheduler or workers cannot start here. A RuntimeError, as in distributed."""


class ConfigWarning(UserWarning):
    """A value in the lab's configuration has no effect, or probably not the intended one.

    Each warning is issued once per process, when a cluster is created. To turn them off:
    ``warnings.simplefilter("ignore", dask_hpc.ConfigWarning)``.
    """


class ArgumentError(ConfigError, TypeError):
    """A cluster does not have this argument. A TypeError, as in Python."""


class SubmitError(DaskHPCError, RuntimeError):
    """The batch system rejected a job. A RuntimeError, as in dask-jobqueue."""


class SubmitCommandError(SubmitError, OSError):
    """The batch system's submit command is missing, or cannot be run."""


class NoJobIdError(SubmitError, ValueError):
    """The submit command did not print a job id. A ValueError, as in dask-jobqueue."""


class ClusterClosedError(DaskHPCError, RuntimeError):
    """The cluster is closed; create a new one."""


class SweepError(DaskHPCError, RuntimeError):
    """A sweep cannot start or go on. What it has saved is kept."""


class SweepChangedError(SweepError, ValueError):
    """The folder has results of another function, or of an earlier version of this one."""


class SweepInUseError(SweepError):
    """Another process is saving results in the folder."""


class SweepFolderError(SweepError, OSError):
    """The folder cannot be read or written, or the disk is full. An OSError, as in Python."""
