"""Detect unresponsive workers, and cancel jobs whose workers are lost or keep dying."""

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

# Interval of periodic checks (unresponsive workers, approaching walltimes), in seconds.
MONITOR_TICK_S = 1.0
# A connection may break and recover. A job that the batch system lists as running is lost after
# this long without any worker, unless its nannies are alive: they restart workers.
WORKERS_LOST_AFTER_S = 15.0
# After its workers closed gracefully, a job has this long to end: its script may still be running.
ENDING_S = 60.0
# A nanny is alive if it answers within this many seconds, the last ones of WORKERS_LOST_AFTER_S.
NANNY_TIMEOUT_S = 3.0
# Python may start slowly from a busy file system. After this long, assume that nannies have failed.
CLIENT_RESTART_GRACE_S = 600.0
# Remove an unresponsive worker this long before worker-ttl: two ticks.
TTL_MARGIN_S = 2.0


@dataclass(eq=False)
class LostWorkerMonitor(Policy):
    """Remove unresponsive workers, and cancel jobs whose workers are lost or keep dying."""

    _checking = False
    _ticked = math.inf  # when the last tick ended (monotonic clock)
    _resumed = 0.0  # when the event loop resumed after a pause (time.time)

    def __post_init__(self) -> None:
        self.tracker.on_worker_added.append(self._on_worker_added)
        self.tracker.on_worker_died.append(self._on_worker_died)

    def _on_worker_added(self, job: TrackedJob, worker: WorkerState) -> None:
        if job.lost_reason:  # a nanny restarted a worker in a job that we are cancelling
            self.tasks.spawn(remove_worker(self.pool.scheduler, worker.address, "job-lost"))

    def _on_worker_died(self, job: TrackedJob, _: list[str]) -> None:
        # Nannies restart a worker within a second, and Dask gives an empty worker the tasks of the
        # one that died. On a node short of memory, four such deaths make Dask give up the tasks.
        if len(job.deaths) > job.kind.workers and self.tracker.dies_alone(job):
            job.lost_reason = "{its} workers keep dying, and no others do"
            for address in job.addresses:
                self.tasks.spawn(remove_worker(self.pool.scheduler, address, "job-lost"))
            self.tasks.spawn(self.pool.cancel([job.job_id]))

    async def tick(self) -> None:
        """Check for lost workers and jobs. Call this every `MONITOR_TICK_S`."""
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
        # The kernel closes an idle connection to an unreachable node, but restarts its timer when
        # something is sent, as Dask does to steal tasks from a slow worker.
        broken = parse_timedelta(dask.config.get("distributed.comm.timeouts.tcp"), "s")
        for worker in list(scheduler.workers.values()):
            # Messages that arrived while this process was stopped or busy have yet to be read.
            silent = self.clock.time() - max(worker.last_seen, self._resumed)
            if silent > broken and unanswered(scheduler, worker.address) > broken:
                logger.info("The node of worker %s does not answer", worker.name)
                await remove_worker(scheduler, worker.address, "unreachable", expected=False)
                continue
            job = self.tracker.by_address(worker.address)
            if silent > patience and job is not None:
                logger.info("Worker %s has not responded for %.0f s", worker.name, silent)
                # Its task may be the cause, so count this as a death: that task must not go on to
                # take down all workers.
                await remove_worker(scheduler, worker.address, "silent", expected=False)
                job.unresponsive = True
                if not job.addresses:  # no need to wait any longer
                    job.without_workers_since = now - WORKERS_LOST_AFTER_S

    async def _confirm_lost(self, jobs: list[TrackedJob]) -> None:
        """Cancel jobs without workers that the batch system, on a new poll, reports as running."""
        pool = self.pool
        try:
            restarting = await asyncio.gather(*map(self._is_restarting, jobs))
            jobs = [job for job, again in zip(jobs, restarting, strict=True) if not again]
            if not jobs or not await pool.poll():
                return
            now = self.clock.monotonic()
            for job in jobs:
                # Otherwise its workers left as planned or one has returned; or the job has ended,
                # which arrives as an event, or is back in the queue.
                bereft = pool.is_wanted(job.name) and job.without_workers_since is not None
                if bereft and job.state is JobState.RUNNING and not job.lost_reason:
                    job.lost_reason = "{its} workers stopped responding"
                    if not job.unresponsive and _restarts_in_vain(job, now):
                        job.lost_reason = "{its} workers did not restart"
            lost = [job.job_id for job in jobs if job.lost_reason]
        finally:
            self._checking = False
        if lost:
            await pool.cancel(lost)

    async def _is_restarting(self, job: TrackedJob) -> bool:
        """Return whether a nanny of the job is alive, and so will restart its worker."""
        now = self.clock.monotonic()
        if job.unresponsive or job.without_workers_since is None or _restarts_in_vain(job, now):
            return False
        # Only a live process completes Distributed's handshake. A TCP connection proves nothing:
        # the kernel accepts those for a stopped process, too.
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
    """Return the seconds after which to remove an unresponsive worker.

    distributed itself checks only once per worker-ttl, so up to twice that may pass. We act first,
    since it would ask the unresponsive node to restart its workers, and log errors at close.
    """
    if not worker_ttl:
        return math.inf
    return max(worker_ttl - TTL_MARGIN_S, worker_ttl / 2, 10 * heartbeat)


def seems_lost(job: TrackedJob, now: float) -> bool:
    """Return whether a job has been without workers for long enough to check on it."""
    if job.without_workers_since is None:
        return False
    soon = max(WORKERS_LOST_AFTER_S - NANNY_TIMEOUT_S, WORKERS_LOST_AFTER_S / 2)
    wait = ENDING_S if job.ended_in_order else soon
    return now - max(job.without_workers_since, job.nannies_asked_at) >= wait


def _restarts_in_vain(job: TrackedJob, now: float) -> bool:
    since = job.without_workers_since
    return since is not None and now - since >= CLIENT_RESTART_GRACE_S
