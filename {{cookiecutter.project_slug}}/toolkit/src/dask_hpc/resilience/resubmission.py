"""Keep a cluster at the jobs that it was scaled to, when jobs end that nobody wanted to end."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dask.config
from dask.utils import parse_timedelta
from distributed.comm.core import connect
from distributed.core import Status
from distributed.scheduler import heartbeat_interval

from .._asyncio import BackgroundTasks
from .._compat.unrunnable_tasks import restart_unrunnable
from .._output import formatting, messages
from ..batch import BatchSystem, JobState, JobStatus, describe
from ..batch import watcher as batch_watcher
from ..errors import SubmitError
from .draining import remove_worker, retire, stop_accepting, unanswered
from .node_health import NodeHealth
from .rescheduling import forgive_orderly_end, reschedule_off
from .tracking import JobKind, JobTracker, RestartHistory, TrackedJob, workers_named

if TYPE_CHECKING:
    from distributed.scheduler import WorkerState

    from ..cluster.mixin import ClusterMixin

logger = logging.getLogger(__name__)

# A job that worked for so long starts the row anew (seconds).
FAILURE_RESET_S = 600.0
# Seconds before it is submitted again: doubled each time, so that a site in trouble is left alone.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Between tries while the job that it replaces is still there, seconds.
QUOTA_RETRY_S = 10.0
# A connection may break and come back. After so long without any worker a job that the batch system
# takes for running is given up, unless its nannies are there, which start workers anew.
LOST_AFTER_S = 15.0
# Where they have ended in order, a job has so long to end, too: its script may go on.
ENDING_S = 60.0
# A nanny is there if it answers within so many seconds, the last ones of those above.
ANSWER_S = 3.0
# Python may start slowly, from a busy file system. After so long its nannies have tried in vain.
CLIENT_RESTART_GRACE_S = 600.0
# A silent worker is given up that long before worker-ttl, seconds: two looks.
TTL_MARGIN_S = 2.0
# Endings that come this close together are told in one line, seconds.
COALESCE_S = 0.3

# Nodes that are named where jobs ended for one reason.
MAX_NAMED_NODES = 2

# Ends that say nothing about the job itself.
INFRASTRUCTURE_FAILURES = {JobState.NODE_FAIL, JobState.PREEMPTED}
# Ends that come in the life of every job.
EXPECTED_ENDS = {JobState.TIMEOUT, JobState.DONE}
# Ends for which the node is not to blame, or of which the batch system knows itself.
ENDS_NOT_BLAMING_NODE = INFRASTRUCTURE_FAILURES | {
    JobState.TIMEOUT,
    JobState.CANCELLED,
    JobState.OUT_OF_MEMORY,
    JobState.GONE,
}
# What the workers of a deadly node get to give their results to others, seconds.
EVICTION_DRAIN_S = 20.0


class Resubmitter:
    """Notices when jobs of a cluster end, and submits others in their place.

    It ignores jobs that the toolkit itself has ended. When somebody else cancels a job, it says so
    and the cluster stays smaller. Every other job is submitted again, under a new name, since a
    worker of the old job might still be there; a limited number of times in a row, with growing
    pauses. All of it runs on the cluster's event loop.

    Parameters
    ----------
    cluster : ClusterMixin
    again : int
        How many times in a row a job is submitted again.
    """

    def __init__(self, cluster: ClusterMixin, again: int):
        self.again = again
        self.abandoned = 0  # jobs that are not submitted again, since the last scale() or adapt()
        self.said: list[str] = []  # all that was told, oldest first
        self.nodes = NodeHealth()
        self._cluster = cluster
        self.members = JobTracker(cluster)  # the jobs that are not over
        self._inherited: dict[
            str, RestartHistory
        ] = {}  # by name: jobs submitted in another's place
        self._connected = False  # whether any worker of any job ever came
        self._ended: list[tuple[TrackedJob, JobStatus]] = []
        self.tasks = BackgroundTasks("Recovery")
        self._returning = 0
        self._closed = False
        self._checking = False
        self._refusal: SubmitError | None = None  # the last one
        self._told_of_waiting = False  # that tasks wait, and no job is there for them
        self._resumed = 0.0  # when the event loop went on after a halt (time.time)

    @property
    def pending(self) -> int:
        """Jobs that are about to be submitted again."""
        return len(self._ended) + self._returning

    @property
    def submitting(self) -> bool:
        """Whether jobs are being submitted again at this moment."""
        return bool(self._inherited)

    # --- what happens -----------------------------------------------------------------------------

    def submitted(self, name: str, job_id: str, kind: JobKind) -> None:
        history = self._inherited.pop(name, None) or RestartHistory(kind=kind)
        self.members.add(name, job_id, kind, history)
        # One may be faster than the answer of the submit command.
        for worker in self.members.unknown():
            self.on_worker_added(worker)

    def on_worker_added(self, worker: WorkerState) -> None:
        """Note that a worker has registered, or has told which job it belongs to.

        Parameters
        ----------
        worker : distributed.scheduler.WorkerState
        """
        self._connected = True
        if (member := self.members.first_worker_at(worker)) is None:
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
        if (member := self.members.left(address)) is None:
            return
        member.ended_in_order = closing == Status.closing_gracefully.name
        if not member.addresses:
            member.without_workers_since = time.monotonic()
            self._cluster.watcher.poll_soon()
        if not tasks or member.lost_reason:
            return
        if member.ended_in_order:
            forgive_orderly_end(self._cluster.scheduler, tasks)
            return
        member.died = member.died or not closing
        # If one of them is what killed it, it shows elsewhere; if not, it is safe there. Dask gives
        # a task up after so many deaths, and the workers of one node may die again and again.
        node = self._node_of(member)
        beside = [m for m in self.members if m is member or (node and self._node_of(m) == node)]
        reschedule_off(self._cluster.scheduler, tasks, {a for m in beside for a in m.addresses})
        # Where it is the only node, there is nothing to compare it with.
        if node and self._has_workers_elsewhere(node):
            self.nodes.died(node, member.job_id, tasks)
            if self.nodes.is_unhealthy(node) and self._can_exclude([node]):
                self._spawn(self._evict_node(node))

    def task_ended(self, address: str) -> None:
        """Note that a task has ended on a worker, successfully or not."""
        if (member := self.members.of(address)) is not None:
            member.useful = True

    def on_event(self, event: batch_watcher.JobEvent) -> None:
        """React to what the batch system newly says about a job."""
        if not event.state.ended:
            if (member := self.members.get(event.job)) is not None:
                if event.state is JobState.PENDING:  # put back into the queue: it will come again
                    member.running_since = member.without_workers_since = None
                elif event.state is JobState.RUNNING and member.running_since is None:
                    status = self._cluster.watcher.jobs.get(event.job)
                    ran = status.elapsed if status is not None else None
                    member.running_since = time.monotonic() - (ran or 0.0)
                if event.node:
                    self.nodes.seen(event.node)
            return
        member = self.members.pop(event.job)
        if member is None:
            return
        if self._closed or (event.reason == "by us" and not member.lost_reason):
            self.members.forget(member)
            return
        if event.state in ENDS_NOT_BLAMING_NODE and not member.lost_reason:
            self.nodes.clear_deaths(event.job)
        elif self._node_failed(member, event.state) and self._has_workers_elsewhere(event.node):
            self.nodes.exclude(event.node)
        status = JobStatus(event.job, event.state, event.reason, event.node)
        self._ended.append((member, status))
        if len(self._ended) == 1:
            self._spawn(self._batch_ended())

    async def tick(self) -> None:
        """Look for what nobody reports. To be called now and then."""
        scheduler, now = self._cluster.scheduler, time.monotonic()
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
            elif silent > patience and (member := self.members.of(worker.address)) is not None:
                logger.info("Nothing was heard from worker %s for %.0f s", worker.name, silent)
                # Its task may be the reason, so that death counts: it is not to kill them all.
                await remove_worker(scheduler, worker.address, "silent", expected=False)
                member.unresponsive = True
                if not member.addresses:
                    member.without_workers_since = now - LOST_AFTER_S  # the wait is over already
        self._ask_workers()
        self.members.settle()
        self._look_for_tasks_without_jobs()
        lost = [member for member in self.members if self._seems_lost(member, now)]
        asked = now - self._cluster.watcher.asked < batch_watcher.AGAIN
        if lost and not self._checking and not asked:
            self._checking = True
            self._spawn(self._confirm_lost(lost))
        restart_unrunnable(scheduler)

    def _look_for_tasks_without_jobs(self) -> None:
        """Say, once, that tasks wait for workers while no job is there or about to come."""
        cluster, scheduler = self._cluster, self._cluster.scheduler
        over = not (len(self.members) or self.pending or cluster.worker_spec or scheduler.workers)
        waiting = len(scheduler.queued) + len(scheduler.unrunnable)
        if not over or not self.abandoned or not waiting or cluster.adapting:
            self._told_of_waiting = self._told_of_waiting and over
        elif not self._told_of_waiting:
            self._told_of_waiting = True
            tasks = "a task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.tell(f"No job is left, and {tasks}: cluster.scale(jobs=...) asks for new ones.")

    def on_loop_stall(self) -> None:
        """Note that the event loop was held up for longer than its timers ask for."""
        self._resumed = time.time()

    def close(self) -> None:
        """Stop reporting and submitting, since the cluster is closing."""
        self._closed = True
        self.tasks.cancel()
        self._ended.clear()
        self._returning = 0

    def reset_failures(self) -> None:
        """Forget what failed before, since the user asks for jobs anew."""
        self.abandoned = 0

    # --- what follows -----------------------------------------------------------------------------

    @staticmethod
    def _seems_lost(member: TrackedJob, now: float) -> bool:
        """Return whether a job has been without workers for so long that it has to be checked."""
        if member.without_workers_since is None:
            return False
        wait = ENDING_S if member.ended_in_order else max(LOST_AFTER_S - ANSWER_S, LOST_AFTER_S / 2)
        return now - max(member.without_workers_since, member.asked) >= wait

    async def _confirm_lost(self, members: list[TrackedJob]) -> None:
        """Cancel jobs without workers that the batch system, asked again, reports as running."""
        cluster, watcher = self._cluster, self._cluster.watcher
        try:
            restarting = await asyncio.gather(*map(self._is_restarting, members))
            members = [m for m, again in zip(members, restarting, strict=True) if not again]
            if not members or not await self._refresh():
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
            await cluster._canceller.cancel(*lost)

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
            async with asyncio.timeout(ANSWER_S):
                arguments = self._cluster.scheduler.connection_args
                comm = await connect(address, timeout=ANSWER_S, **arguments)
        except OSError:
            return False
        comm.abort()
        return True

    def _ask_workers(self) -> None:
        """Ask workers which job they belong to, where their names do not tell."""
        for address in self.members.unasked():
            self._spawn(self._ask_worker(address))

    async def _ask_worker(self, address: str) -> None:
        if await self.members.ask(address):
            for worker in workers_named(self._cluster.scheduler, [address]):
                self.on_worker_added(worker)

    async def _evict_node(self, node: str) -> None:
        """Submit the jobs of a node again, for other nodes: workers die there and nowhere else."""
        cluster, watcher = self._cluster, self._cluster.watcher
        # The batch system may know why; or this was said already, by another death.
        if not await self._refresh() or not self.nodes.is_unhealthy(node):
            return
        self.nodes.exclude(node)
        lost = []
        for member in self.members:
            status = watcher.jobs.get(member.job_id)
            there = status is not None and (status.state, status.node) == (JobState.RUNNING, node)
            wanted = member.name in cluster.worker_spec and member.history.failures < self.again
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
        await cluster._canceller.cancel(*(member.job_id for member in lost))

    async def _refresh(self) -> bool:
        """Ask the batch system about the jobs now; return whether it has answered."""
        watcher, before = self._cluster.watcher, time.monotonic()
        await watcher.poll()
        return bool(watcher.asked >= before)

    def _has_workers_elsewhere(self, node: str) -> bool:
        """Return whether workers are on nodes other than this one, if that one is known."""
        return bool(node) and any(
            member.addresses and self._node_of(member) not in ("", node) for member in self.members
        )

    def _can_exclude(self, nodes: list[str]) -> bool:
        """Return whether jobs can be submitted so that they do not run on these nodes."""
        if not nodes:
            return False
        cluster = self._cluster
        return bool(cluster.batch.exclude_args(nodes, cluster._dummy_job.job_extra_directives))

    def _node_of(self, member: TrackedJob) -> str:
        status = self._cluster.watcher.jobs.get(member.job_id)
        return status.node if status is not None else ""

    def _node_failed(self, member: TrackedJob, state: JobState) -> bool:
        """Return whether an ended job's workers were lost, or never came although others did."""
        if (
            member.lost_reason
            or member.unresponsive
            or (member.first_worker_at is None and self._connected)
        ):
            return True
        # They ended in order, with work to do: they did not reach the scheduler any more.
        return member.died and state is JobState.DONE

    async def _batch_ended(self) -> None:
        await asyncio.sleep(COALESCE_S)
        ended, self._ended = self._ended, []
        if self._cluster.status is not Status.running:
            return
        groups: dict[tuple[float | None, str, bool, str], list[tuple[TrackedJob, JobStatus]]] = {}
        for member, status in ended:
            wanted = member.name in self._cluster.worker_spec
            await self._remove(member)
            if wanted:
                judged = self._decide(member, status)
                groups.setdefault((*judged, member.lost_reason), []).append((member, status))
        for (again, words, unexplained, _), group in groups.items():
            self._apply(again, words, unexplained, group)

    async def _remove(self, member: TrackedJob) -> None:
        """Remove every trace of an ended job from the cluster and its scheduler."""
        cluster = self._cluster
        cluster.worker_spec.pop(member.name, None)
        job = cluster.workers.pop(member.name, None)
        for address in list(member.addresses):
            await remove_worker(cluster.scheduler, address, "job-ended")
        self.members.forget(member)
        if job is not None:
            await job.close()

    def _decide(self, member: TrackedJob, status: JobStatus) -> tuple[float | None, str, bool]:
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
        cluster, history, state = self._cluster, member.history, status.state
        if member.uptime > FAILURE_RESET_S:
            history.failures = 0
        if state is JobState.CANCELLED and not member.lost_reason:
            return None, "Cancelled by somebody else, so it is not submitted again", False
        if (
            member.first_worker_at is None
            and state not in INFRASTRUCTURE_FAILURES
            and not self._connected
        ):
            # What kept the first job from working keeps the others from it, too.
            return None, "None of its workers came, so it is not submitted again", True
        if self._ended_in_order(member, state):
            return (*self._renewed(member), False)
        if state in EXPECTED_ENDS and member.uptime > 60:
            return FIRST_PAUSE, "Another one is submitted", False
        if state is JobState.OUT_OF_MEMORY:
            history.out_of_memory += 1
            asked = cluster.describe_memory()
            advice = f"Each worker had {asked}: give more memory, or fewer processes a job"
            if history.out_of_memory > 1 or self.again < 1:
                return None, f"It is not submitted again. {advice}", False
            return FIRST_PAUSE, f"It is submitted again once. {advice}", False
        history.failures += 1
        own = state not in ENDS_NOT_BLAMING_NODE or state is JobState.GONE
        unexplained = member.first_worker_at is None and own and history.failures == 1
        if history.failures > self.again:
            times = f"after {self.again} times in a row " if self.again else ""
            return None, f"It is not submitted again {times}", unexplained
        pause = self._pause(history.failures)
        again = f"It is submitted again in {pause:g} s ({history.failures} of {self.again})"
        if self._can_exclude(bad := self.nodes.excluded):
            again += f", not on {', '.join(bad)}"
        return pause, again, unexplained

    @staticmethod
    def _ended_in_order(member: TrackedJob, state: JobState) -> bool:
        """Return whether a job's workers came and then left as they were told, however soon."""
        if (
            member.first_worker_at is None
            or member.lost_reason
            or member.unresponsive
            or member.died
        ):
            return False
        if state is JobState.GONE:
            # Workers also close by themselves when their job is cancelled.
            return member.ended_in_order
        return state in EXPECTED_ENDS

    def _renewed(self, member: TrackedJob) -> tuple[float, str]:
        """Return the seconds until a job that ended in order is replaced, and that in words."""
        history = member.history
        history.failures = 0
        # One that ends as soon as it has come, before it has done anything, is no failure, but the
        # batch system is not to be kept busy with it.
        history.idle = 0 if member.useful or member.uptime > 60 else history.idle + 1
        if history.idle > 1:
            pause = self._pause(history.idle)
            longer = pause > self._pause(history.idle - 1)
            return pause, f"Another one is submitted in {pause:g} s" if longer else ""
        told, history.told = history.told, True
        return FIRST_PAUSE, "" if told else "Another one is submitted"

    def _apply(
        self,
        again: float | None,
        words: str,
        unexplained: bool,
        group: list[tuple[TrackedJob, JobStatus]],
    ) -> None:
        statuses = [status for _, status in group]
        member = group[0][0]
        if member.lost_reason:
            names = formatting.format_job_ids(sorted(status.job for status in statuses))
            its, it = ("its", "it was") if len(group) == 1 else ("their", "they were")
            what = f"{names}: {member.lost_reason.format(its=its)}, so {it} cancelled"
        else:
            what = describe_ends(self._cluster.batch, statuses)
        found = self._cluster.diagnosis.ended(member) if unexplained else ""
        parts = [what, words, found] if again is None else [what, found, words]
        line = " ".join(f"{part.strip().rstrip('.')}." for part in parts if part.strip())
        line = f"{line[0].upper()}{line[1:]}"
        self.tell(line) if words else logger.info("%s", line)
        if again is None:
            self.abandoned += len(group)
            self._cluster._target_jobs -= len(group)
            return
        self._returning += len(group)
        histories = [member.history for member, _ in group]
        self._spawn(self._resubmit(again, histories))

    def schedule_successor(self, member: TrackedJob, end: float) -> None:
        """Submit another job in place of one that ends by then (`time.monotonic`)."""
        member.history.before = end + LONGEST_PAUSE
        self._returning += 1
        self._spawn(self._resubmit(0.0, [member.history]))

    async def _resubmit(self, pause: float, histories: list[RestartHistory]) -> None:
        cluster = self._cluster
        await asyncio.sleep(pause)
        self._returning -= len(histories)
        if cluster.status is not Status.running:
            return
        mine = {}
        for history in histories:
            if len(cluster.worker_spec) < cluster._target_jobs:
                spec = cluster.new_worker_spec(history.kind)
                mine.update(dict.fromkeys(spec, history))
                cluster.worker_spec.update(spec)
        self._inherited.update(mine)
        try:
            # Shielded: others wait for the same round, and its submissions have to be noted.
            await asyncio.shield(cluster._correct_state())
        finally:
            # Those that were taken have been noted by now.
            refused = [self._inherited.pop(name) for name in mine if name in self._inherited]
        # Two that return at once may be refused together, for one reason.
        self._refusal = cluster.pop_submit_error() or self._refusal
        if refused and self._refusal is not None:
            self._handle_submit_errors(self._refusal, refused)

    def _handle_submit_errors(self, refusal: SubmitError, histories: list[RestartHistory]) -> None:
        """Handle the refusal of jobs that were submitted again."""
        now, later = time.monotonic(), []
        for history in histories:
            if now < history.before:  # its predecessor still counts for the site's limits
                later.append(history)
                continue
            history.failures += 1
            if history.failures <= self.again:
                later.append(history)
        if len(later) < len(histories):
            self.abandoned += len(histories) - len(later)
            self.tell(f"{refusal} It is not submitted again.")
        if not later:
            return
        failures = max(history.failures for history in later)
        pause = self._pause(failures) if failures else QUOTA_RETRY_S
        count = f" ({failures} of {self.again})" if failures else ""
        line = f"{refusal} Next try in {pause:g} s{count}."
        if failures or line not in self.said:
            self.tell(line)
        self._cluster._target_jobs += len(later)
        self._returning += len(later)
        self._spawn(self._resubmit(pause, later))

    @staticmethod
    def _pause(failures: int) -> float:
        return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE)

    def tell(self, line: str) -> None:
        self.said.append(line)
        messages.warning(line)

    def _spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        if self._closed:
            coroutine.close()
            return
        self.tasks.spawn(coroutine)


def describe_ends(batch: BatchSystem, ended: Iterable[JobStatus]) -> str:
    """Describe ended jobs, in one phrase for jobs of many nodes that ended for one reason."""
    groups: dict[tuple[JobState, str], list[JobStatus]] = {}
    for status in ended:
        groups.setdefault((status.state, status.reason), []).append(status)
    for group in groups.values():
        if len({status.node for status in group}) > MAX_NAMED_NODES:
            group[:] = [dataclasses.replace(status, node="") for status in group]
    return describe.describe(batch, itertools.chain.from_iterable(groups.values()))
