"""Judge nodes by how workers and jobs end on them, and submit the jobs of bad nodes elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from ..batch import JobState
from .draining import remove_worker, retire, stop_accepting
from .node_health import NodeHealth
from .rescheduling import reschedule_off
from .tracking import JobTracker, TrackedJob, workers_named
from .worker_loss import poll_now

if TYPE_CHECKING:
    from ..cluster.mixin import ClusterMixin

logger = logging.getLogger(__name__)

# Ends that say nothing about the job itself.
INFRASTRUCTURE_FAILURES = {JobState.NODE_FAIL, JobState.PREEMPTED}
# Ends for which the node is not to blame, or of which the batch system knows itself.
ENDS_NOT_BLAMING_NODE = INFRASTRUCTURE_FAILURES | {
    JobState.TIMEOUT,
    JobState.CANCELLED,
    JobState.OUT_OF_MEMORY,
    JobState.GONE,
}
# What the workers of an unhealthy node get to give their results to others.
EVICTION_DRAIN_S = 20.0


class NodeEvictor:
    """Takes jobs away from nodes on which workers die, and keeps further ones from there.

    Parameters
    ----------
    cluster : ClusterMixin
    tracker : JobTracker
    health : NodeHealth
    spawn : callable
        Runs a coroutine in the background.
    """

    def __init__(
        self,
        cluster: ClusterMixin,
        tracker: JobTracker,
        health: NodeHealth,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
    ):
        self._cluster = cluster
        self._tracker = tracker
        self._health = health
        self._spawn = spawn

    def on_worker_died(self, job: TrackedJob, tasks: Sequence[str]) -> None:
        """Send a dead worker's tasks to other nodes; evict its node if workers die only there."""
        # If one of them is what killed it, it shows elsewhere; if not, it is safe there. Dask gives
        # a task up after so many deaths, and the workers of one node may die again and again.
        node = self._node_of(job)
        beside = [j for j in self._tracker if j is job or (node and self._node_of(j) == node)]
        reschedule_off(self._cluster.scheduler, tasks, {a for j in beside for a in j.addresses})
        # Where it is the only node, there is nothing to compare it with.
        if node and self.has_workers_elsewhere(node):
            self._health.record_death(node, job.job_id, tasks)
            if self._health.is_unhealthy(node) and self._cluster.can_exclude([node]):
                self._spawn(self._evict(node))

    def on_job_ended(
        self, job: TrackedJob, state: JobState, node: str, any_worker_came: bool
    ) -> None:
        """Hold the end of a job against its node, or not.

        Parameters
        ----------
        job : TrackedJob
        state : JobState
        node : str
            Empty if it is not known.
        any_worker_came : bool
            Whether any worker of any job ever came.
        """
        if state in ENDS_NOT_BLAMING_NODE and not job.lost_reason:
            self._health.clear_deaths(job.job_id)
        elif _node_failed(job, state, any_worker_came) and self.has_workers_elsewhere(node):
            self._health.exclude(node)

    def has_workers_elsewhere(self, node: str) -> bool:
        """Return whether workers are on nodes other than this one, if that one is known."""
        return bool(node) and any(
            job.addresses and self._node_of(job) not in ("", node) for job in self._tracker
        )

    async def _evict(self, node: str) -> None:
        """Submit the jobs of a node again, for other nodes: workers die there and nowhere else."""
        cluster, watcher = self._cluster, self._cluster.watcher
        # The batch system may know why; or this was said already, by another death.
        if not await poll_now(watcher) or not self._health.is_unhealthy(node):
            return
        self._health.exclude(node)
        lost = []
        for job in self._tracker:
            status = watcher.jobs.get(job.job_id)
            there = status is not None and (status.state, status.node) == (JobState.RUNNING, node)
            returns = job.history.failures < cluster.recovery.max_resubmits
            wanted = job.name in cluster.worker_spec and returns
            if there and wanted and not job.lost_reason:
                job.lost_reason = f"{{its}} workers die on {node}, and nowhere else"
                lost.append(job)
        addresses = {address for job in lost for address in job.addresses}
        try:
            stop_accepting(cluster.scheduler, workers_named(cluster.scheduler, addresses))
            async with asyncio.timeout(EVICTION_DRAIN_S):
                await retire(cluster.scheduler, addresses)
        except Exception:
            # They die there. The jobs must end in any case: nobody would look after them again.
            logger.info("Not all results of %s were moved", node, exc_info=True)
        for job in lost:
            for address in list(job.addresses):
                await remove_worker(cluster.scheduler, address, "job-lost")
        await cluster.canceller.cancel(*(job.job_id for job in lost))

    def _node_of(self, job: TrackedJob) -> str:
        status = self._cluster.watcher.jobs.get(job.job_id)
        return status.node if status is not None else ""


def _node_failed(job: TrackedJob, state: JobState, any_worker_came: bool) -> bool:
    """Return whether an ended job's workers were lost, or never came although others did."""
    if job.lost_reason or job.unresponsive:
        return True
    if job.first_worker_at is None and any_worker_came:
        return True
    # They ended in order, with work to do: they did not reach the scheduler any more.
    return job.worker_died and state is JobState.DONE
