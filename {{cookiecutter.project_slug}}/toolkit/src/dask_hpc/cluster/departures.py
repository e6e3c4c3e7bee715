"""Let jobs go in order: a job ends when its workers' results have been moved to other workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._asyncio import BackgroundTasks
from ..resilience.draining import retire
from ..resilience.tracking import TrackedJob

if TYPE_CHECKING:
    from .mixin import ClusterMixin


class Departures:
    """The jobs of a cluster that no longer count, and whose workers are leaving.

    Parameters
    ----------
    cluster : ClusterMixin
    """

    def __init__(self, cluster: ClusterMixin):
        self._cluster = cluster
        self._leaving: set[Any] = set()  # dask-jobqueue's jobs
        self._tasks = BackgroundTasks("Moving the results of a job")

    def release(self, name: Any) -> None:
        """End a job that is no longer wanted, once its results have been moved to others."""
        batch_job = self._cluster.workers.pop(name)
        self._leaving.add(batch_job)
        self._tasks.spawn(self._retire(name, batch_job))

    def begin(self, job: TrackedJob, end: float) -> tuple[Any, bool]:
        """Stop counting a job whose workers leave, and submit another one, if it is needed.

        Parameters
        ----------
        job : TrackedJob
        end : float
            When it ends (`time.monotonic`).

        Returns
        -------
        batch_job, bool
            dask-jobqueue's job, to be given to `finish` when the workers have left, and whether
            another one follows.
        """
        cluster = self._cluster
        cluster.worker_spec.pop(job.name, None)
        if (batch_job := cluster.workers.pop(job.name, None)) is not None:
            self._leaving.add(batch_job)
        again = len(cluster.worker_spec) + cluster.recovery.scheduled < cluster.target_jobs
        if again:
            cluster.recovery.replacements.schedule_successor(job, end)
        return batch_job, again

    async def finish(self, batch_job: Any) -> None:
        """End a job whose workers have left."""
        if batch_job is not None:
            await batch_job.close()
            self._leaving.discard(batch_job)

    def cancel(self) -> None:
        """Move no more results, since the cluster is closing."""
        self._tasks.cancel()

    async def close(self) -> None:
        """End all jobs that are still leaving."""
        await self._tasks.wait()
        for batch_job in list(self._leaving):
            await batch_job.close()

    async def _retire(self, name: Any, batch_job: Any) -> None:
        try:
            if (job := self._cluster.recovery.tracker.by_name(name)) is not None:
                await retire(self._cluster.scheduler, job.addresses)
        finally:
            await self.finish(batch_job)
