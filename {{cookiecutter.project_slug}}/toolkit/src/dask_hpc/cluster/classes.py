"""dask-jobqueue's cluster classes, one for each batch system, with `ClusterMixin`."""

from typing import Any

from .. import batch as batch_systems
from .._compat.jobqueue_import import dask_jobqueue
from ..config import fields, validators
from .mixin import ClusterMixin

_DOC = """Run Dask's workers in {label} jobs.

This is dask-jobqueue's `{name}` and takes the same arguments. In addition, it
reports what pending jobs are waiting for, raises an error when the batch system
rejects a job, resubmits jobs that fail, moves results to other workers before a
job reaches its walltime, and cancels all jobs when it closes.

Parameters
----------
n_workers : int, optional
    Number of workers (processes) to start with, rounded up to whole jobs; see `scale`.
config_name : str, optional
    The profile: a section of ``jobqueue.yaml`` other than ``{section}``.
{parameters}idle_timeout : float, str or timedelta, optional
    Close the cluster after its workers have been idle for this long, in seconds or as
    ``"30 minutes"``; 0 for never. The default is ``dask-hpc: idle-timeout:``.
security : bool or distributed.Security, optional
    Encrypt connections; True to use temporary keys.
asynchronous : bool, optional
    Whether the cluster is used with ``async``/``await``, on a running event loop.
**kwargs
    Further arguments of `dask_jobqueue.{name}` and `distributed.SpecCluster`.

Notes
-----
The default of each argument is the key of the same name in ``jobqueue.yaml``
(``job-extra-directives`` for ``job_extra_directives``); `dask hpc setup` shows the values.

Examples
--------
>>> from dask.distributed import Client
>>> from dask_hpc import {name}
>>> with {name}() as cluster, Client(cluster) as client:
...     cluster.scale(jobs=4)
...     cluster.wait_for_workers(8)
...     results = client.gather(client.map(my_function, my_inputs))
"""


def _documented(cls: Any) -> Any:
    """Give a class a docstring made from the table of keys; upstream's has other defaults."""
    known = validators.parameters(dask_jobqueue.JobQueueCluster, *cls.job_cls.__mro__)
    parameters = "".join(
        f"{argument} : {field.kind.type}, optional\n    {field.doc}\n"
        for key, field in fields.FIELDS.items()
        if (argument := fields.argument_of(key)) in known and key not in fields.renamed(cls.batch)
    )
    cls.__doc__ = _DOC.format(
        label=cls.batch.label,
        name=cls.__name__,
        section=cls.batch.section,
        parameters=parameters,
    )
    return cls


@_documented
class SLURMCluster(ClusterMixin, dask_jobqueue.SLURMCluster):
    """See `_DOC`."""

    batch = batch_systems.get("slurm")


@_documented
class PBSCluster(ClusterMixin, dask_jobqueue.PBSCluster):
    """See `_DOC`."""

    batch = batch_systems.get("pbs")


@_documented
class SGECluster(ClusterMixin, dask_jobqueue.SGECluster):
    """See `_DOC`."""

    batch = batch_systems.get("sge")


@_documented
class OARCluster(ClusterMixin, dask_jobqueue.OARCluster):
    """See `_DOC`."""

    batch = batch_systems.get("oar")


@_documented
class LSFCluster(ClusterMixin, dask_jobqueue.LSFCluster):
    """See `_DOC`."""

    batch = batch_systems.get("lsf")


@_documented
class HTCondorCluster(ClusterMixin, dask_jobqueue.HTCondorCluster):
    """See `_DOC`."""

    batch = batch_systems.get("htcondor")
