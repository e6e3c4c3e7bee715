"""Leave jobs before the batch system ends them, and put others in their place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .._asyncio import BackgroundTasks
from .._output import formatting, messages
from ..batch import JobState
from .draining import drain, retire
from .task_limits import WalltimeInterruptions
from .tracking import TrackedJob, workers_named

if TYPE_CHECKING:
    from ..cluster.mixin import ClusterMixin

# Of a job's time, the part at its end in which its workers leave: a tenth, within these seconds.
# As much again is spread over the jobs, so that those that began together do not leave together.
DRAIN_FRACTION, MIN_DRAIN_S, MAX_DRAIN_S = 0.1, 10.0, 300.0
# What running tasks do not get: moving results to other workers takes a while. A part of the above.
TRANSFER_FRACTION = 0.3
# The last moment for that, seconds before the end.
MIN_TRANSFER_S = 1.0
# Actors that are named.
MAX_NAMED_ACTORS = 3


class WalltimeManager:
    """Knows when each job of a cluster ends, and has its workers leave before.

    The end is the one that the batch system names (`JobStatus.left`), if it names one. Otherwise
    it is the moment at which the job was first seen to run, plus the walltime that was asked for.

    Parameters
    ----------
    cluster : ClusterMixin
    walltime : float or None
        Seconds asked for; None or infinite if jobs have no end.
    """

    def __init__(self, cluster: ClusterMixin, walltime: float | None):
        self._cluster = cluster
        self._walltime = walltime
        self._ends: dict[str, float] = {}  # job id → moment (time.monotonic)
        self._leaving: set[str] = set()
        self.tasks = BackgroundTasks("Leaving a job")
        self.interruptions: WalltimeInterruptions  # set when the cluster's scheduler has started

    def update_ends(self) -> None:
        """Take in what the watcher knows."""
        watcher = self._cluster.watcher
        known = watcher.jobs
        for job in self._cluster.recovery.tracker:
            status = known.get(job.job_id)
            if job.running_since is None or status is None or status.state is not JobState.RUNNING:
                self._ends.pop(job.job_id, None)
            elif status.left is not None:
                # Its own word may change: a site's staff shortens or prolongs a job.
                self._ends[job.job_id] = watcher.last_poll + status.left
            elif self._walltime is not None and self._walltime < float("inf"):
                self._ends.setdefault(job.job_id, job.running_since + self._walltime)

    def tick(self) -> None:
        """Begin to leave the jobs whose time has come. To be called now and then."""
        self.update_ends()
        for job in self._cluster.recovery.tracker:
            end = self._ends.get(job.job_id)
            if end is None or (begun := job.running_since) is None or job.job_id in self._leaving:
                continue
            if job.name not in self._cluster.worker_spec:
                continue  # it is let go already
            if time.monotonic() >= end - self._lead_time(job, begun, end):
                self._leaving.add(job.job_id)
                self.tasks.spawn(self._drain_job(job, begun, end))

    def close(self) -> None:
        self.tasks.cancel()

    def _lead_time(self, job: TrackedJob, begun: float, end: float) -> float:
        """Return how many seconds before its end a job's workers begin to leave."""
        # The golden ratio spreads any number of jobs evenly.
        place = job.number * 0.618 % 1
        return self._drain_time(begun, end) * (1 + place)

    def _drain_time(self, begun: float, end: float) -> float:
        return min(MAX_DRAIN_S, max(MIN_DRAIN_S, DRAIN_FRACTION * (end - begun)))

    async def _drain_job(self, job: TrackedJob, begun: float, end: float) -> None:
        scheduler = self._cluster.scheduler
        batch_job, again = self._cluster.departures.begin(job, end)
        left = formatting.format_duration(max(0.0, end - time.monotonic()))
        messages.info(
            f"Job {job.job_id} ends in {left}, so its workers leave"
            + ("; another one is submitted." if again else ".")
        )
        moving = TRANSFER_FRACTION * self._drain_time(begun, end)
        try:
            running = await drain(scheduler, job.addresses, end - moving)
            if running:
                whole = formatting.format_duration(end - begun)
                self.interruptions.stopped(running, f"a job runs for {whole}")
            if lost := await retire(scheduler, job.addresses, end - MIN_TRANSFER_S):
                messages.warning(f"Job {job.job_id} ends{self._describe_lost(lost)}")
        finally:
            await self._cluster.departures.finish(batch_job)

    def _describe_lost(self, left: list[str]) -> str:
        """Describe what is lost with the workers at these addresses."""
        scheduler = self._cluster.scheduler
        workers = workers_named(scheduler, left)
        again = "what only it has is computed again"
        if actors := sorted({str(task.key) for worker in workers for task in worker.actors}):
            more = ", ..." if len(actors) > MAX_NAMED_ACTORS else ""
            shown = ", ".join(actors[:MAX_NAMED_ACTORS]) + more
            what, them = ("the actor", "it") if len(actors) == 1 else ("the actors", "them")
            return (
                f", and with it {what} {shown}, since Dask can't move actors: create {them} anew, "
                f"with a longer walltime if that is too soon. Of results, {again}."
            )
        return f" and no other worker is there to take its results: {again}."
