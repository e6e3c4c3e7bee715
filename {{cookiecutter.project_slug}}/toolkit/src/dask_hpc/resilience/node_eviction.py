"""Judge nodes by how workers and jobs end on them, and submit the jobs of bad nodes elsewhere."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..batch import JobState, JobStatus
from .draining import remove_worker, retire, stop_accepting
from .rescheduling import reschedule_off, reset_suspicion
from .restart_policy import ENDS_NOT_BLAMING_NODE
from .worker_identity import workers_named

if TYPE_CHECKING:
    from .._asyncio import BackgroundTasks
    from .interface import JobPool
    from .node_health import NodeHealth
    from .restart_policy import RestartLimits
    from .tracked_job import TrackedJob
    from .tracking import JobTracker

logger = logging.getLogger(__name__)

# What the workers of an unhealthy node get to give their results to others.
EVICTION_DRAIN_S = 20.0


@dataclass(eq=False)
class NodeEvictor:
    """Takes jobs away from nodes on which workers die, and keeps further ones from there.

    Parameters
    ----------
    pool : JobPool
    tracker : JobTracker
    tasks : BackgroundTasks
    limits : RestartLimits
    health : NodeHealth
    """

    pool: JobPool
    tracker: JobTracker
    tasks: BackgroundTasks
    limits: RestartLimits
    health: NodeHealth

    def __post_init__(self) -> None:
        self.tracker.on_worker_died.append(self._on_worker_died)
        self.tracker.on_job_ended.append(self._on_job_ended)

    def _on_worker_died(self, job: TrackedJob, tasks: list[str]) -> None:
        """Send a dead worker's tasks to other nodes; evict its node if workers die only there."""
        if job.ended_in_order:
            reset_suspicion(self.pool.scheduler, tasks)
            return
        # If one of them is what killed it, it shows elsewhere; if not, it is safe there. Dask gives
        # a task up after so many deaths, and the workers of one node may die again and again.
        node = job.node
        beside = [j for j in self.tracker if j is job or (node and j.node == node)]
        reschedule_off(self.pool.scheduler, tasks, {a for j in beside for a in j.addresses})
        # Where it is the only node, there is nothing to compare it with.
        if node and self.has_workers_elsewhere(node):
            self.health.record_death(node, job.job_id, tasks)
            if self.health.is_unhealthy(node) and self.pool.can_exclude([node]):
                self.tasks.spawn(self._evict(node))

    def _on_job_ended(self, job: TrackedJob, status: JobStatus) -> None:
        """Hold the end of a job against its node, or not."""
        if status.state in ENDS_NOT_BLAMING_NODE and not job.lost_reason:
            self.health.clear_deaths(job.job_id)
        elif self._node_failed(job, status.state) and self.has_workers_elsewhere(status.node):
            self.health.exclude(status.node)

    def has_workers_elsewhere(self, node: str) -> bool:
        """Return whether workers are on nodes other than this one, if that one is known."""
        return bool(node) and any(
            job.addresses and job.node not in ("", node) for job in self.tracker
        )

    def _node_failed(self, job: TrackedJob, state: JobState) -> bool:
        """Return whether a job's workers were lost, or never came although others did."""
        if job.lost_reason or job.unresponsive:
            return True
        if job.first_worker_at is None and self.tracker.any_worker_came:
            return True
        # They ended in order, with work to do: they did not reach the scheduler any more.
        return job.worker_died and state is JobState.DONE

    async def _evict(self, node: str) -> None:
        """Submit the jobs of a node again, for other nodes: workers die there and nowhere else."""
        pool = self.pool
        # The batch system may know why; or this was said already, by another death.
        if not await pool.poll() or not self.health.is_unhealthy(node):
            return
        self.health.exclude(node)
        lost = []
        for job in self.tracker:
            there = (job.state, job.node) == (JobState.RUNNING, node)
            returns = job.history.failures < self.limits.max_resubmits
            if there and returns and pool.is_wanted(job.name) and not job.lost_reason:
                job.lost_reason = f"{{its}} workers die on {node}, and nowhere else"
                lost.append(job)
        addresses = {address for job in lost for address in job.addresses}
        try:
            stop_accepting(pool.scheduler, workers_named(pool.scheduler, addresses))
            async with asyncio.timeout(EVICTION_DRAIN_S):
                await retire(pool.scheduler, addresses)
        except Exception:
            # They die there. The jobs must end in any case: nobody would look after them again.
            logger.info("Not all results of %s were moved", node, exc_info=True)
        for job in lost:
            for address in list(job.addresses):
                await remove_worker(pool.scheduler, address, "job-lost")
        await pool.cancel([job.job_id for job in lost])
