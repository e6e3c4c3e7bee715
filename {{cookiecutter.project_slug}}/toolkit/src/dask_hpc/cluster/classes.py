"""dask-jobqueue's cluster classes, one a batch system, with `ClusterMixin`."""

from .. import batch as batch_systems
from .._compat.jobqueue_import import dask_jobqueue
from .mixin import ClusterMixin


class SLURMCluster(ClusterMixin, dask_jobqueue.SLURMCluster):
    """dask-jobqueue's class for Slurm, with what `ClusterMixin` adds."""

    __doc__ = dask_jobqueue.SLURMCluster.__doc__

    batch = batch_systems.get("slurm")


class PBSCluster(ClusterMixin, dask_jobqueue.PBSCluster):
    """dask-jobqueue's class for PBS, with what `ClusterMixin` adds."""

    __doc__ = dask_jobqueue.PBSCluster.__doc__

    batch = batch_systems.get("pbs")


class SGECluster(ClusterMixin, dask_jobqueue.SGECluster):
    """dask-jobqueue's class for SGE, with what `ClusterMixin` adds."""

    __doc__ = dask_jobqueue.SGECluster.__doc__

    batch = batch_systems.get("sge")


class OARCluster(ClusterMixin, dask_jobqueue.OARCluster):
    """dask-jobqueue's class for OAR, with what `ClusterMixin` adds."""

    __doc__ = dask_jobqueue.OARCluster.__doc__

    batch = batch_systems.get("oar")


class LSFCluster(ClusterMixin, dask_jobqueue.LSFCluster):
    """dask-jobqueue's class for LSF, with what `ClusterMixin` adds."""

    __doc__ = dask_jobqueue.LSFCluster.__doc__

    batch = batch_systems.get("lsf")


class HTCondorCluster(ClusterMixin, dask_jobqueue.HTCondorCluster):
    """dask-jobqueue's class for HTCondor, with what `ClusterMixin` adds."""

    __doc__ = dask_jobqueue.HTCondorCluster.__doc__

    batch = batch_systems.get("htcondor")
