"""Backends whose number of workers follows the work, for the workload ``adapt``."""

import time
from itertools import pairwise
from typing import Any

from ..observer import Observer
from ..plan import JobLayout
from ._dask import BackendError
from .cold_start import ClusterStart, LocalStart

POLL_S = 0.05
# Adaptive scaling waits for a few seconds before it gives workers up, and the jobs have to end.
EMPTY_TIMEOUT_S = 120.0


class _Adapts:
    """Mixin: between no workers and those of a shape."""

    cluster: Any
    layout: JobLayout

    def adapt(self, shape: JobLayout) -> None:
        """Create a cluster that adapts, and connect a client."""
        self.open(shape)  # type: ignore[attr-defined]
        self.observer = Observer()
        self.cluster.scheduler.add_plugin(self.observer)
        self.cluster.sync(self.connect)  # type: ignore[attr-defined]
        self._begin_adapting()

    def _begin_adapting(self) -> None:
        raise NotImplementedError

    def is_empty(self) -> bool:
        """Return whether there are no workers, and no cores are held."""
        return not self.cluster.scheduler.workers

    def held_core_s(self) -> float:
        """Return how long cores have been held so far, times their number."""
        raise NotImplementedError

    def wait_until_empty(self) -> float:
        """Wait until all workers have been given up; return when, in seconds since 1970.

        Raises
        ------
        BackendError
            Some are there after `EMPTY_TIMEOUT_S`.
        """
        end = time.monotonic() + EMPTY_TIMEOUT_S
        while not self.is_empty():
            if time.monotonic() > end:
                raise BackendError(
                    f"{len(self.cluster.scheduler.workers)} workers are still there "
                    f"{EMPTY_TIMEOUT_S:.0f} s after the last task"
                )
            time.sleep(POLL_S)
        return time.time()


class AdaptingCluster(_Adapts, ClusterStart):
    """The lab's cluster."""

    def _begin_adapting(self) -> None:
        self.cluster.adapt(minimum_jobs=0, maximum_jobs=self.layout.jobs)

    def is_empty(self) -> bool:
        return super().is_empty() and not self.cluster.job_ids

    def held_core_s(self) -> float:
        # By the batch system's clock, whose unit is a second.
        held: float = self.cluster.usage.core_seconds
        return held


class AdaptingLocal(_Adapts, LocalStart):
    """A LocalCluster; its workers hold a core from when they connect until they leave."""

    def _begin_adapting(self) -> None:
        self.cluster.adapt(minimum=0, maximum=self.layout.workers)

    def held_core_s(self) -> float:
        return held_s(self.observer.changes, time.time()) * self.layout.threads


def held_s(changes: list[tuple[float, int]], now: float) -> float:
    """Return the sum of the times that workers were there, until `now`."""
    return sum(count * (end - at) for (at, count), (end, _) in pairwise([*changes, (now, 0)]))
