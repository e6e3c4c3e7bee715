"""Leave jobs before the batch system ends them, and put others in their place."""

from dataclasses import dataclass, field

from distributed import Scheduler

from .._output import formatting
from ..batch import JobState
from .draining import drain, retire
from .policy import Policy
from .replacements import Replacements
from .task_limits import WalltimeInterruptions
from .tracked_job import TrackedJob
from .worker_identity import workers_named

# Of a job's time, the part at its end in which its workers leave: a tenth, within these seconds.
# As much again is spread over the jobs, so that those that began together do not leave together.
DRAIN_FRACTION, MIN_DRAIN_S, MAX_DRAIN_S = 0.1, 10.0, 300.0
# What running tasks do not get: moving results to other workers takes a while. A part of the above.
TRANSFER_FRACTION = 0.3
# The last moment for that, seconds before the end.
MIN_TRANSFER_S = 1.0
# Actors that are named.
MAX_NAMED_ACTORS = 3


@dataclass(eq=False)
class WalltimeManager(Policy):
    """Knows when each job of a cluster ends, and has its workers leave before.

    The end is the one that the batch system names (`JobStatus.left`), if it names one. Otherwise
    it is the moment at which the job was first seen to run, plus the walltime that was asked for.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    replacements : Replacements
    walltime : float or None
        Seconds asked for; None or infinite if jobs have no end.

    Attributes
    ----------
    interruptions : WalltimeInterruptions
        To be set when the cluster's scheduler has started.
    """

    replacements: Replacements
    walltime: float | None
    interruptions: WalltimeInterruptions = field(init=False)

    def tick(self) -> None:
        """Begin to leave the jobs whose time has come. To be called now and then."""
        for job in self.tracker:
            if job.is_draining or not self.pool.is_wanted(job.name):
                continue  # it is let go already
            begun, end = job.running_since, self._end(job)
            if begun is None or end is None:
                continue
            if self.clock.monotonic() >= end - lead_time(job.number, begun, end):
                job.is_draining = True
                self.tasks.spawn(self._drain_job(job, begun, end))

    def _end(self, job: TrackedJob) -> float | None:
        """Return when a job ends; None if it does not run, or has no end."""
        status = self.pool.status(job.job_id)
        if job.running_since is None or status is None or status.state is not JobState.RUNNING:
            return None
        if status.left is not None:
            # Its own word may change: a site's staff shortens or prolongs a job.
            return self.pool.last_poll + status.left
        if self.walltime is None or self.walltime == float("inf"):
            return None
        return job.running_since + self.walltime

    async def _drain_job(self, job: TrackedJob, begun: float, end: float) -> None:
        scheduler = self.pool.scheduler
        self.pool.release(job.name)
        again = self.replacements.schedule_successor(job, end)
        left = formatting.format_duration(max(0.0, end - self.clock.monotonic()))
        self.messages.info(
            f"Job {job.job_id} ends in {left}, so its workers leave"
            + ("; another one is submitted." if again else ".")
        )
        moving = TRANSFER_FRACTION * drain_time(begun, end)
        try:
            running = await drain(scheduler, job.addresses, end - moving)
            if running:
                whole = formatting.format_duration(end - begun)
                self.interruptions.stopped(running, f"a job runs for {whole}")
            if lost := await retire(scheduler, job.addresses, end - MIN_TRANSFER_S):
                self.messages.warning(f"Job {job.job_id} ends{describe_lost(scheduler, lost)}")
        finally:
            await self.pool.finish(job.name)


def drain_time(begun: float, end: float) -> float:
    """Return how many seconds of its time a job's workers have for leaving."""
    return min(MAX_DRAIN_S, max(MIN_DRAIN_S, DRAIN_FRACTION * (end - begun)))


def lead_time(number: int, begun: float, end: float) -> float:
    """Return how many seconds before its end a job's workers begin to leave.

    Jobs that began together leave one after another: the golden ratio spreads any number of them
    evenly.
    """
    place = number * 0.618 % 1
    return drain_time(begun, end) * (1 + place)


def describe_lost(scheduler: Scheduler, left: list[str]) -> str:
    """Describe what is lost with the workers at these addresses."""
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
