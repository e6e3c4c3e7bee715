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

from . import jobs, news
from .errors import SubmitError
from .members import History, Kind, Member, Members, here
from .nodes import Nodes
from .placing import forgive, send_elsewhere, start_left_over
from .retiring import close_to_new_tasks, give_up, retire, unanswered
from .schedulers import JobState, JobStatus, Scheduler
from .tasks import Tasks

if TYPE_CHECKING:
    from distributed.scheduler import WorkerState

    from .cluster import ClusterMixin

logger = logging.getLogger(__name__)

# A job that worked for so long starts the row anew (seconds).
WORKED = 600.0
# Seconds before it is submitted again: doubled each time, so that a site in trouble is left alone.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Between tries while the job that it replaces is still there, seconds.
LEFT_PAUSE = 10.0
# A connection may break and come back. After so long without any worker a job that the batch system
# takes for running is given up, unless its nannies are there, which start workers anew.
LOST = 15.0
# Where they have ended in order, a job has so long to end, too: its script may go on.
ENDING = 60.0
# A nanny is there if it answers within so many seconds, the last ones of those above.
ANSWER = 3.0
# Python may start slowly, from a busy file system. After so long its nannies have tried in vain.
RESTARTING = 600.0
# A silent worker is given up that long before worker-ttl, seconds: two looks.
EARLY = 2.0
# Endings that come this close together are told in one line, seconds.
TOGETHER = 0.3

# Nodes that are named where jobs ended for one reason.
NAMED = 2

# Ends that say nothing about the job itself.
SITES_FAULT = {JobState.NODE_FAIL, JobState.PREEMPTED}
# Ends that come in the life of every job.
RENEWED = {JobState.TIMEOUT, JobState.DONE}
# Ends for which the node is not to blame, or of which the batch system knows itself.
EXPLAINED = SITES_FAULT | {
    JobState.TIMEOUT,
    JobState.CANCELLED,
    JobState.OUT_OF_MEMORY,
    JobState.GONE,
}
# What the workers of a deadly node get to give their results to others, seconds.
MOVING = 20.0


