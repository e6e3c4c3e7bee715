"""Run Dask on a batch system, with a lab's own configuration.

`get_cluster` returns the cluster that the configuration names. `SLURMCluster`, `PBSCluster`, and so
on extend dask-jobqueue's classes of the same names; for example, they resubmit failed jobs.
"""

import lazy_loader

__version__ = "0.1.0"

# Import names when first used, as the stub __init__.pyi says: importing distributed takes half a
# second, which `dask hpc --help` should not.
_import, _, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name):
    is_cluster = name == "get_cluster" or name.endswith("Cluster")
    if is_cluster:
        from . import _versions

        _versions.check()  # before an old Dask breaks the import
    try:
        found = _import(name)
    except ValueError as error:  # importing Dask fails if one of its files is invalid
        from .config import syntax

        raise syntax.explain(error) or error from None
    if is_cluster:
        _versions.tell_untested()
    return found


def __dir__():
    return sorted([*globals(), *__all__])
