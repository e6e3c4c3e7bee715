"""Pick the cluster class that the lab's configuration names."""

from .allocation import cluster as allocation_cluster
from .allocation import environment
from .cluster import classes
from .cluster.local import LocalCluster, local_arguments
from .config import options as config_options
from .config import warnings


def get_cluster(*args, **kwargs):
    """Create the cluster that the lab's configuration names.

    It is of the class for the batch system under ``dask-hpc: batch-system:``. Where the
    configuration names no batch system, it is a `dask.distributed.LocalCluster` with this
    computer's cores. In a job of ``dask hpc run``, it is an `AllocationCluster` with the job's own
    nodes.

    Parameters
    ----------
    *args, **kwargs
        Arguments of that class. Without a batch system, `cores`, `processes` and `memory` shape
        the workers on this computer, and arguments that only a batch system has (`queue`,
        `walltime`, `interface` and so on) are ignored, so that the same line works in both places.

    Returns
    -------
    cluster
        With a batch system, it has no workers before ``scale``; without one, they are there at
        once.

    Raises
    ------
    ConfigError
        The configuration names an unknown batch system, or is incomplete.
    """
    if args:
        raise TypeError(
            f"get_cluster takes arguments by name: config_name={args[0]!r}, if a profile is meant"
        )
    if environment.in_allocation():
        return allocation_cluster.AllocationCluster(**kwargs)
    batch = config_options.batch_system()
    if batch.cluster_class is None:
        warnings.warn_about_keys(warnings.source_files())  # a batch system may have been meant
        warnings.warn_about_no_configuration()
        return LocalCluster(**local_arguments(kwargs))
    return getattr(classes, batch.cluster_class)(**kwargs)
