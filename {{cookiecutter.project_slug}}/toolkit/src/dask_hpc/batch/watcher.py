"""Watch a cluster's jobs: poll all of them with one call, and notify subscribers of changes."""

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from . import BatchSystem, JobState, JobStatus
from .commands import CommandError, list_jobs, query_accounting

logger = logging.getLogger(__name__)

# Poll intervals in seconds. Sites ask users not to poll often: poll soon only after a submission,
# then rarely, and even more rarely while nothing changes.
FIRST_POLL_S, MIN_POLL_INTERVAL_S, POLL_S, QUIET_POLL_S = 0.5, 2.0, 10.0, 60.0
QUIET_AFTER_POLLS = 6  # polls without a change after which to poll more rarely

# A list may be a minute old, truncated, or from a site's own command: a job that is missing from it
# has not necessarily ended. Query the accounting after the second miss, and again after a pause. If
# it does not know the job, or there is none, consider a job without workers gone after this many
# polls and seconds; if it considers the job alive, as it always does for a job that Slurm has lost,
# after a much longer time.
ACCOUNTING_AFTER_MISSES = 2
ACCOUNTING_PAUSE_S = 10.0
GONE_AFTER_POLLS, GONE_AFTER_S, LOST_AFTER_S = 3, 90.0, 900.0

# Numbers of ended jobs and events to keep, since a cluster may live for weeks.
MAX_ENDED_JOBS, MAX_EVENTS = 500, 5000


@dataclass(frozen=True)
class JobEvent:
    """A change of a job's state, or of the reason for it.

    Attributes
    ----------
    time : float
        When it was noticed, in seconds since 1970 (`time.time`).
    job : str
        The job's id.
    state : JobState
    reason : str
        As given by the batch system; `BatchSystem.explain` translates it to plain English.
    node : str
    """

    time: float
    job: str
    state: JobState
    reason: str = ""
    node: str = ""


@dataclass
class _Miss:
    """A job that is missing from the list."""

    since: float  # when it was first missing, or lost its last worker, by the watcher's clock
    looks: int = 0  # polls since then
    misses: int = 0  # polls in total
    alive: bool = False  # according to the accounting


