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
    members : JobTracker
    health : NodeHealth
    spawn : callable
        Runs a coroutine in the background.
    """

    def __init__(
        self,
        cluster: ClusterMixin,
        members: JobTracker,
        health: NodeHealth,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
    ):
        self._cluster = cluster
        self._members = members
        self._health = health
        self._spawn = spawn

    def on_worker_died(self, member: TrackedJob, tasks: Sequence[str]) -> None:
        """Send a dead worker's tasks to other nodes; evict its node if workers die only there."""
        # If one of them is what killed it, it shows elsewhere; if not, it is safe there. Dask gives
        # a task up after so many deaths, and the workers of one node may die again and again.
        node = self._node_of(member)
        beside = [m for m in self._members if m is member or (node and self._node_of(m) == node)]
        reschedule_off(self._cluster.scheduler, tasks, {a for m in beside for a in m.addresses})
        # Where it is the only node, there is nothing to compare it with.
        if node and self.has_workers_elsewhere(node):
            self._health.died(node, member.job_id, tasks)
            if self._health.is_unhealthy(node) and self._cluster.can_exclude([node]):
                self._spawn(self._evict(node))

    def on_job_ended(
        self, member: TrackedJob, state: JobState, node: str, any_worker_came: bool
    ) -> None:
        """Hold the end of a job against its node, or not.

        Parameters
        ----------
        member : TrackedJob
        state : JobState
        node : str
            Empty if it is not known.
        any_worker_came : bool
            Whether any worker of any job ever came.
        """
        if state in ENDS_NOT_BLAMING_NODE and not member.lost_reason:
            self._health.clear_deaths(member.job_id)
        elif _node_failed(member, state, any_worker_came) and self.has_workers_elsewhere(node):
            self._health.exclude(node)

    def has_workers_elsewhere(self, node: str) -> bool:
        """Return whether workers are on nodes other than this one, if that one is known."""
        return bool(node) and any(
            member.addresses and self._node_of(member) not in ("", node) for member in self._members
        )

    async def _evict(self, node: str) -> None:
        """Submit the jobs of a node again, for other nodes: workers die there and nowhere else."""
        cluster, watcher = self._cluster, self._cluster.watcher
        # The batch system may know why; or this was said already, by another death.
        if not await poll_now(watcher) or not self._health.is_unhealthy(node):
            return
        self._health.exclude(node)
        lost = []
        for member in self._members:
            status = watcher.jobs.get(member.job_id)
            there = status is not None and (status.state, status.node) == (JobState.RUNNING, node)
            returns = member.history.failures < cluster.recovery.again
            wanted = member.name in cluster.worker_spec and returns
            if there and wanted and not member.lost_reason:
                member.lost_reason = f"{{its}} workers die on {node}, and nowhere else"
                lost.append(member)
        addresses = {address for member in lost for address in member.addresses}
        try:
            stop_accepting(cluster.scheduler, workers_named(cluster.scheduler, addresses))
            async with asyncio.timeout(EVICTION_DRAIN_S):
                await retire(cluster.scheduler, addresses)
        except Exception:
            # They die there. The jobs must end in any case: nobody would look after them again.
            logger.info("Not all results of %s were moved", node, exc_info=True)
        for member in lost:
            for address in list(member.addresses):
                await remove_worker(cluster.scheduler, address, "job-lost")
        await cluster.canceller.cancel(*(member.job_id for member in lost))

    def _node_of(self, member: TrackedJob) -> str:
        status = self._cluster.watcher.jobs.get(member.job_id)
        return status.node if status is not None else ""


def _node_failed(member: TrackedJob, state: JobState, any_worker_came: bool) -> bool:
    """Return whether an ended job's workers were lost, or never came although others did."""
    if member.lost_reason or member.unresponsive:
        return True
    if member.first_worker_at is None and any_worker_came:
        return True
    # They ended in order, with work to do: they did not reach the scheduler any more.
    return member.died and state is JobState.DONE
