"""Pick the cluster class that the lab's configuration names."""

from .allocation import cluster as allocation_cluster
from .allocation import environment
from .cluster import classes
from .cluster.local import LocalCluster, local_arguments
from .config import options as config_options
from .config import warnings


def get_cluster(*args, **kwargs):
    """Create the cluster that the lab's configuration names.

    The key ``dask-hpc: batch-system:`` determines the class. If the configuration does not name a
    batch system, this creates a `dask.distributed.LocalCluster` with this computer's cores. In a
    job of ``dask hpc run``, it creates an `AllocationCluster` with the job's own nodes.

    Parameters
    ----------
    *args, **kwargs
        Keyword arguments of that class. Without a batch system, `cores`, `processes`, and `memory`
        shape the workers on this computer, and arguments that only apply to a batch system
        (`queue`, `walltime`, `interface`, and so on) are ignored, so that the same line works in
        both places. Positional arguments raise an error.

    Returns
    -------
    cluster
        With a batch system, it has no workers before ``scale``; without one, workers start at once.

    Raises
    ------
    ConfigError
        The configuration names an unknown batch system, or is incomplete.
    """
    if args:
        raise TypeError(
            f"get_cluster takes only keyword arguments, such as config_name={args[0]!r}"
        )
    if environment.in_allocation():
        return allocation_cluster.AllocationCluster(**kwargs)
    batch = config_options.batch_system()
    if batch.cluster_class is None:
        warnings.warn_about_keys()  # the batch system's key may have a typo
        warnings.warn_about_no_configuration()
        return LocalCluster(**local_arguments(kwargs))
    return getattr(classes, batch.cluster_class)(**kwargs)
