# The names of this package: __init__.py imports each from here when it is first used.

from ._get_cluster import get_cluster
from ._sweep.api import sweep
from ._sweep.payloads import Failure
from ._sweep.results import Results
from ._sweep.status import Status
from .cluster.classes import (
    HTCondorCluster,
    LSFCluster,
    OARCluster,
    PBSCluster,
    SGECluster,
    SLURMCluster,
)
from .cluster.local import LocalCluster
from .dask_errors import JobsEndedError, TaskExceedsWalltimeError, WorkerStartTimeoutError
from .errors import (
    ArgumentError,
    ClusterClosedError,
    ConfigError,
    ConfigWarning,
    DaskHPCError,
    NoJobIdError,
    SubmitCommandError,
    SubmitError,
    SweepChangedError,
    SweepError,
    SweepFolderError,
    SweepInUseError,
)
from .security.connect import connect

__version__: str

__all__ = [
    "ArgumentError",
    "ClusterClosedError",
    "ConfigError",
    "ConfigWarning",
    "DaskHPCError",
    "Failure",
    "HTCondorCluster",
    "JobsEndedError",
    "LSFCluster",
    "LocalCluster",
    "NoJobIdError",
    "OARCluster",
    "PBSCluster",
    "Results",
    "SGECluster",
    "SLURMCluster",
    "Status",
    "SubmitCommandError",
    "SubmitError",
    "SweepChangedError",
    "SweepError",
    "SweepFolderError",
    "SweepInUseError",
    "TaskExceedsWalltimeError",
    "WorkerStartTimeoutError",
    "connect",
    "get_cluster",
    "sweep",
]
