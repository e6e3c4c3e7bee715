"""Drain jobs before they reach their walltime, and replace them."""

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

# Time for draining: this fraction at the end of a job's walltime, within these bounds in seconds.
# Start times are spread over the same length again, so that jobs that started together do not all
# drain at once.
DRAIN_FRACTION, MIN_DRAIN_S, MAX_DRAIN_S = 0.1, 10.0, 300.0
# Fraction of the drain time that is reserved for moving results to other workers.
TRANSFER_FRACTION = 0.3
# Seconds before the job's end at which the transfer must stop.
MIN_TRANSFER_S = 1.0
# Most actors to name in a message.
MAX_NAMED_ACTORS = 3


@dataclass(eq=False)
class WalltimeManager(Policy):
    """Drain each job of a cluster before it reaches its walltime.

    The end of a job is the one that the batch system reports (`JobStatus.left`), if any. Otherwise
    it is the time at which the job was first seen running, plus the requested walltime.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    replacements : Replacements
    walltime : float or None
        Requested walltime in seconds; None or infinite if jobs have no limit.

    Attributes
    ----------
    interruptions : WalltimeInterruptions
        Set this when the cluster's scheduler has started.
    """

    replacements: Replacements
    walltime: float | None
    interruptions: WalltimeInterruptions = field(init=False)

    def tick(self) -> None:
        """Start draining jobs that are near their walltime. Call this periodically."""
        for job in self.tracker:
            if job.is_draining or not self.pool.is_wanted(job.name):
                continue  # already being released
            begun, end = job.running_since, self._end(job)
            if begun is None or end is None:
                continue
            if self.clock.monotonic() >= end - lead_time(job.number, begun, end):
                job.is_draining = True
                self.tasks.spawn(self._drain_job(job, begun, end))

    def _end(self, job: TrackedJob) -> float | None:
        """Return when a job ends (monotonic clock); None if it is not running or has no limit."""
        status = self.pool.status(job.job_id)
        if job.running_since is None or status is None or status.state is not JobState.RUNNING:
            return None
        if status.left is not None:
            # The time left may change: administrators can shorten or extend a job.
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
            f"Job {job.job_id} reaches its walltime in {left}: draining its workers"
            + (" and submitting a replacement." if again else ".")
        )
        moving = TRANSFER_FRACTION * drain_time(begun, end)
        try:
            running = await drain(scheduler, job.addresses, end - moving)
            if running:
                whole = formatting.format_duration(end - begun)
                self.interruptions.stopped(running, f"a job runs for {whole}")
            if lost := await retire(scheduler, job.addresses, end - MIN_TRANSFER_S):
                self.messages.warning(f"Job {job.job_id} ends {describe_lost(scheduler, lost)}")
        finally:
            await self.pool.finish(job.name)


def drain_time(begun: float, end: float) -> float:
    """Return the drain time of a job, in seconds."""
    return min(MAX_DRAIN_S, max(MIN_DRAIN_S, DRAIN_FRACTION * (end - begun)))


def lead_time(number: int, begun: float, end: float) -> float:
    """Return how many seconds before its end to start draining a job.

    Jobs that started together drain one after another: the golden ratio spreads any number of them
    evenly.
    """
    place = number * 0.618 % 1
    return drain_time(begun, end) * (1 + place)


def describe_lost(scheduler: Scheduler, left: list[str]) -> str:
    """Describe what is lost with the workers at these addresses."""
    workers = workers_named(scheduler, left)
    again = "results that only this job holds will be recomputed"
    if actors := sorted({str(task.key) for worker in workers for task in worker.actors}):
        more = ", ..." if len(actors) > MAX_NAMED_ACTORS else ""
        shown = ", ".join(actors[:MAX_NAMED_ACTORS]) + more
        what, them = ("actor", "it") if len(actors) == 1 else ("actors", "them")
        return (
            f"and loses the {what} {shown}, since Dask cannot move actors: create {them} again, "
            f"with a longer walltime if needed. Also, {again}."
        )
    return f"and no other worker can take its results: {again}."
