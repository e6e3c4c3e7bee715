"""Find workers that have fallen silent and jobs that have lost all workers, and end these jobs."""

import asyncio
import logging
import math
from dataclasses import dataclass

import dask.config
from dask.utils import parse_timedelta
from distributed.comm.core import connect
from distributed.scheduler import WorkerState, heartbeat_interval

from ..batch import JobState
from ..batch.watcher import MIN_POLL_INTERVAL_S
from .draining import remove_worker, unanswered
from .policy import Policy
from .tracked_job import TrackedJob

logger = logging.getLogger(__name__)

# Between two looks at what nobody reports: lost workers, walltimes that come near.
MONITOR_TICK_S = 1.0
# A connection may break and come back. A job that the batch system lists as running is lost after
# so long without any worker, unless its nannies are there, which start workers again.
WORKERS_LOST_AFTER_S = 15.0
# Where they have ended in order, a job has so long to end, too: its script may go on.
ENDING_S = 60.0
# A nanny is there if it answers within so many seconds, the last ones of those above.
NANNY_TIMEOUT_S = 3.0
# Python may start slowly, from a busy file system. After so long its nannies have tried in vain.
CLIENT_RESTART_GRACE_S = 600.0
# A silent worker is removed that long before worker-ttl: two ticks.
TTL_MARGIN_S = 2.0


@dataclass(eq=False)
class LostWorkerMonitor(Policy):
    """Removes workers that have fallen silent, and cancels jobs whose workers are lost."""

    _checking = False
    _ticked = math.inf  # when the last tick ended (monotonic)
    _resumed = 0.0  # when the event loop went on after a halt (since 1970)

    def __post_init__(self) -> None:
        self.tracker.on_worker_added.append(self._on_worker_added)

    def _on_worker_added(self, job: TrackedJob, worker: WorkerState) -> None:
        if job.lost_reason:  # its nanny has started one again, in a job that is about to end
            self.tasks.spawn(remove_worker(self.pool.scheduler, worker.address, "job-lost"))

    async def tick(self) -> None:
        """Look for lost workers and jobs, which nobody reports; called every `MONITOR_TICK_S`."""
        now = self.clock.monotonic()
        if now - self._ticked > 3 * MONITOR_TICK_S:
            self._resumed = self.clock.time()
        try:
            await self._remove_silent_workers(now)
        finally:
            self._ticked = self.clock.monotonic()
        lost = [job for job in self.tracker if seems_lost(job, now)]
        asked = now - self.pool.last_poll < MIN_POLL_INTERVAL_S
        if lost and not self._checking and not asked:
            self._checking = True
            self.tasks.spawn(self._confirm_lost(lost))

    async def _remove_silent_workers(self, now: float) -> None:
        scheduler = self.pool.scheduler
        patience = _patience(scheduler.worker_ttl, heartbeat_interval(len(scheduler.workers)))
        # The system breaks an idle connection to a node that it can't reach; but it begins to count
        # anew when something is sent, as Dask does to take tasks from a slow worker.
        broken = parse_timedelta(dask.config.get("distributed.comm.timeouts.tcp"), "s")
        for worker in list(scheduler.workers.values()):
            # What came while this process was stopped or busy has yet to be read.
            silent = self.clock.time() - max(worker.last_seen, self._resumed)
            if silent > broken and unanswered(scheduler, worker.address) > broken:
                logger.info("The node of worker %s does not answer", worker.name)
                await remove_worker(scheduler, worker.address, "unreachable", expected=False)
                continue
            job = self.tracker.by_address(worker.address)
            if silent > patience and job is not None:
                logger.info("Nothing was heard from worker %s for %.0f s", worker.name, silent)
                # Its task may be the reason, so that death counts: it is not to kill them all.
                await remove_worker(scheduler, worker.address, "silent", expected=False)
                job.unresponsive = True
                if not job.addresses:  # the wait is over already
                    job.without_workers_since = now - WORKERS_LOST_AFTER_S

    async def _confirm_lost(self, jobs: list[TrackedJob]) -> None:
        """Cancel jobs without workers that the batch system, asked again, reports as running."""
        pool = self.pool
        try:
            restarting = await asyncio.gather(*map(self._is_restarting, jobs))
            jobs = [job for job, again in zip(jobs, restarting, strict=True) if not again]
            if not jobs or not await pool.poll():
                return
            now = self.clock.monotonic()
            for job in jobs:
                # Otherwise its workers have left in order, or one is back; or it is over, which
                # comes as an event, or is back in the queue.
                bereft = pool.is_wanted(job.name) and job.without_workers_since is not None
                if bereft and job.state is JobState.RUNNING and not job.lost_reason:
                    job.lost_reason = "nothing is heard from {its} workers any more"
                    if not job.unresponsive and _restarts_in_vain(job, now):
                        job.lost_reason = "{its} workers did not start again"
            lost = [job.job_id for job in jobs if job.lost_reason]
        finally:
            self._checking = False
        if lost:
            await pool.cancel(lost)

    async def _is_restarting(self, job: TrackedJob) -> bool:
        """Return whether a nanny of the job is there, which starts its worker anew."""
        now = self.clock.monotonic()
        if job.unresponsive or job.without_workers_since is None or _restarts_in_vain(job, now):
            return False
        # Distributed's handshake is the process's answer: the kernel alone, which goes on to take
        # connections for a process that is stopped, does not give it.
        answers = await asyncio.gather(*map(self._answers, job.nannies))
        if any(answers):
            job.nannies_asked_at = now
        return any(answers)

    async def _answers(self, address: str) -> bool:
        try:
            async with asyncio.timeout(NANNY_TIMEOUT_S):
                arguments = self.pool.scheduler.connection_args
                comm = await connect(address, timeout=NANNY_TIMEOUT_S, **arguments)
        except OSError:
            return False
        comm.abort()
        return True


def _patience(worker_ttl: float | None, heartbeat: float) -> float:
    """Return the seconds after which a silent worker is removed.

    distributed itself looks every worker-ttl only, so that up to twice as much may pass. Ours
    comes before: it would ask the silent node to restart its workers, and complain at close.
    """
    if not worker_ttl:
        return math.inf
    return max(worker_ttl - TTL_MARGIN_S, worker_ttl / 2, 10 * heartbeat)


def seems_lost(job: TrackedJob, now: float) -> bool:
    """Return whether a job has been without workers for so long that it has to be checked."""
    if job.without_workers_since is None:
        return False
    soon = max(WORKERS_LOST_AFTER_S - NANNY_TIMEOUT_S, WORKERS_LOST_AFTER_S / 2)
    wait = ENDING_S if job.ended_in_order else soon
    return now - max(job.without_workers_since, job.nannies_asked_at) >= wait


def _restarts_in_vain(job: TrackedJob, now: float) -> bool:
    since = job.without_workers_since
    return since is not None and now - since >= CLIENT_RESTART_GRACE_S
