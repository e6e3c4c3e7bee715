"""Run Dask on a batch system, with a lab's own configuration.

`get_cluster` returns the cluster that the configuration names. `SLURMCluster`, `PBSCluster` and so
on are dask-jobqueue's classes of the same names that also report what their jobs are waiting for.
"""

from __future__ import annotations

from typing import Any

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

__version__ = "0.1.0"

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

# Imported when first used: distributed takes half a second, for which `dask hpc --help` has no use.
_CLUSTERS = {name for name in __all__ if name.endswith("Cluster")}


def __getattr__(name: str) -> Any:
    if name in _CLUSTERS | {"get_cluster"}:
        from . import _versions

        _versions.check()  # before what an old Dask breaks
        from . import _get_cluster
        from .cluster import classes

        return getattr(classes if name in _CLUSTERS else _get_cluster, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
