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
        job = self._cluster.workers.pop(name)
        self._leaving.add(job)
        self._tasks.spawn(self._retire(name, job))

    def begin(self, member: TrackedJob, end: float) -> tuple[Any, bool]:
        """Stop counting a job whose workers leave, and submit another one, if it is needed.

        Parameters
        ----------
        member : TrackedJob
            The job.
        end : float
            When it ends (`time.monotonic`).

        Returns
        -------
        job, bool
            dask-jobqueue's job, to be given to `finish` when the workers have left, and whether
            another one follows.
        """
        cluster = self._cluster
        cluster.worker_spec.pop(member.name, None)
        if (job := cluster.workers.pop(member.name, None)) is not None:
            self._leaving.add(job)
        again = len(cluster.worker_spec) + cluster.recovery.pending < cluster.target_jobs
        if again:
            cluster.recovery.replacements.schedule_successor(member, end)
        return job, again

    async def finish(self, job: Any) -> None:
        """End a job whose workers have left."""
        if job is not None:
            await job.close()
            self._leaving.discard(job)

    def cancel(self) -> None:
        """Move no more results, since the cluster is closing."""
        self._tasks.cancel()

    async def close(self) -> None:
        """End all jobs that are still leaving."""
        await self._tasks.over()
        for job in list(self._leaving):
            await job.close()

    async def _retire(self, name: Any, job: Any) -> None:
        try:
            if (member := self._cluster.recovery.members.named(name)) is not None:
                await retire(self._cluster.scheduler, member.addresses)
        finally:
            await self.finish(job)
