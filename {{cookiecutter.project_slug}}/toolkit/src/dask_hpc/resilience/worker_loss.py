"""Find workers that have fallen silent and jobs that have lost all workers, and end these jobs."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import dask.config
from dask.utils import parse_timedelta
from distributed.comm.core import connect
from distributed.core import Status
from distributed.scheduler import heartbeat_interval

from ..batch import JobState
from ..batch import watcher as batch_watcher
from .draining import remove_worker, unanswered
from .tracking import JobTracker, TrackedJob, workers_named

if TYPE_CHECKING:
    from distributed.scheduler import WorkerState

    from ..cluster.mixin import ClusterMixin

logger = logging.getLogger(__name__)

# A connection may break and come back. A job that the batch system lists as running is lost after
# so long without any worker, unless its nannies are there, which start workers again.
LOST_AFTER_S = 15.0
# Where they have ended in order, a job has so long to end, too: its script may go on.
ENDING_S = 60.0
# A nanny is there if it answers within so many seconds, the last ones of those above.
NANNY_TIMEOUT_S = 3.0
# Python may start slowly, from a busy file system. After so long its nannies have tried in vain.
CLIENT_RESTART_GRACE_S = 600.0
# A silent worker is removed that long before worker-ttl: two ticks.
TTL_MARGIN_S = 2.0


class LostWorkerMonitor:
    """Follows the workers of all jobs, and cancels jobs whose workers are lost.

    Parameters
    ----------
    cluster : ClusterMixin
    members : JobTracker
    spawn : callable
        Runs a coroutine in the background.
    """

    def __init__(
        self,
        cluster: ClusterMixin,
        members: JobTracker,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
    ):
        self._cluster = cluster
        self._members = members
        self._spawn = spawn
        self._checking = False
        self._resumed = 0.0  # when the event loop went on after a halt (time.time)

    def on_worker_added(self, worker: WorkerState) -> None:
        """Note that a worker has registered, or has told which job it belongs to."""
        if (member := self._members.first_worker_at(worker)) is None:
            self._ask_workers()
            return
        if member.lost_reason:  # its nanny has started one again, in a job that is about to end
            self._spawn(remove_worker(self._cluster.scheduler, worker.address, "job-lost"))
            return
        member.without_workers_since = None
        member.died = False
        if member.first_worker_at is None:
            member.first_worker_at = time.monotonic()
        if member.running_since is None:
            self._cluster.watcher.poll_soon()  # since when it runs

    def on_worker_removed(self, address: str, closing: str) -> TrackedJob | None:
        """Note that a worker is gone; return its job, if that is known."""
        if (member := self._members.left(address)) is None:
            return None
        member.ended_in_order = closing == Status.closing_gracefully.name
        if not member.addresses:
            member.without_workers_since = time.monotonic()
            self._cluster.watcher.poll_soon()
        return member

    def on_loop_stall(self) -> None:
        """Note that the event loop was held up for longer than its timers ask for."""
        self._resumed = time.time()

    async def tick(self) -> None:
        """Look for lost workers and jobs, which nobody reports. To be called now and then."""
        now = time.monotonic()
        await self._remove_silent_workers(now)
        self._ask_workers()
        self._members.settle()
        lost = [member for member in self._members if self._seems_lost(member, now)]
        asked = now - self._cluster.watcher.last_poll < batch_watcher.MIN_POLL_INTERVAL_S
        if lost and not self._checking and not asked:
            self._checking = True
            self._spawn(self._confirm_lost(lost))

    async def _remove_silent_workers(self, now: float) -> None:
        scheduler = self._cluster.scheduler
        # distributed itself looks every worker-ttl only, so that up to twice as much may pass. Ours
        # comes before: it would ask the silent node to restart its workers, and complain at close.
        patience = math.inf
        if ttl := getattr(scheduler, "worker_ttl", None):
            patience = max(
                ttl - TTL_MARGIN_S, ttl / 2, 10 * heartbeat_interval(len(scheduler.workers))
            )
        # The system breaks an idle connection to a node that it can't reach; but it begins to count
        # anew when something is sent, as Dask does to take tasks from a slow worker.
        broken = parse_timedelta(dask.config.get("distributed.comm.timeouts.tcp"), "s")
        for worker in list(scheduler.workers.values()):
            # What came while this process was stopped or busy has yet to be read.
            silent = time.time() - max(worker.last_seen, self._resumed)
            if silent > broken and unanswered(scheduler, worker.address) > broken:
                logger.info("The node of worker %s does not answer", worker.name)
                await remove_worker(scheduler, worker.address, "unreachable", expected=False)
            elif silent > patience and (member := self._members.of(worker.address)) is not None:
                logger.info("Nothing was heard from worker %s for %.0f s", worker.name, silent)
                # Its task may be the reason, so that death counts: it is not to kill them all.
                await remove_worker(scheduler, worker.address, "silent", expected=False)
                member.unresponsive = True
                if not member.addresses:
                    member.without_workers_since = now - LOST_AFTER_S  # the wait is over already

    @staticmethod
    def _seems_lost(member: TrackedJob, now: float) -> bool:
        """Return whether a job has been without workers for so long that it has to be checked."""
        if member.without_workers_since is None:
            return False
        soon = max(LOST_AFTER_S - NANNY_TIMEOUT_S, LOST_AFTER_S / 2)
        wait = ENDING_S if member.ended_in_order else soon
        return now - max(member.without_workers_since, member.asked) >= wait

    async def _confirm_lost(self, members: list[TrackedJob]) -> None:
        """Cancel jobs without workers that the batch system, asked again, reports as running."""
        cluster, watcher = self._cluster, self._cluster.watcher
        try:
            restarting = await asyncio.gather(*map(self._is_restarting, members))
            members = [m for m, again in zip(members, restarting, strict=True) if not again]
            if not members or not await poll_now(watcher):
                return
            for member in members:
                if member.name not in cluster.worker_spec or member.without_workers_since is None:
                    continue  # its workers have left in order, or one is back
                status = watcher.jobs.get(member.job_id)
                # Otherwise it is over, which comes as an event, or is back in the queue.
                if (
                    status is not None
                    and status.state is JobState.RUNNING
                    and not member.lost_reason
                ):
                    member.lost_reason = "nothing is heard from {its} workers any more"
                    if (
                        not member.unresponsive
                        and time.monotonic() - member.without_workers_since
                        >= CLIENT_RESTART_GRACE_S
                    ):
                        member.lost_reason = "{its} workers did not start again"
            lost = [member.job_id for member in members if member.lost_reason]
        finally:
            self._checking = False
        if lost:
            await cluster.canceller.cancel(*lost)

    async def _is_restarting(self, member: TrackedJob) -> bool:
        """Return whether a nanny of the job is there, which starts its worker anew."""
        now = time.monotonic()
        if (
            member.unresponsive
            or member.without_workers_since is None
            or now - member.without_workers_since >= CLIENT_RESTART_GRACE_S
        ):
            return False
        # Distributed's handshake is the process's answer: the kernel alone, which goes on to take
        # connections for a process that is stopped, does not give it.
        answers = await asyncio.gather(*map(self._answers, member.nannies))
        if any(answers):
            member.asked = now
        return any(answers)

    async def _answers(self, address: str) -> bool:
        try:
            async with asyncio.timeout(NANNY_TIMEOUT_S):
                arguments = self._cluster.scheduler.connection_args
                comm = await connect(address, timeout=NANNY_TIMEOUT_S, **arguments)
        except OSError:
            return False
        comm.abort()
        return True

    def _ask_workers(self) -> None:
        """Ask workers which job they belong to, where their names do not tell."""
        for address in self._members.unasked():
            self._spawn(self._ask_worker(address))

    async def _ask_worker(self, address: str) -> None:
        if await self._members.ask(address):
            for worker in workers_named(self._cluster.scheduler, [address]):
                self.on_worker_added(worker)


async def poll_now(watcher: batch_watcher.JobWatcher) -> bool:
    """Ask the batch system about the jobs now; return whether it has answered."""
    before = time.monotonic()
    await watcher.poll()
    return bool(watcher.last_poll >= before)
