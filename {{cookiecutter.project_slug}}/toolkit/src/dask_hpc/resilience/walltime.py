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
SHARE, SHORTEST, LONGEST = 0.1, 10.0, 300.0
# What running tasks do not get: moving results to other workers takes a while. A part of the above.
TRANSFER_FRACTION = 0.3
# The last moment for that, seconds before the end.
MIN_TRANSFER_S = 1.0
# Actors that are named.
SHOWN = 3


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
        self.reruns: WalltimeInterruptions  # set when the cluster's scheduler has started

    def learn(self) -> None:
        """Take in what the watcher knows."""
        watcher = self._cluster.watcher
        known = watcher.jobs
        for member in self._cluster.recovery.members:
            status = known.get(member.job_id)
            if (
                member.running_since is None
                or status is None
                or status.state is not JobState.RUNNING
            ):
                self._ends.pop(member.job_id, None)
            elif status.left is not None:
                # Its own word may change: a site's staff shortens or prolongs a job.
                self._ends[member.job_id] = watcher.last_poll + status.left
            elif self._walltime is not None and self._walltime < float("inf"):
                self._ends.setdefault(member.job_id, member.running_since + self._walltime)

    async def tick(self) -> None:
        """Begin to leave the jobs whose time has come. To be called now and then."""
        self.learn()
        for member in self._cluster.recovery.members:
            end = self._ends.get(member.job_id)
            if (
                end is None
                or (begun := member.running_since) is None
                or member.job_id in self._leaving
            ):
                continue
            if member.name not in self._cluster.worker_spec:
                continue  # it is let go already
            if time.monotonic() >= end - self._lead(member, begun, end):
                self._leaving.add(member.job_id)
                self.tasks.spawn(self._leave(member, begun, end))

    def close(self) -> None:
        self.tasks.cancel()

    def _lead(self, member: TrackedJob, begun: float, end: float) -> float:
        """Return how many seconds before its end a job's workers begin to leave."""
        # The golden ratio spreads any number of jobs evenly.
        place = member.number * 0.618 % 1
        return self._part(begun, end) * (1 + place)

    def _part(self, begun: float, end: float) -> float:
        return min(LONGEST, max(SHORTEST, SHARE * (end - begun)))

    async def _leave(self, member: TrackedJob, begun: float, end: float) -> None:
        scheduler = self._cluster.scheduler
        job, again = self._cluster.departures.begin(member, end)
        left = formatting.format_duration(max(0.0, end - time.monotonic()))
        messages.info(
            f"Job {member.job_id} ends in {left}, so its workers leave"
            + ("; another one is submitted." if again else ".")
        )
        moving = TRANSFER_FRACTION * self._part(begun, end)
        try:
            running = await drain(scheduler, member.addresses, end - moving)
            if running:
                whole = formatting.format_duration(end - begun)
                self.reruns.stopped(running, f"a job runs for {whole}")
            if lost := await retire(scheduler, member.addresses, end - MIN_TRANSFER_S):
                messages.warning(f"Job {member.job_id} ends{self._lost_words(lost)}")
        finally:
            await self._cluster.departures.finish(job)

    def _lost_words(self, left: list[str]) -> str:
        """Describe what is lost with the workers at these addresses."""
        scheduler = self._cluster.scheduler
        workers = workers_named(scheduler, left)
        again = "what only it has is computed again"
        if actors := sorted({str(task.key) for worker in workers for task in worker.actors}):
            shown = ", ".join(actors[:SHOWN]) + (", ..." if len(actors) > SHOWN else "")
            what, them = ("the actor", "it") if len(actors) == 1 else ("the actors", "them")
            return (
                f", and with it {what} {shown}, since Dask can't move actors: create {them} anew, "
                f"with a longer walltime if that is too soon. Of results, {again}."
            )
        return f" and no other worker is there to take its results: {again}."
