"""Watch a cluster's jobs: one question for all of them, and events for whoever subscribes."""

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

# Seconds between two looks at the batch system's list. Sites ask not to be polled often: soon only
# after a submission, then rarely, and more rarely still while nothing changes.
FIRST_POLL_S, MIN_POLL_INTERVAL_S, POLL_S, QUIET_POLL_S = 0.5, 2.0, 10.0, 60.0
QUIET_AFTER_POLLS = 6  # steady looks without a change before they become rarer

# A list may be a minute old, cut short, or a site's own: that a job is not in it says nothing by
# itself. The accounting is asked at the second miss, and again after a pause. Where it knows
# nothing, or there is none, a job without workers is taken for over after so many looks and so many
# seconds; where it takes the job for alive, which it does for ever of a job that Slurm has lost,
# after many more.
ACCOUNTING_AFTER_MISSES = 2
ACCOUNTING_PAUSE_S = 10.0
GONE_AFTER_POLLS, GONE_AFTER_S, LOST_AFTER_S = 3, 90.0, 900.0

# A cluster may live for weeks: of jobs that are over, and of events, so many are kept.
MAX_ENDED_JOBS, MAX_EVENTS = 500, 5000


@dataclass(frozen=True)
class JobEvent:
    """A job's state, or the reason for it, has changed.

    Attributes
    ----------
    time : float
        When it was seen, seconds since 1970 (`time.time`).
    job : str
        The job's id.
    state : JobState
    reason : str
        The batch system's own word; `BatchSystem.explain` puts it in plain words.
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

    since: float  # by the watcher's clock; or since when it has no worker any more
    looks: int = 0  # since then
    misses: int = 0  # in all
    alive: bool = False  # by the accounting


class JobWatcher:
    """Asks the batch system about all our jobs, with one call, and tells its subscribers.

    It lives on the event loop where `add` is called first (a cluster's own) and never blocks it.
    When the list is not available it says so once and keeps trying. A job is over when the list or
    the accounting says so. That a job is not listed does not mean that it is over, and while a
    worker of it is there, the list is not believed if it says that the job is still pending.

    Parameters
    ----------
    batch_system : BatchSystem
    *job_ids : str
        Jobs that are there already.
    clock : callable
        Seconds, from any start.

    Attributes
    ----------
    events : deque of JobEvent
        The last `MAX_EVENTS` events, oldest first.
    own : list of str
        The words of the job class's cancel command, see `commands`.
    failure : CommandError or None
        Why the jobs could not be listed, the last time.
    has_workers : callable or None
        Takes a job's id and returns whether the job has a worker.
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
        self._ended: deque[str] = deque()  # jobs that are over, in that order
        self._changes = 0  # events so far
        self._missing: dict[str, _Miss] = {}
        self._worked: set[str] = set()  # jobs that had workers
        self._accounting = bool(batch_system.accounting_commands(["1"]))
        self._accounted = -math.inf  # when it was asked last, by the clock
        self._callbacks: list[Callable[[JobEvent], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()  # a new one at each start, which may be on another loop
        self._lock: asyncio.Lock | None = None
        self.failure: CommandError | None = None
        self._quiet = 0
        self._delay = FIRST_POLL_S
        self._due = 0.0
        self.last_poll = 0.0  # when it last listed the jobs (time.monotonic)

    @property
    def jobs(self) -> dict[str, JobStatus]:
        """The last known status of every job, by id, in the order in which they became known.

        Of the jobs that are over, only the last `MAX_ENDED_JOBS` are among them.
        """
        return dict(self._jobs)

    def status(self, job_id: str) -> JobStatus | None:
        """Return the last known status of a job."""
        return self._jobs.get(job_id)

    @property
    def active(self) -> list[str]:
        """Ids of the jobs that are not over."""
        return [job for job, status in list(self._jobs.items()) if not status.state.ended]

    def subscribe(self, callback: Callable[[JobEvent], None]) -> None:
        """Call `callback` with every event from now on, on the watcher's event loop."""
        self._callbacks.append(callback)

    def add(self, job_id: str) -> None:
        """Watch a job that was submitted just now. To be called on the event loop."""
        self._note(JobStatus(job_id, JobState.SUBMITTED))
        self._quiet, self._delay = 0, FIRST_POLL_S
        soon = time.monotonic() + FIRST_POLL_S
        self._due = min(self._due, soon) if len(self.active) > 1 else soon
        self.start()

    def start(self) -> None:
        """Begin to watch. To be called on the event loop; `add` does it too."""
        if self._task is None:
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._watch())
        self._wake.set()

    def poll_soon(self) -> None:
        """Ask soon, since something has happened to our jobs. To be called on the event loop."""
        self._quiet, self._delay = 0, FIRST_POLL_S
        # Workers may go one by one: a site is not asked more often than every other second.
        soon = max(time.monotonic() + FIRST_POLL_S, self.last_poll + MIN_POLL_INTERVAL_S)
        self._due = min(self._due, soon)
        self._wake.set()

    async def stop(self) -> None:
        """Stop watching; what is known stays readable."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def ended(self, job_ids: Iterable[str], state: JobState, reason: str = "") -> None:
        """Note that we have ended these jobs ourselves, and stop asking about them."""
        for job in job_ids:
            if job in self._jobs and not self._jobs[job].state.ended:
                self._note(JobStatus(job, state, reason, self._jobs[job].node))

    async def poll(self) -> bool:
        """Ask now, and return whether anything has changed."""
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
                    logger.warning("The state of jobs can't be read at present: %s", error)
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
            # One that has lost its workers may be over, and the list be old.
            bereft = self._worked.intersection(listed) - working
            doubtful = [
                job for job, miss in self._missing.items() if miss.misses >= ACCOUNTING_AFTER_MISSES
            ]
            await self._account([*doubtful, *bereft], now)
            self.ended(self._forgotten(now), JobState.GONE)
            return self._changes > changes

    async def _account(self, doubtful: Sequence[str], now: float) -> None:
        """Ask the accounting about jobs about which the list may know too little."""
        live = set(self.active)
        doubtful = [job for job in doubtful if job in live]
        soon = now - self._accounted < ACCOUNTING_PAUSE_S
        if not doubtful or not self._accounting or soon:
            return
        self._accounted = now
        try:
            found = await query_accounting(self.batch_system, doubtful, self.own)
        except CommandError as error:
            logger.info("The accounting can't be asked: %s", error)
            self._accounting = not error.missing
            return
        for job, status in found.items():
            if job in self._missing:
                self._missing[job].alive = not status.state.ended
            if status.state.ended or self._jobs[job].state in _BEFORE.get(status.state, ()):
                self._note(status)

    def _forgotten(self, now: float) -> list[str]:
        """Return the jobs that have been missing for so long that they are considered over."""
        self._missing = {job: self._missing[job] for job in self.active if job in self._missing}
        return [
            job
            for job, miss in self._missing.items()
            if miss.looks >= GONE_AFTER_POLLS
            and now - miss.since >= (LOST_AFTER_S if miss.alive else GONE_AFTER_S)
            # One may have come while the accounting was asked.
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
                    async with asyncio.timeout(left):  # not wait_for, as in run
                        await self._wake.wait()
                continue
            changed = await self.poll()
            missed = any(miss.looks for miss in self._missing.values())
            self._quiet = 0 if changed or missed else self._quiet + 1
            longest = POLL_S if self._quiet < QUIET_AFTER_POLLS else QUIET_POLL_S
            self._delay = min(2 * self._delay, longest)
            self._due = time.monotonic() + self._delay

    def _note(self, status: JobStatus) -> None:
        """Remember a status; if it is new, make it an event."""
        known = self._jobs.get(status.job)
        if known is not None and known.state.ended:
            return
        self._jobs[status.job] = status  # its times are new in any case
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


# States that come before another one in a job's life.
_BEFORE = {
    JobState.PENDING: {JobState.SUBMITTED, JobState.UNKNOWN},
    JobState.RUNNING: {JobState.SUBMITTED, JobState.UNKNOWN, JobState.PENDING},
}
