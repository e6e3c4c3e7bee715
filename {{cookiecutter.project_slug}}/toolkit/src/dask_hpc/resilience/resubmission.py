"""Keep a cluster at the jobs that it was scaled to, when jobs end that nobody wanted to end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from distributed.core import Status

from .._asyncio import BackgroundTasks
from .._compat.unrunnable_tasks import restart_unrunnable
from .._output import formatting, messages
from ..batch import JobState, JobStatus, describe
from ..batch import watcher as batch_watcher
from .draining import remove_worker
from .node_eviction import ENDS_NOT_BLAMING_NODE, INFRASTRUCTURE_FAILURES, NodeEvictor
from .node_health import NodeHealth
from .replacements import MIN_RESUBMIT_DELAY_S, Replacements, backoff
from .rescheduling import reset_suspicion
from .tracking import JobKind, JobTracker, RestartHistory, TrackedJob
from .worker_loss import LostWorkerMonitor

if TYPE_CHECKING:
    from distributed.scheduler import WorkerState

    from ..cluster.mixin import ClusterMixin

logger = logging.getLogger(__name__)

# A job that worked for so long starts the row anew (seconds).
FAILURE_RESET_S = 600.0
# Endings that come this close together are told in one line, seconds.
COALESCE_S = 0.3
# Ends that come in the life of every job.
EXPECTED_ENDS = {JobState.TIMEOUT, JobState.DONE}


class Resubmitter:
    """Notices when jobs of a cluster end, and submits others in their place.

    It ignores jobs that the toolkit itself has ended. When somebody else cancels a job, it says so
    and the cluster stays smaller. Every other job is submitted again, under a new name, since a
    worker of the old job might still be there; a limited number of times in a row, with growing
    pauses. All of it runs on the cluster's event loop.

    Parameters
    ----------
    cluster : ClusterMixin
    max_resubmits : int
        How many times in a row a job is submitted again.
    """

    def __init__(self, cluster: ClusterMixin, max_resubmits: int):
        self.max_resubmits = max_resubmits
        self.abandoned = 0  # jobs that are not submitted again, since the last scale() or adapt()
        self.reported: list[str] = []  # all that was told, oldest first
        self.tracker = JobTracker(cluster)  # the jobs that are not over
        self.nodes = NodeHealth()
        self.lost_workers = LostWorkerMonitor(cluster, self.tracker, self._spawn)
        self.evictor = NodeEvictor(cluster, self.tracker, self.nodes, self._spawn)
        self.replacements = Replacements(cluster, self._spawn)
        self._cluster = cluster
        self._connected = False  # whether any worker of any job ever came
        self._ended: list[tuple[TrackedJob, JobStatus]] = []
        self.tasks = BackgroundTasks("Recovery")
        self._closed = False
        self._warned_of_waiting = False  # that tasks wait, and no job is there for them

    @property
    def scheduled(self) -> int:
        """Jobs that are about to be submitted again."""
        return len(self._ended) + self.replacements.scheduled

    # --- what happens -----------------------------------------------------------------------------

    def on_job_submitted(self, name: str, job_id: str, kind: JobKind) -> None:
        history = self.replacements.take_history(name) or RestartHistory(kind=kind)
        self.tracker.add(name, job_id, kind, history)
        # One may be faster than the answer of the submit command.
        for worker in self.tracker.unidentified_workers():
            self.on_worker_added(worker)

    def on_worker_added(self, worker: WorkerState) -> None:
        """Note that a worker has registered, or has told which job it belongs to.

        Parameters
        ----------
        worker : distributed.scheduler.WorkerState
        """
        self._connected = True
        self.lost_workers.on_worker_added(worker)

    def on_worker_removed(self, address: str, tasks: Sequence[str] = (), closing: str = "") -> None:
        """Note that a worker is gone.

        Parameters
        ----------
        address : str
            The worker's address.
        tasks : sequence of str
            Keys of the tasks that it had, if nobody had asked it to leave.
        closing : str
            The last status that it reported, if that was one of those before its end; empty if it
            reported none, as when its process is killed or its connection breaks.
        """
        job = self.lost_workers.on_worker_removed(address, closing)
        if job is None or not tasks or job.lost_reason:
            return
        if job.ended_in_order:
            reset_suspicion(self._cluster.scheduler, tasks)
            return
        job.worker_died = job.worker_died or not closing
        self.evictor.on_worker_died(job, tasks)

    def on_task_ended(self, address: str) -> None:
        """Note that a task has ended on a worker, successfully or not."""
        if (job := self.tracker.by_address(address)) is not None:
            job.useful = True

    def on_event(self, event: batch_watcher.JobEvent) -> None:
        """React to what the batch system newly says about a job."""
        if not event.state.ended:
            if (job := self.tracker.get(event.job)) is not None:
                if event.state is JobState.PENDING:  # put back into the queue: it will come again
                    job.running_since = job.without_workers_since = None
                elif event.state is JobState.RUNNING and job.running_since is None:
                    status = self._cluster.watcher.jobs.get(event.job)
                    ran = status.elapsed if status is not None else None
                    job.running_since = time.monotonic() - (ran or 0.0)
                if event.node:
                    self.nodes.record_node(event.node)
            return
        job = self.tracker.pop(event.job)
        if job is None:
            return
        if self._closed or (event.reason == "by us" and not job.lost_reason):
            self.tracker.forget(job)
            return
        self.evictor.on_job_ended(job, event.state, event.node, self._connected)
        status = JobStatus(event.job, event.state, event.reason, event.node)
        self._ended.append((job, status))
        if len(self._ended) == 1:
            self._spawn(self._batch_ended())

    def tick(self) -> None:
        """Look for tasks that nobody runs. To be called now and then."""
        self._warn_of_waiting_tasks()
        restart_unrunnable(self._cluster.scheduler)

    def _warn_of_waiting_tasks(self) -> None:
        """Say, once, that tasks wait for workers while no job is there or about to come."""
        cluster, scheduler = self._cluster, self._cluster.scheduler
        over = not (len(self.tracker) or self.scheduled or cluster.worker_spec or scheduler.workers)
        waiting = len(scheduler.queued) + len(scheduler.unrunnable)
        if not over or not self.abandoned or not waiting or cluster.adapting:
            self._warned_of_waiting = self._warned_of_waiting and over
        elif not self._warned_of_waiting:
            self._warned_of_waiting = True
            tasks = "a task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.report(f"No job is left, and {tasks}: cluster.scale(jobs=...) asks for new ones.")

    def close(self) -> None:
        """Stop reporting and submitting, since the cluster is closing."""
        self._closed = True
        self.tasks.cancel()
        self._ended.clear()
        self.replacements.clear()

    def reset_failures(self) -> None:
        """Forget what failed before, since the user asks for jobs anew."""
        self.abandoned = 0

    # --- what follows -----------------------------------------------------------------------------

    async def _batch_ended(self) -> None:
        await asyncio.sleep(COALESCE_S)
        ended, self._ended = self._ended, []
        if self._cluster.status is not Status.running:
            return
        groups: dict[tuple[float | None, str, bool, str], list[tuple[TrackedJob, JobStatus]]] = {}
        for job, status in ended:
            wanted = job.name in self._cluster.worker_spec
            await self._remove(job)
            if wanted:
                judged = self._decide(job, status)
                groups.setdefault((*judged, job.lost_reason), []).append((job, status))
        for (again, words, unexplained, _), group in groups.items():
            self._apply(again, words, unexplained, group)

    async def _remove(self, job: TrackedJob) -> None:
        """Remove every trace of an ended job from the cluster and its scheduler."""
        cluster = self._cluster
        cluster.worker_spec.pop(job.name, None)
        batch_job = cluster.workers.pop(job.name, None)
        for address in list(job.addresses):
            await remove_worker(cluster.scheduler, address, "job-ended")
        self.tracker.forget(job)
        if batch_job is not None:
            await batch_job.close()

    def _decide(self, job: TrackedJob, status: JobStatus) -> tuple[float | None, str, bool]:
        """Decide what follows from the end of a job.

        Returns
        -------
        float or None
            Seconds until it is submitted again; None if it is not.
        str
            That decision in words; empty if the user need not hear of it.
        bool
            Whether to look in its log for the reason why none of its workers came.
        """
        cluster, history, state = self._cluster, job.history, status.state
        if job.uptime > FAILURE_RESET_S:
            history.failures = 0
        if state is JobState.CANCELLED and not job.lost_reason:
            return None, "Cancelled by somebody else, so it is not submitted again", False
        if (
            job.first_worker_at is None
            and state not in INFRASTRUCTURE_FAILURES
            and not self._connected
        ):
            # What kept the first job from working keeps the others from it, too.
            return None, "None of its workers came, so it is not submitted again", True
        if self._ended_in_order(job, state):
            return (*self._decide_after_orderly_end(job), False)
        if state in EXPECTED_ENDS and job.uptime > 60:
            return MIN_RESUBMIT_DELAY_S, "Another one is submitted", False
        if state is JobState.OUT_OF_MEMORY:
            history.out_of_memory += 1
            asked = cluster.describe_memory()
            advice = f"Each worker had {asked}: give more memory, or fewer processes a job"
            if history.out_of_memory > 1 or self.max_resubmits < 1:
                return None, f"It is not submitted again. {advice}", False
            return MIN_RESUBMIT_DELAY_S, f"It is submitted again once. {advice}", False
        history.failures += 1
        own = state not in ENDS_NOT_BLAMING_NODE or state is JobState.GONE
        unexplained = job.first_worker_at is None and own and history.failures == 1
        if history.failures > self.max_resubmits:
            times = f"after {self.max_resubmits} times in a row " if self.max_resubmits else ""
            return None, f"It is not submitted again {times}", unexplained
        pause = backoff(history.failures)
        again = f"It is submitted again in {pause:g} s ({history.failures} of {self.max_resubmits})"
        if cluster.can_exclude(bad := self.nodes.excluded):
            again += f", not on {', '.join(bad)}"
        return pause, again, unexplained

    @staticmethod
    def _ended_in_order(job: TrackedJob, state: JobState) -> bool:
        """Return whether a job's workers came and then left as they were told, however soon."""
        if job.first_worker_at is None or job.lost_reason or job.unresponsive or job.worker_died:
            return False
        if state is JobState.GONE:
            # Workers also close by themselves when their job is cancelled.
            return job.ended_in_order
        return state in EXPECTED_ENDS

    def _decide_after_orderly_end(self, job: TrackedJob) -> tuple[float, str]:
        """Return the seconds until a job that ended in order is replaced, and that in words."""
        history = job.history
        history.failures = 0
        # One that ends as soon as it has come, before it has done anything, is no failure, but the
        # batch system is not to be kept busy with it.
        history.idle = 0 if job.useful or job.uptime > 60 else history.idle + 1
        if history.idle > 1:
            pause = backoff(history.idle)
            longer = pause > backoff(history.idle - 1)
            return pause, f"Another one is submitted in {pause:g} s" if longer else ""
        reported, history.end_reported = history.end_reported, True
        return MIN_RESUBMIT_DELAY_S, "" if reported else "Another one is submitted"

    def _apply(
        self,
        again: float | None,
        words: str,
        unexplained: bool,
        group: list[tuple[TrackedJob, JobStatus]],
    ) -> None:
        statuses = [status for _, status in group]
        job = group[0][0]
        if job.lost_reason:
            names = formatting.format_job_ids(sorted(status.job for status in statuses))
            its, it = ("its", "it was") if len(group) == 1 else ("their", "they were")
            what = f"{names}: {job.lost_reason.format(its=its)}, so {it} cancelled"
        else:
            what = describe.describe_ends(self._cluster.batch, statuses)
        found = self._cluster.diagnosis.examine(job) if unexplained else ""
        parts = [what, words, found] if again is None else [what, found, words]
        line = " ".join(f"{part.strip().rstrip('.')}." for part in parts if part.strip())
        line = f"{line[0].upper()}{line[1:]}"
        self.report(line) if words else logger.info("%s", line)
        if again is None:
            self.abandoned += len(group)
            self._cluster.target_jobs -= len(group)
            return
        self.replacements.schedule(again, [job.history for job, _ in group])

    def report(self, line: str) -> None:
        self.reported.append(line)
        messages.warning(line)

    def _spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        if self._closed:
            coroutine.close()
            return
        self.tasks.spawn(coroutine)
