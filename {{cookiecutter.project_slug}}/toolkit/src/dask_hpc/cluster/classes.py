"""dask-jobqueue's cluster classes, one for each batch system, with `ClusterMixin`."""

from typing import Any

from .. import batch as batch_systems
from .._compat.jobqueue_import import dask_jobqueue
from ..config import fields, validators
from .mixin import ClusterMixin


def _documented(cls: Any) -> Any:
    """Give a class the docstring of `ClusterMixin`, completed from the table of keys."""
    known = validators.parameters(dask_jobqueue.JobQueueCluster, *cls.job_cls.__mro__)
    parameters = "".join(
        f"{argument} : {field.kind.type}, optional\n    {field.doc}\n"
        for key, field in fields.FIELDS.items()
        if (argument := fields.argument_of(key)) in known and key not in fields.renamed(cls.batch)
    )
    cls.__doc__ = (ClusterMixin.__doc__ or "").format(
        label=cls.batch.label,
        name=cls.__name__,
        section=cls.batch.section,
        parameters=parameters,
    )
    return cls


@_documented
class SLURMCluster(ClusterMixin, dask_jobqueue.SLURMCluster):
    """See `ClusterMixin`."""

    batch = batch_systems.get("slurm")


@_documented
class PBSCluster(ClusterMixin, dask_jobqueue.PBSCluster):
    """See `ClusterMixin`."""

    batch = batch_systems.get("pbs")


@_documented
class SGECluster(ClusterMixin, dask_jobqueue.SGECluster):
    """See `ClusterMixin`."""

    batch = batch_systems.get("sge")


@_documented
class OARCluster(ClusterMixin, dask_jobqueue.OARCluster):
    """See `ClusterMixin`."""

    batch = batch_systems.get("oar")


@_documented
class LSFCluster(ClusterMixin, dask_jobqueue.LSFCluster):
    """See `ClusterMixin`."""

    batch = batch_systems.get("lsf")


@_documented
class HTCondorCluster(ClusterMixin, dask_jobqueue.HTCondorCluster):
    """See `ClusterMixin`."""

    batch = batch_systems.get("htcondor")
