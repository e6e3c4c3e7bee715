"""dask-jobqueue's cluster classes, one for each batch system, with `ClusterMixin`."""

import inspect
from typing import Any

from .. import batch as batch_systems
from .._compat.jobqueue_import import JobQueueCluster, dask_jobqueue
from ..config import fields, validators
from .mixin import ClusterMixin


def _completed(cls: Any) -> Any:
    """Give a class its batch system, and `ClusterMixin`'s docstring with the table of keys."""
    known = batch_systems.BATCH_SYSTEMS.values()
    cls.batch = next(batch for batch in known if batch.cluster_class == cls.__name__)
    taken = validators.parameters(JobQueueCluster, *cls.job_cls.__mro__)
    parameters = "".join(
        f"{argument} : {field.kind.type}, optional\n    {field.doc}\n"
        for key, field in fields.FIELDS.items()
        if (argument := fields.argument_of(key)) in taken and key not in fields.renamed(cls.batch)
    )
    cls.__doc__ = (inspect.getdoc(ClusterMixin) or "").format(
        label=cls.batch.label,
        name=cls.__name__,
        section=cls.batch.section,
        parameters=parameters,
    )
    return cls


@_completed
class SLURMCluster(ClusterMixin, dask_jobqueue.SLURMCluster):
    """See `ClusterMixin`."""


@_completed
class PBSCluster(ClusterMixin, dask_jobqueue.PBSCluster):
    """See `ClusterMixin`."""


@_completed
class SGECluster(ClusterMixin, dask_jobqueue.SGECluster):
    """See `ClusterMixin`."""


@_completed
class OARCluster(ClusterMixin, dask_jobqueue.OARCluster):
    """See `ClusterMixin`."""


@_completed
class LSFCluster(ClusterMixin, dask_jobqueue.LSFCluster):
    """See `ClusterMixin`."""


@_completed
class HTCondorCluster(ClusterMixin, dask_jobqueue.HTCondorCluster):
    """See `ClusterMixin`."""
