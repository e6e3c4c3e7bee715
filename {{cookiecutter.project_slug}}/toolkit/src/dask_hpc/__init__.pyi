# The names of this package: __init__.py imports each from where it says here, when it is used.

from ._get_cluster import get_cluster
from .cluster.classes import (
    HTCondorCluster,
    LSFCluster,
    OARCluster,
    PBSCluster,
    SGECluster,
    SLURMCluster,
)
from .errors import (
    ClusterClosedError,
    ConfigError,
    ConfigWarning,
    DaskHPCError,
    JobsEndedError,
    SubmitError,
    TaskExceedsWalltimeError,
    WorkerStartTimeoutError,
)

__version__: str

__all__ = [
    "ClusterClosedError",
    "ConfigError",
    "ConfigWarning",
    "DaskHPCError",
    "HTCondorCluster",
    "JobsEndedError",
    "LSFCluster",
    "OARCluster",
    "PBSCluster",
    "SGECluster",
    "SLURMCluster",
    "SubmitError",
    "TaskExceedsWalltimeError",
    "WorkerStartTimeoutError",
    "get_cluster",
]
