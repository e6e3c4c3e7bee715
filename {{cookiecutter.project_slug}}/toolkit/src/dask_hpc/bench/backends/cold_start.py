"""Backends that start workers as a lab's members do, with nannies and the lab's settings."""

from typing import Any

import dask

from ..plan import JobLayout
from .cluster import ClusterBackend
from .local import LocalBackend

# Ways in which workers start: the lab's own, and what it is compared with.
DEFAULT, SPAWN, NO_NANNY = "default", "spawn", "no nanny"


class _StartsWorkers:
    """Mixin: how the workers start."""

    _settings: Any

    def __init__(self, how: str = DEFAULT, **options: Any):
        super().__init__(**options)
        self.how = how

    def describe(self) -> dict:
        """Describe what is running, without what only the harness's own workers have."""
        about = super().describe()  # type: ignore[misc]
        return {key: about[key] for key in about if key not in ("nanny", "worker_saturation")}

    def pss_mib(self) -> list[float]:
        """Return the proportional set size (PSS) of each worker, in MiB.

        It divides shared memory by the number of processes that share it.
        """
        sizes = self.cluster.sync(self.client.run, _pss_mib)  # type: ignore[attr-defined]
        return [size for size in sizes.values() if size is not None]


class ClusterStart(_StartsWorkers, ClusterBackend):
    """The lab's cluster, with as many cores as processes in a job."""

    def make_cluster(self, shape: JobLayout):
        from ... import get_cluster

        method = "spawn" if self.how == SPAWN else "forkserver"
        self._settings.enter_context(dask.config.set({"dask-hpc.worker-start-method": method}))
        arguments = {"nanny": False} if self.how == NO_NANNY else {}
        return get_cluster(
            cores=shape.processes * shape.threads, processes=shape.processes, **arguments
        )


class LocalStart(_StartsWorkers, LocalBackend):
    """A LocalCluster with a worker process for each of the jobs' processes."""


def _pss_mib() -> float | None:
    """Return this process's PSS, in MiB, if the operating system tells it."""
    from pathlib import Path

    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
