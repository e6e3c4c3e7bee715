"""Errors that the user can do something about.

Each message is a single line: what is wrong, where, and what to do. The command line shows only
that line; in a notebook it is the last line of the traceback.

Where distributed, dask-jobqueue or Python raises an error of its own in the same place, ours is a
subclass of it, so that code which catches theirs catches ours. Those that are subclasses of
distributed's are in `dask_errors`, since this module is also for a Dask that can't be imported.
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


class ArgumentError(ConfigError, TypeError):
    """A cluster was given an argument that it does not have. A TypeError, as Python raises."""


class SubmitError(DaskHPCError, RuntimeError):
    """The batch system refused a job. A RuntimeError, as dask-jobqueue raises."""


class SubmitCommandError(SubmitError, OSError):
    """The batch system's submit command is missing, or can't be run."""


class NoJobIdError(SubmitError, ValueError):
    """The submit command printed no job id. A ValueError, as dask-jobqueue raises."""


class ClusterClosedError(DaskHPCError, RuntimeError):
    """The cluster is closed; create a new one."""
