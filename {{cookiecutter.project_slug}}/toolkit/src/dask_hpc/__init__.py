"""Run Dask on a batch system, with a lab's own configuration.

`get_cluster` returns the cluster that the configuration names. `SLURMCluster`, `PBSCluster` and so
on are dask-jobqueue's classes of the same names that also report what their jobs are waiting for.
"""

import lazy_loader

__version__ = "0.1.0"

# Imported when first used, from where the stub __init__.pyi says: distributed takes half a second,
# for which `dask hpc --help` has no use.
_import, _, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name):
    is_cluster = name == "get_cluster" or name.endswith("Cluster")
    if is_cluster:
        from . import _versions

        _versions.check()  # before what an old Dask breaks
    try:
        found = _import(name)
    except ValueError as error:  # Dask can't read one of its files, and can't be imported
        from .config import syntax

        raise syntax.explain(error) or error from None
    if is_cluster:
        _versions.tell_untested()
    return found


def __dir__():
    return sorted([*globals(), *__all__])