class JobWatcher:
    """Poll the batch system for all our jobs, with one call, and notify subscribers.

    It runs on the event loop on which `add` is first called (a cluster's own) and never blocks it.
    If the list is not available, it warns once and keeps trying. A job has ended when the list or
    the accounting says so. A job that is not listed has not necessarily ended, and while a job has
    a worker, the list is not trusted if it says that the job is still pending.

    Parameters
    ----------
    batch_system : BatchSystem
    *job_ids : str
        Jobs that already exist.
    clock : callable
        Returns the monotonic time, in seconds.

    Attributes
    ----------
    events : deque of JobEvent
        The last `MAX_EVENTS` events, oldest first.
    own : list of str
        The words of the job class's cancel command; see `custom_commands`.
    failure : CommandError or None
        Why the last poll failed; None if it succeeded.
    has_workers : callable or None
        Takes a job id and returns whether the job has a worker.
    """

    def __init__(
        self, batch_system: BatchSystem, *job_ids: str, clock: Callable[[], float] = time.monotonic
    ):
        self.batch_system = batch_system
        self.events: deque[JobEvent] = deque(maxlen=MAX_EVENTS)
        self.own: list[str] = []
        self.has_workers: Callable[[str], bool] | None = None
        self._clock = clock
        self._jobs = {job: JobStatus(job, JobState.UNKNOWN) for job in job_ids}
        self._ended: deque[str] = deque()  # ended jobs, in order
        self._changes = 0  # number of events so far
        self._missing: dict[str, _Miss] = {}
        self._worked: set[str] = set()  # jobs that had workers
        self._accounting = bool(batch_system.accounting_commands(["1"]))
        self._accounted = -math.inf  # when the accounting was last queried, by the clock
        self._callbacks: list[Callable[[JobEvent], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()  # replaced at each start, which may be on another loop
        self._lock: asyncio.Lock | None = None
        self.failure: CommandError | None = None
        self._quiet = 0
        self._delay = FIRST_POLL_S
        self._due = 0.0
        self.last_poll = 0.0  # when it last listed the jobs (time.monotonic)

    @property
    def jobs(self) -> dict[str, JobStatus]:
        """The last known status of every job, by id, in the order in which they were added.

        Of ended jobs, it contains only the last `MAX_ENDED_JOBS`.
        """
        return dict(self._jobs)

    def status(self, job_id: str) -> JobStatus | None:
        """Return the last known status of a job."""
        return self._jobs.get(job_id)

    @property
    def active(self) -> list[str]:
        """Ids of the unfinished jobs."""
        return [job for job, status in list(self._jobs.items()) if not status.state.ended]

    def subscribe(self, callback: Callable[[JobEvent], None]) -> None:
        """Call `callback` with every event from now on, on the watcher's event loop."""
        self._callbacks.append(callback)

    def add(self, job_id: str) -> None:
        """Watch a job that was just submitted. Call this on the event loop."""
        self._note(JobStatus(job_id, JobState.SUBMITTED))
        self._quiet, self._delay = 0, FIRST_POLL_S
        soon = time.monotonic() + FIRST_POLL_S
        self._due = min(self._due, soon) if len(self.active) > 1 else soon
        self.start()

    def start(self) -> None:
        """Start watching. Call this on the event loop; `add` also does it."""
        if self._task is None:
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._watch())
        self._wake.set()

    def poll_soon(self) -> None:
        """Poll soon, since something has happened to our jobs. Call this on the event loop."""
        self._quiet, self._delay = 0, FIRST_POLL_S
        # Workers may leave one by one: do not poll more often than every other second.
        soon = max(time.monotonic() + FIRST_POLL_S, self.last_poll + MIN_POLL_INTERVAL_S)
        self._due = min(self._due, soon)
        self._wake.set()

    async def stop(self) -> None:
        """Stop watching; the last known states remain available."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def ended(self, job_ids: Iterable[str], state: JobState, reason: str = "") -> None:
        """Record that we have ended these jobs ourselves, and stop polling them."""
        for job in job_ids:
            if job in self._jobs and not self._jobs[job].state.ended:
                self._note(JobStatus(job, state, reason, self._jobs[job].node))

    async def poll(self) -> bool:
        """Poll now, and return whether anything has changed."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            asked = self.active
            if not asked:
                return False
            try:
                listed = await list_jobs(self.batch_system, asked, self.own)
            except CommandError as error:
                if self.failure is None:
                    logger.warning("Cannot read the state of jobs at the moment: %s", error)
                self.failure = error
                return False
            self.failure = None
            self.last_poll = time.monotonic()
            changes, now = self._changes, self._clock()
            working = {job for job in asked if self._works(job)}
            self._worked |= working
            for status in listed.values():
                self._missing.pop(status.job, None)
                if status.state is not JobState.PENDING or status.job not in working:
                    self._note(status)
            for job in asked:
                if job not in listed:
                    miss = self._missing.setdefault(job, _Miss(now))
                    miss.looks += 1
                    miss.misses += 1
                    if job in working:
                        miss.since, miss.looks = now, 0
            for job in working.intersection(self.active):
                if self._jobs[job].state in _BEFORE[JobState.RUNNING]:
                    self._note(JobStatus(job, JobState.RUNNING))
            # A job that has lost its workers may have ended, if the list is outdated.
            bereft = self._worked.intersection(listed) - working
            doubtful = [
                job for job, miss in self._missing.items() if miss.misses >= ACCOUNTING_AFTER_MISSES
            ]
            await self._account([*doubtful, *bereft], now)
            self.ended(self._forgotten(now), JobState.GONE)
            return self._changes > changes

    async def _account(self, doubtful: Sequence[str], now: float) -> None:
        """Query the accounting about jobs whose listed state may be wrong."""
        live = set(self.active)
        doubtful = [job for job in doubtful if job in live]
        soon = now - self._accounted < ACCOUNTING_PAUSE_S
        if not doubtful or not self._accounting or soon:
            return
        self._accounted = now
        try:
            found = await query_accounting(self.batch_system, doubtful, self.own)
        except CommandError as error:
            logger.info("Cannot query the accounting: %s", error)
            self._accounting = not error.missing
            return
        for job, status in found.items():
            if job in self._missing:
                self._missing[job].alive = not status.state.ended
            if status.state.ended or self._jobs[job].state in _BEFORE.get(status.state, ()):
                self._note(status)

    def _forgotten(self, now: float) -> list[str]:
        """Return the jobs that have been missing for long enough to consider them gone."""
        self._missing = {job: self._missing[job] for job in self.active if job in self._missing}
        return [
            job
            for job, miss in self._missing.items()
            if miss.looks >= GONE_AFTER_POLLS
            and now - miss.since >= (LOST_AFTER_S if miss.alive else GONE_AFTER_S)
            # A worker may have connected while the accounting was queried.
            if not self._works(job)
        ]

    def _works(self, job: str) -> bool:
        return self.has_workers is not None and self.has_workers(job)

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            if not self.active:
                await self._wake.wait()
                continue
            left = self._due - time.monotonic()
            if left > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):  # not wait_for, for the same reason as in run
                        await self._wake.wait()
                continue
            changed = await self.poll()
            missed = any(miss.looks for miss in self._missing.values())
            self._quiet = 0 if changed or missed else self._quiet + 1
            longest = POLL_S if self._quiet < QUIET_AFTER_POLLS else QUIET_POLL_S
            self._delay = min(2 * self._delay, longest)
            self._due = time.monotonic() + self._delay

    def _note(self, status: JobStatus) -> None:
        """Store a status; if it has changed, create an event."""
        known = self._jobs.get(status.job)
        if known is not None and known.state.ended:
            return
        self._jobs[status.job] = status  # the times are always new
        if known == status:
            return
        event = JobEvent(time.time(), status.job, status.state, status.reason, status.node)
        self._changes += 1
        self.events.append(event)
        if status.state.ended:
            self._worked.discard(status.job)
            self._ended.append(status.job)
            if len(self._ended) > MAX_ENDED_JOBS:
                del self._jobs[self._ended.popleft()]
        for callback in list(self._callbacks):
            try:
                callback(event)
            except Exception:
                logger.exception("A subscriber to job events failed")


# The possible states before another one in a job's life.
_BEFORE = {
    JobState.PENDING: {JobState.SUBMITTED, JobState.UNKNOWN},
    JobState.RUNNING: {JobState.SUBMITTED, JobState.UNKNOWN, JobState.PENDING},
}
