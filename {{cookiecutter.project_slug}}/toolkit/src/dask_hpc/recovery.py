"""Keeps a cluster at the jobs that it was scaled to, when jobs end that nobody wanted to end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from distributed.core import Status
from distributed.scheduler import heartbeat_interval

from . import jobs, news
from .errors import SubmitError
from .nodes import Nodes
from .placing import send_elsewhere, start_left_over
from .retiring import close_to_new_tasks, give_up, here, retire
from .schedulers import JobState, JobStatus
from .tasks import Tasks

logger = logging.getLogger(__name__)

# A job that worked for so long starts the row anew (seconds).
WORKED = 600.0
# Seconds before it is submitted again: doubled each time, so that a site in trouble is left alone.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Between tries while the job that it replaces is still there, seconds.
LEFT_PAUSE = 10.0
# A connection may break and come back, and a nanny starts a worker again within seconds. After so
# long without any worker a job that the batch system takes for running is given up.
LOST = 15.0
# After `Client.restart()`, where all of them start at once and load what is on one file system.
RESTART = 60.0
# A silent worker is given up that long before worker-ttl, seconds: two looks.
EARLY = 2.0
# Endings that come this close together are told in one line, seconds.
TOGETHER = 0.3

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


@dataclass
class History:
    """What became of a job and of those that it was submitted for, one after another."""

    failures: int = 0  # in a row
    out_of_memory: int = 0
    # Its predecessor is there until then (time.monotonic): what a limit of jobs refuses now may be
    # taken later.
    before: float = 0.0


@dataclass
class Member:
    """A job of the cluster, from its submission to its end."""

    name: str  # as in the cluster's worker_spec
    job_id: str
    workers: frozenset[str]  # the names that its workers have
    history: History
    number: int  # in the order of submission
    addresses: set[str] = field(default_factory=set)  # of those that are there
    came: float | None = None  # when the first worker came (time.monotonic)
    begun: float | None = None  # when it was first seen to run (time.monotonic)
    alone: float | None = None  # since when none of them is there, after there was one
    lost: str = ""  # why it was given up by us, in words
    silent: bool = False  # a worker of it was given up, since nothing was heard from it
    died: bool = False  # a worker of it was gone while it had tasks

    @property
    def worked(self) -> float:
        """Seconds since its first worker came."""
        return 0.0 if self.came is None else time.monotonic() - self.came


class Recovery:
    """Sees jobs of a cluster end, and has others submitted in their place.

    What ended by our own doing is not its concern, nor what somebody else cancelled: that is told,
    and the cluster stays smaller. All else is submitted again, under a new name, since a worker of
    the old one might still be there; a bounded number of times in a row, with growing pauses.
    It lives on the cluster's event loop.

    Parameters
    ----------
    cluster : ClusterMixin
    again : int
        How often in a row a job is submitted again.
    """

    def __init__(self, cluster, again: int):
        self.again = again
        self.given_up = 0  # jobs that are not submitted again, since the last scale() or adapt()
        self.said: list[str] = []  # all that was told, oldest first
        self.nodes = Nodes()
        self._cluster = cluster
        self._members: dict[str, Member] = {}  # by job id; those that are not over
        self._by_worker: dict[str, Member] = {}
        self._inherited: dict[str, History] = {}  # by name: jobs submitted in another's place
        self._connected = False  # whether any worker of any job ever came
        self._ended: list[tuple[Member, JobStatus]] = []
        self.tasks = Tasks("Recovery")
        self._returning = 0
        self._numbers = itertools.count()
        self._closed = False
        self._checking = False
        self._refusal: SubmitError | None = None  # the last one
        self._told_of_waiting = False  # that tasks wait, and no job is there for them
        self._resumed = 0.0  # when the event loop went on after a halt (time.time)
        self._restarted = -RESTART  # when the user had all workers restarted (time.monotonic)

    @property
    def pending(self) -> int:
        """Jobs that are about to be submitted again."""
        return len(self._ended) + self._returning

    @property
    def submitting(self) -> bool:
        """Whether jobs are being submitted again at this moment."""
        return bool(self._inherited)

    def member_of(self, worker: str) -> Member | None:
        """The job that a worker, by its name, belongs to."""
        return self._by_worker.get(str(worker))

    @property
    def members(self) -> list[Member]:
        """The jobs that are not over."""
        return list(self._members.values())

    # --- what happens -----------------------------------------------------------------------------

    def submitted(self, name: str, job_id: str, workers: frozenset[str]) -> None:
        history = self._inherited.pop(name, None) or History()
        member = Member(name, job_id, workers, history, next(self._numbers))
        self._members[job_id] = member
        self._by_worker.update(dict.fromkeys(workers, member))
        # One may be faster than the answer of the submit command.
        for worker in here(self._cluster.scheduler, workers):
            self.worker_came(str(worker.name), worker.address)

    def worker_came(self, name: str, address: str) -> None:
        self._connected = True
        if (member := self.member_of(name)) is not None:
            if member.lost:  # its nanny has started one again, in a job that is about to end
                self._spawn(give_up(self._cluster.scheduler, address, "job-lost"))
                return
            member.addresses.add(address)
            member.alone = None
            if member.came is None:
                member.came = time.monotonic()
            if member.begun is None:
                self._cluster.watcher.expedite()  # since when it runs

    def worker_left(self, name: str, address: str, tasks: Sequence[str] = ()) -> None:
        """A worker is gone.

        Parameters
        ----------
        tasks : sequence of str
            What it had to do, if nobody had asked it to leave.
        """
        if (member := self.member_of(name)) is None:
            return
        member.addresses.discard(address)
        if not member.addresses:
            member.alone = time.monotonic()
            self._cluster.watcher.expedite()
        if not tasks or member.lost:
            return
        member.died = True
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

    def on_event(self, event: jobs.JobEvent) -> None:
        """The batch system says something new about a job."""
        if not event.state.ended:
            if (member := self._members.get(event.job)) is not None:
                if event.state is JobState.PENDING:  # put back into the queue: it will come again
                    member.begun = member.alone = None
                elif event.state is JobState.RUNNING and member.begun is None:
                    status = self._cluster.watcher.jobs.get(event.job)
                    ran = status.elapsed if status is not None else None
                    member.begun = time.monotonic() - (ran or 0.0)
                if event.node:
                    self.nodes.seen(event.node)
            return
        member = self._members.pop(event.job, None)
        if member is None:
            return
        if self._closed or (event.reason == "by us" and not member.lost):
            self._forget(member)
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
        """To be called now and then: sees what nobody tells."""
        scheduler, now = self._cluster.scheduler, time.monotonic()
        # distributed itself looks every worker-ttl only, so that up to twice as much may pass. Ours
        # comes before: it would ask the silent node to restart its workers, and complain at close.
        if ttl := getattr(scheduler, "worker_ttl", None):
            patience = max(ttl - EARLY, ttl / 2, 10 * heartbeat_interval(len(scheduler.workers)))
            for worker in list(scheduler.workers.values()):
                # What came while this process was stopped or busy has yet to be read.
                silent = time.time() - max(worker.last_seen, self._resumed)
                if silent > patience and self.member_of(worker.name) is not None:
                    logger.info("Nothing was heard from worker %s for %.0f s", worker.name, silent)
                    # Its task may be the reason, so that death counts: it is not to kill them all.
                    await give_up(scheduler, worker.address, "silent", expected=False)
                    if (member := self.member_of(worker.name)) is not None:
                        member.silent = True
                        if not member.addresses:
                            member.alone = now - LOST  # the wait is over already
        self._look_for_tasks_without_jobs()
        lost = [m for m in self.members if m.alone is not None and now - m.alone >= LOST]
        awaited = now < self._restarted + RESTART  # they are about to come
        asked = now - self._cluster.watcher.asked < jobs.AGAIN
        if lost and not self._checking and not awaited and not asked:
            self._checking = True
            self._spawn(self._check_lost(lost))
        start_left_over(scheduler)

    def _look_for_tasks_without_jobs(self) -> None:
        """Say it, once, when tasks wait for workers and no job is there or to come."""
        cluster, scheduler = self._cluster, self._cluster.scheduler
        over = not (self._members or self.pending or cluster.worker_spec or scheduler.workers)
        waiting = len(scheduler.queued) + len(scheduler.unrunnable)
        if not over or not self.given_up or not waiting or cluster.adapting:
            self._told_of_waiting = self._told_of_waiting and over
        elif not self._told_of_waiting:
            self._told_of_waiting = True
            tasks = "a task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.tell(f"No job is left, and {tasks}: cluster.scale(jobs=...) asks for new ones.")

    def resumed(self) -> None:
        """The event loop was held up for longer than its timers ask for."""
        self._resumed = time.time()

    def restarted(self) -> None:
        """The user has all workers started anew."""
        self._restarted = time.monotonic()

    def close(self) -> None:
        """The cluster is closing: nothing is told or submitted any more."""
        self._closed = True
        self.tasks.cancel()
        self._ended.clear()
        self._returning = 0

    def forgive(self) -> None:
        """The user asks for jobs anew: what failed before does not count any more."""
        self.given_up = 0

    # --- what follows -----------------------------------------------------------------------------

    async def _check_lost(self, members: list[Member]) -> None:
        """Cancel jobs without workers that the batch system, asked anew, takes for running."""
        cluster, watcher = self._cluster, self._cluster.watcher
        try:
            if not await self._ask_anew():
                return
            for member in members:
                if member.name not in cluster.worker_spec or member.alone is None:
                    continue  # its workers have left in order, or one is back
                status = watcher.jobs.get(member.job_id)
                # Otherwise it is over, which comes as an event, or is back in the queue.
                if status is not None and status.state is JobState.RUNNING and not member.lost:
                    member.lost = "nothing is heard from {its} workers any more"
            lost = [member.job_id for member in members if member.lost]
        finally:
            self._checking = False
        if lost:
            await cluster._canceller.cancel(*lost)

    async def _leave(self, node: str) -> None:
        """Workers die there, and nowhere else: its jobs are submitted again, for other nodes."""
        cluster, watcher = self._cluster, self._cluster.watcher
        # The batch system may know why; or this was said already, by another death.
        if not await self._ask_anew() or not self.nodes.is_deadly(node):
            return
        self.nodes.condemn(node)
        lost = []
        for member in self.members:
            status = watcher.jobs.get(member.job_id)
            running = status is not None and status.state is JobState.RUNNING
            wanted = member.name in cluster.worker_spec and member.history.failures < self.again
            if running and status.node == node and wanted and not member.lost:
                member.lost = f"{{its}} workers die on {node}, and nowhere else"
                lost.append(member)
        names = [name for member in lost for name in member.workers]
        try:
            close_to_new_tasks(cluster.scheduler, here(cluster.scheduler, names))
            async with asyncio.timeout(MOVING):
                await retire(cluster.scheduler, names)
        except Exception:
            # They die there. The jobs must end in any case: nobody would look after them again.
            logger.info("Not all results of %s were moved", node, exc_info=True)
        for worker in here(cluster.scheduler, names):
            await give_up(cluster.scheduler, worker.address, "job-lost")
        await cluster._canceller.cancel(*(member.job_id for member in lost))

    async def _ask_anew(self) -> bool:
        """Ask the batch system about the jobs, now; whether it has answered."""
        watcher, before = self._cluster.watcher, time.monotonic()
        await watcher.poll()
        return watcher.asked >= before

    def _work_beside(self, node: str) -> bool:
        """Whether workers are there on other nodes than this one, if it is known."""
        return bool(node) and any(
            member.addresses and self._node_of(member) not in ("", node) for member in self.members
        )

    def _elsewhere(self, nodes: list[str]) -> bool:
        """Whether jobs can be submitted so that they do not run on these nodes."""
        if not nodes:
            return False
        cluster = self._cluster
        return bool(cluster.batch.leave_out(nodes, cluster._dummy_job.job_extra_directives))

    def _node_of(self, member: Member) -> str:
        status = self._cluster.watcher.jobs.get(member.job_id)
        return status.node if status is not None else ""

    def _node_failed(self, member: Member, state: JobState) -> bool:
        """Whether workers of an ended job were lost, or none of them came although others' do."""
        if member.lost or member.silent or (member.came is None and self._connected):
            return True
        # They ended in order, with work to do: they did not reach the scheduler any more.
        return member.died and state is JobState.DONE

    async def _collect(self) -> None:
        await asyncio.sleep(TOGETHER)
        ended, self._ended = self._ended, []
        if self._cluster.status is not Status.running:
            return
        groups: dict[tuple, list[tuple[Member, JobStatus]]] = {}
        for member, status in ended:
            wanted = member.name in self._cluster.worker_spec
            await self._take_out(member)
            if wanted:
                again, words = self._judge(member, status)
                groups.setdefault((again, words, member.lost), []).append((member, status))
        for (again, words, _), group in groups.items():
            self._act(again, words, group)

    async def _take_out(self, member: Member) -> None:
        """Leave no trace of an ended job in the cluster and its scheduler."""
        cluster = self._cluster
        cluster.worker_spec.pop(member.name, None)
        job = cluster.workers.pop(member.name, None)
        for address in list(member.addresses):
            await give_up(cluster.scheduler, address, "job-ended")
        self._forget(member)
        if job is not None:
            await job.close()

    def _judge(self, member: Member, status: JobStatus) -> tuple[float | None, str]:
        """Seconds until it is submitted again, or None, and why in words."""
        cluster, history, state = self._cluster, member.history, status.state
        if member.worked > WORKED:
            history.failures = 0
        if state is JobState.CANCELLED and not member.lost:
            return None, "Cancelled by somebody else, so it is not submitted again"
        if member.came is None and state not in SITES_FAULT and not self._connected:
            # What kept the first job from working keeps the others from it, too.
            found = cluster.diagnosis.ended(member, status)
            return None, f"None of its workers came, so it is not submitted again. {found}"
        if state in RENEWED and member.worked > 60:
            return FIRST_PAUSE, "Another one is submitted"
        if state is JobState.OUT_OF_MEMORY:
            history.out_of_memory += 1
            asked = cluster.memory_words()
            advice = f"Each worker had {asked}: give more memory, or fewer processes a job"
            if history.out_of_memory > 1 or self.again < 1:
                return None, f"It is not submitted again. {advice}"
            return FIRST_PAUSE, f"It is submitted again once. {advice}"
        history.failures += 1
        if history.failures > self.again:
            times = f"after {self.again} times in a row " if self.again else ""
            return None, f"It is not submitted again {times}"
        pause = self._pause(history.failures)
        again = f"It is submitted again in {pause:g} s ({history.failures} of {self.again})"
        if self._elsewhere(bad := self.nodes.left_out):
            again += f", not on {', '.join(bad)}"
        return pause, again

    def _act(self, again: float | None, words: str, group) -> None:
        statuses = [status for _, status in group]
        member = group[0][0]
        if member.lost:
            names = jobs.names(sorted(status.job for status in statuses))
            its, it = ("its", "it was") if len(group) == 1 else ("their", "they were")
            what = f"{names}: {member.lost.format(its=its)}, so {it} cancelled"
        else:
            what = jobs.describe(self._cluster.batch, statuses)
        self.tell(f"{what[0].upper()}{what[1:]}. {words.strip().rstrip('.')}.")
        if again is None:
            self.given_up += len(group)
            self._cluster._wanted -= len(group)
            return
        self._returning += len(group)
        histories = [member.history for member, _ in group]
        self._spawn(self._return(again, histories))

    def renew(self, member: Member, end: float) -> None:
        """Have another job in the place of one that ends by then (`time.monotonic`)."""
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
                spec = cluster.new_worker_spec()
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
        """The batch system did not take a job that was submitted again."""
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
        return min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)

    def tell(self, line: str) -> None:
        self.said.append(line)
        news.warn(line)

    def _forget(self, member: Member) -> None:
        self._members.pop(member.job_id, None)
        for name in member.workers:
            if self._by_worker.get(name) is member:
                del self._by_worker[name]

    def _spawn(self, coroutine) -> None:
        if self._closed:
            coroutine.close()
            return
        self.tasks.spawn(coroutine)