class Recovery:
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
        self.given_up = 0  # jobs that are not submitted again, since the last scale() or adapt()
        self.said: list[str] = []  # all that was told, oldest first
        self.nodes = Nodes()
        self._cluster = cluster
        self.members = Members(cluster)  # the jobs that are not over
        self._inherited: dict[str, History] = {}  # by name: jobs submitted in another's place
        self._connected = False  # whether any worker of any job ever came
        self._ended: list[tuple[Member, JobStatus]] = []
        self.tasks = Tasks("Recovery")
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

    def submitted(self, name: str, job_id: str, kind: Kind) -> None:
        history = self._inherited.pop(name, None) or History(kind=kind)
        self.members.add(name, job_id, kind, history)
        # One may be faster than the answer of the submit command.
        for worker in self.members.unknown():
            self.worker_came(worker)

    def worker_came(self, worker: WorkerState) -> None:
        """Note that a worker has registered, or has told which job it belongs to.

        Parameters
        ----------
        worker : distributed.scheduler.WorkerState
        """
        self._connected = True
        if (member := self.members.came(worker)) is None:
            self._ask_workers()
            return
        if member.lost:  # its nanny has started one again, in a job that is about to end
            self._spawn(give_up(self._cluster.scheduler, worker.address, "job-lost"))
            return
        member.alone = None
        member.died = False
        if member.came is None:
            member.came = time.monotonic()
        if member.begun is None:
            self._cluster.watcher.expedite()  # since when it runs

    def worker_left(self, address: str, tasks: Sequence[str] = (), closing: str = "") -> None:
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
            member.alone = time.monotonic()
            self._cluster.watcher.expedite()
        if not tasks or member.lost:
            return
        if member.ended_in_order:
            forgive(self._cluster.scheduler, tasks)
            return
        member.died = member.died or not closing
        # If one of them is what killed it, it shows elsewhere; if not, it is safe there. Dask gives
        # a task up after so many deaths, and the workers of one node may die again and again.
        node = self._node_of(member)
        beside = [m for m in self.members if m is member or (node and self._node_of(m) == node)]
        send_elsewhere(self._cluster.scheduler, tasks, {a for m in beside for a in m.addresses})
        # Where it is the only node, there is nothing to compare it with.
        if node and self._work_beside(node):
            self.nodes.died(node, member.job_id, tasks)
            if self.nodes.is_deadly(node) and self._elsewhere([node]):
                self._spawn(self._leave(node))

    def task_ended(self, address: str) -> None:
        """Note that a task has ended on a worker, successfully or not."""
        if (member := self.members.of(address)) is not None:
            member.useful = True

    def on_event(self, event: jobs.JobEvent) -> None:
        """React to what the batch system newly says about a job."""
        if not event.state.ended:
            if (member := self.members.get(event.job)) is not None:
                if event.state is JobState.PENDING:  # put back into the queue: it will come again
                    member.begun = member.alone = None
                elif event.state is JobState.RUNNING and member.begun is None:
                    status = self._cluster.watcher.jobs.get(event.job)
                    ran = status.elapsed if status is not None else None
                    member.begun = time.monotonic() - (ran or 0.0)
                if event.node:
                    self.nodes.seen(event.node)
            return
        member = self.members.pop(event.job)
        if member is None:
            return
        if self._closed or (event.reason == "by us" and not member.lost):
            self.members.forget(member)
            return
        if event.state in EXPLAINED and not member.lost:
            self.nodes.acquit(event.job)
        elif self._node_failed(member, event.state) and self._work_beside(event.node):
            self.nodes.condemn(event.node)
        status = JobStatus(event.job, event.state, event.reason, event.node)
        self._ended.append((member, status))
        if len(self._ended) == 1:
            self._spawn(self._collect())

    async def tend(self) -> None:
        """Look for what nobody reports. To be called now and then."""
        scheduler, now = self._cluster.scheduler, time.monotonic()
        # distributed itself looks every worker-ttl only, so that up to twice as much may pass. Ours
        # comes before: it would ask the silent node to restart its workers, and complain at close.
        patience = math.inf
        if ttl := getattr(scheduler, "worker_ttl", None):
            patience = max(ttl - EARLY, ttl / 2, 10 * heartbeat_interval(len(scheduler.workers)))
        # The system breaks an idle connection to a node that it can't reach; but it begins to count
        # anew when something is sent, as Dask does to take tasks from a slow worker.
        broken = parse_timedelta(dask.config.get("distributed.comm.timeouts.tcp"), "s")
        for worker in list(scheduler.workers.values()):
            # What came while this process was stopped or busy has yet to be read.
            silent = time.time() - max(worker.last_seen, self._resumed)
            if silent > broken and unanswered(scheduler, worker.address) > broken:
                logger.info("The node of worker %s does not answer", worker.name)
                await give_up(scheduler, worker.address, "unreachable", expected=False)
            elif silent > patience and (member := self.members.of(worker.address)) is not None:
                logger.info("Nothing was heard from worker %s for %.0f s", worker.name, silent)
                # Its task may be the reason, so that death counts: it is not to kill them all.
                await give_up(scheduler, worker.address, "silent", expected=False)
                member.silent = True
                if not member.addresses:
                    member.alone = now - LOST  # the wait is over already
        self._ask_workers()
        self.members.settle()
        self._look_for_tasks_without_jobs()
        lost = [member for member in self.members if self._seems_lost(member, now)]
        asked = now - self._cluster.watcher.asked < jobs.AGAIN
        if lost and not self._checking and not asked:
            self._checking = True
            self._spawn(self._check_lost(lost))
        start_left_over(scheduler)

    def _look_for_tasks_without_jobs(self) -> None:
        """Say, once, that tasks wait for workers while no job is there or about to come."""
        cluster, scheduler = self._cluster, self._cluster.scheduler
        over = not (len(self.members) or self.pending or cluster.worker_spec or scheduler.workers)
        waiting = len(scheduler.queued) + len(scheduler.unrunnable)
        if not over or not self.given_up or not waiting or cluster.adapting:
            self._told_of_waiting = self._told_of_waiting and over
        elif not self._told_of_waiting:
            self._told_of_waiting = True
            tasks = "a task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.tell(f"No job is left, and {tasks}: cluster.scale(jobs=...) asks for new ones.")

    def resumed(self) -> None:
        """Note that the event loop was held up for longer than its timers ask for."""
        self._resumed = time.time()

    def close(self) -> None:
        """Stop reporting and submitting, since the cluster is closing."""
        self._closed = True
        self.tasks.cancel()
        self._ended.clear()
        self._returning = 0

    def forgive(self) -> None:
        """Forget what failed before, since the user asks for jobs anew."""
        self.given_up = 0

    # --- what follows -----------------------------------------------------------------------------

    @staticmethod
    def _seems_lost(member: Member, now: float) -> bool:
        """Return whether a job has been without workers for so long that it has to be checked."""
        if member.alone is None:
            return False
        wait = ENDING if member.ended_in_order else max(LOST - ANSWER, LOST / 2)
        return now - max(member.alone, member.asked) >= wait

    async def _check_lost(self, members: list[Member]) -> None:
        """Cancel jobs without workers that the batch system, asked again, reports as running."""
        cluster, watcher = self._cluster, self._cluster.watcher
        try:
            restarting = await asyncio.gather(*map(self._is_restarting, members))
            members = [m for m, again in zip(members, restarting, strict=True) if not again]
            if not members or not await self._ask_anew():
                return
            for member in members:
                if member.name not in cluster.worker_spec or member.alone is None:
                    continue  # its workers have left in order, or one is back
                status = watcher.jobs.get(member.job_id)
                # Otherwise it is over, which comes as an event, or is back in the queue.
                if status is not None and status.state is JobState.RUNNING and not member.lost:
                    member.lost = "nothing is heard from {its} workers any more"
                    if not member.silent and time.monotonic() - member.alone >= RESTARTING:
                        member.lost = "{its} workers did not start again"
            lost = [member.job_id for member in members if member.lost]
        finally:
            self._checking = False
        if lost:
            await cluster._canceller.cancel(*lost)

    async def _is_restarting(self, member: Member) -> bool:
        """Return whether a nanny of the job is there, which starts its worker anew."""
        now = time.monotonic()
        if member.silent or member.alone is None or now - member.alone >= RESTARTING:
            return False
        # Distributed's handshake is the process's answer: the kernel alone, which goes on to take
        # connections for a process that is stopped, does not give it.
        answers = await asyncio.gather(*map(self._answers, member.nannies))
        if any(answers):
            member.asked = now
        return any(answers)

    async def _answers(self, address: str) -> bool:
        try:
            async with asyncio.timeout(ANSWER):
                arguments = self._cluster.scheduler.connection_args
                comm = await connect(address, timeout=ANSWER, **arguments)
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
            for worker in here(self._cluster.scheduler, [address]):
                self.worker_came(worker)

    async def _leave(self, node: str) -> None:
        """Submit the jobs of a node again, for other nodes: workers die there and nowhere else."""
        cluster, watcher = self._cluster, self._cluster.watcher
        # The batch system may know why; or this was said already, by another death.
        if not await self._ask_anew() or not self.nodes.is_deadly(node):
            return
        self.nodes.condemn(node)
        lost = []
        for member in self.members:
            status = watcher.jobs.get(member.job_id)
            there = status is not None and (status.state, status.node) == (JobState.RUNNING, node)
            wanted = member.name in cluster.worker_spec and member.history.failures < self.again
            if there and wanted and not member.lost:
                member.lost = f"{{its}} workers die on {node}, and nowhere else"
                lost.append(member)
        addresses = {address for member in lost for address in member.addresses}
        try:
            close_to_new_tasks(cluster.scheduler, here(cluster.scheduler, addresses))
            async with asyncio.timeout(MOVING):
                await retire(cluster.scheduler, addresses)
        except Exception:
            # They die there. The jobs must end in any case: nobody would look after them again.
            logger.info("Not all results of %s were moved", node, exc_info=True)
        for member in lost:
            for address in list(member.addresses):
                await give_up(cluster.scheduler, address, "job-lost")
        await cluster._canceller.cancel(*(member.job_id for member in lost))

    async def _ask_anew(self) -> bool:
        """Ask the batch system about the jobs now; return whether it has answered."""
        watcher, before = self._cluster.watcher, time.monotonic()
        await watcher.poll()
        return watcher.asked >= before

    def _work_beside(self, node: str) -> bool:
        """Return whether workers are on nodes other than this one, if that one is known."""
        return bool(node) and any(
            member.addresses and self._node_of(member) not in ("", node) for member in self.members
        )

    def _elsewhere(self, nodes: list[str]) -> bool:
        """Return whether jobs can be submitted so that they do not run on these nodes."""
        if not nodes:
            return False
        cluster = self._cluster
        return bool(cluster.batch.leave_out(nodes, cluster._dummy_job.job_extra_directives))

    def _node_of(self, member: Member) -> str:
        status = self._cluster.watcher.jobs.get(member.job_id)
        return status.node if status is not None else ""

    def _node_failed(self, member: Member, state: JobState) -> bool:
        """Return whether an ended job's workers were lost, or never came although others did."""
        if member.lost or member.silent or (member.came is None and self._connected):
            return True
        # They ended in order, with work to do: they did not reach the scheduler any more.
        return member.died and state is JobState.DONE

    async def _collect(self) -> None:
        await asyncio.sleep(TOGETHER)
        ended, self._ended = self._ended, []
        if self._cluster.status is not Status.running:
            return
        groups: dict[tuple[float | None, str, bool, str], list[tuple[Member, JobStatus]]] = {}
        for member, status in ended:
            wanted = member.name in self._cluster.worker_spec
            await self._take_out(member)
            if wanted:
                judged = self._judge(member, status)
                groups.setdefault((*judged, member.lost), []).append((member, status))
        for (again, words, unexplained, _), group in groups.items():
            self._act(again, words, unexplained, group)

    async def _take_out(self, member: Member) -> None:
        """Remove every trace of an ended job from the cluster and its scheduler."""
        cluster = self._cluster
        cluster.worker_spec.pop(member.name, None)
        job = cluster.workers.pop(member.name, None)
        for address in list(member.addresses):
            await give_up(cluster.scheduler, address, "job-ended")
        self.members.forget(member)
        if job is not None:
            await job.close()

    def _judge(self, member: Member, status: JobStatus) -> tuple[float | None, str, bool]:
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
        if member.worked > WORKED:
            history.failures = 0
        if state is JobState.CANCELLED and not member.lost:
            return None, "Cancelled by somebody else, so it is not submitted again", False
        if member.came is None and state not in SITES_FAULT and not self._connected:
            # What kept the first job from working keeps the others from it, too.
            return None, "None of its workers came, so it is not submitted again", True
        if self._ended_in_order(member, state):
            return (*self._renewed(member), False)
        if state in RENEWED and member.worked > 60:
            return FIRST_PAUSE, "Another one is submitted", False
        if state is JobState.OUT_OF_MEMORY:
            history.out_of_memory += 1
            asked = cluster.memory_words()
            advice = f"Each worker had {asked}: give more memory, or fewer processes a job"
            if history.out_of_memory > 1 or self.again < 1:
                return None, f"It is not submitted again. {advice}", False
            return FIRST_PAUSE, f"It is submitted again once. {advice}", False
        history.failures += 1
        own = state not in EXPLAINED or state is JobState.GONE
        unexplained = member.came is None and own and history.failures == 1
        if history.failures > self.again:
            times = f"after {self.again} times in a row " if self.again else ""
            return None, f"It is not submitted again {times}", unexplained
        pause = self._pause(history.failures)
        again = f"It is submitted again in {pause:g} s ({history.failures} of {self.again})"
        if self._elsewhere(bad := self.nodes.left_out):
            again += f", not on {', '.join(bad)}"
        return pause, again, unexplained

    @staticmethod
    def _ended_in_order(member: Member, state: JobState) -> bool:
        """Return whether a job's workers came and then left as they were told, however soon."""
        if member.came is None or member.lost or member.silent or member.died:
            return False
        if state is JobState.GONE:
            # Workers also close by themselves when their job is cancelled.
            return member.ended_in_order
        return state in RENEWED

    def _renewed(self, member: Member) -> tuple[float, str]:
        """Return the seconds until a job that ended in order is replaced, and that in words."""
        history = member.history
        history.failures = 0
        # One that ends as soon as it has come, before it has done anything, is no failure, but the
        # batch system is not to be kept busy with it.
        history.idle = 0 if member.useful or member.worked > 60 else history.idle + 1
        if history.idle > 1:
            pause = self._pause(history.idle)
            longer = pause > self._pause(history.idle - 1)
            return pause, f"Another one is submitted in {pause:g} s" if longer else ""
        told, history.told = history.told, True
        return FIRST_PAUSE, "" if told else "Another one is submitted"

    def _act(
        self,
        again: float | None,
        words: str,
        unexplained: bool,
        group: list[tuple[Member, JobStatus]],
    ) -> None:
        statuses = [status for _, status in group]
        member = group[0][0]
        if member.lost:
            names = jobs.names(sorted(status.job for status in statuses))
            its, it = ("its", "it was") if len(group) == 1 else ("their", "they were")
            what = f"{names}: {member.lost.format(its=its)}, so {it} cancelled"
        else:
            what = describe_ends(self._cluster.batch, statuses)
        found = self._cluster.diagnosis.ended(member) if unexplained else ""
        parts = [what, words, found] if again is None else [what, found, words]
        line = " ".join(f"{part.strip().rstrip('.')}." for part in parts if part.strip())
        line = f"{line[0].upper()}{line[1:]}"
        self.tell(line) if words else logger.info("%s", line)
        if again is None:
            self.given_up += len(group)
            self._cluster._wanted -= len(group)
            return
        self._returning += len(group)
        histories = [member.history for member, _ in group]
        self._spawn(self._return(again, histories))

    def renew(self, member: Member, end: float) -> None:
        """Submit another job in place of one that ends by then (`time.monotonic`)."""
        member.history.before = end + LONGEST_PAUSE
        self._returning += 1
        self._spawn(self._return(0.0, [member.history]))

    async def _return(self, pause: float, histories: list[History]) -> None:
        cluster = self._cluster
        await asyncio.sleep(pause)
        self._returning -= len(histories)
        if cluster.status is not Status.running:
            return
        mine = {}
        for history in histories:
            if len(cluster.worker_spec) < cluster._wanted:
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
        self._refusal = cluster.take_refusal() or self._refusal
        if refused and self._refusal is not None:
            self._refused(self._refusal, refused)

    def _refused(self, refusal: SubmitError, histories: list[History]) -> None:
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
            self.given_up += len(histories) - len(later)
            self.tell(f"{refusal} It is not submitted again.")
        if not later:
            return
        failures = max(history.failures for history in later)
        pause = self._pause(failures) if failures else LEFT_PAUSE
        count = f" ({failures} of {self.again})" if failures else ""
        line = f"{refusal} Next try in {pause:g} s{count}."
        if failures or line not in self.said:
            self.tell(line)
        self._cluster._wanted += len(later)
        self._returning += len(later)
        self._spawn(self._return(pause, later))

    @staticmethod
    def _pause(failures: int) -> float:
        return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE)

    def tell(self, line: str) -> None:
        self.said.append(line)
        news.warn(line)

    def _spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        if self._closed:
            coroutine.close()
            return
        self.tasks.spawn(coroutine)


def describe_ends(batch: Scheduler, ended: Iterable[JobStatus]) -> str:
    """Describe ended jobs, in one phrase for jobs of many nodes that ended for one reason."""
    groups: dict[tuple[JobState, str], list[JobStatus]] = {}
    for status in ended:
        groups.setdefault((status.state, status.reason), []).append(status)
    for group in groups.values():
        if len({status.node for status in group}) > NAMED:
            group[:] = [dataclasses.replace(status, node="") for status in group]
    return jobs.describe(batch, itertools.chain.from_iterable(groups.values()))
