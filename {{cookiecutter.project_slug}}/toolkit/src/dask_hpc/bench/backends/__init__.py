"""Where tasks run: on this computer, or on the lab's cluster."""

from ...config import options
from .cluster import ClusterBackend
from .local import LocalBackend

BACKENDS = {backend.name: backend for backend in (LocalBackend, ClusterBackend)}


def default_backend() -> str:
    """Return "cluster" if the configuration names a batch system, otherwise "local"."""
    return "local" if options.batch_system().cluster_class is None else "cluster"
