"""Add up what a cluster costs, and notice that it has had nothing to do.

Core-hours are the jobs' running time by the batch system's own clock, times their cores.
"""

import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import distributed
from dask.utils import format_time

from ._output import formatting, messages
from .batch import BatchSystem, JobState
from .batch.watcher import JobEvent, JobWatcher
from .resilience.interface import JobPool


def cores_held(batch: BatchSystem, script: str) -> int | None:
    """Return how many cores a job with this script holds; None if the script does not say.

    They may outnumber the threads of its workers, as with ``job_cpu`` or one of the user's options.
    """
    lines = [line for line in script.splitlines() if line.startswith(batch.directive)]
    text = "\n".join(lines)
    found = [re.findall(pattern, text) for pattern in batch.cores_in_script]
    # The batch system takes the last of equal options.
    return math.prod(int(numbers[-1]) for numbers in found if numbers) if any(found) else None


class UsageTotals:
    """Adds up what jobs of one size have used.

    Parameters
    ----------
    cores : int
        Cores of one job.
    clock : callable
        Returns seconds since 1970.
    """

    def __init__(self, cores: int = 1, clock: Callable[[], float] = time.time):
        self.cores = cores
        self.jobs = 0  # that have run
        self._clock = clock
        self._started: dict[str, float] = {}  # jobs that run
        self._ended = 0.0  # seconds of those that are over

    def began(self, job: str, elapsed: float | None = None) -> None:
        """Note that a job has been running for so many seconds; the first report counts."""
        if job not in self._started:
            self._started[job] = self._clock() - (elapsed or 0)
            self.jobs += 1

    def ended(self, job: str, elapsed: float | None = None) -> None:
        """Note that a job is over, after so many seconds, if known; after 0, it never began."""
        now = self._clock()
        if elapsed:
            self.began(job, elapsed)
            now = min(now, self._started[job] + elapsed)
        if (start := self._started.pop(job, None)) is not None:
            self._ended += max(0.0, now - start)

    @property
    def core_seconds(self) -> float:
        now = self._clock()
        running = sum(max(0.0, now - start) for start in self._started.values())
        return self.cores * (self._ended + running)

    def __str__(self) -> str:
        # A short test would be 0.0 core-hours.
        used = self.core_seconds
        unit, name = (3600, "core-hours") if used >= 360 else (60, "core-minutes")
        return f"{formatting.format_count(self.jobs, 'job')}, {used / unit:.1f} {name}"


class IdleTimer:
    """Tells for how long a scheduler has had nothing to do.

    Parameters
    ----------
    clock : callable
        Returns seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._since: float | None = None
        self._transitions = -1

    def seconds(self, scheduler: distributed.Scheduler, *, awaited: bool = False) -> float:
        """Return for how long by now. To be called often: it may miss what happens in between.

        The time is 0 while there is no worker, since then no cores are in use, and while somebody
        waits for workers.
        """
        workers = scheduler.workers.values()
        active = (
            scheduler.transition_counter != self._transitions
            or scheduler.queued
            or scheduler.unrunnable
            or any(worker.processing for worker in workers)
        )
        self._transitions = scheduler.transition_counter
        if active or awaited or not workers:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = self._clock()
        return self._clock() - self._since


@dataclass(eq=False)
class UsageMeter:
    """Counts a cluster's core-hours, and closes it when it has been idle for too long.

    Parameters
    ----------
    pool : JobPool
    watcher : JobWatcher
    usage : UsageTotals
    limit : float or None
        Seconds without anything to do, after which the cluster is closed; None for never.
    end : callable
        Begins to close the cluster.

    Attributes
    ----------
    awaited : int
        Number of calls that wait for workers at present.
    closed_because : str
        Why the cluster was closed; empty if it was not, or by the user.
    """

    pool: JobPool
    watcher: JobWatcher
    usage: UsageTotals
    limit: float | None
    end: Callable[[], None]
    awaited = 0
    closed_because = ""
    _reported = False

    def __post_init__(self) -> None:
        self._idleness = IdleTimer()
        self.watcher.subscribe(self._on_event)

    def report_usage(self) -> None:
        """Report what was used, once, if there was any job."""
        if self.usage.jobs and not self._reported:
            self._reported = True
            messages.info(f"{self.pool.name} closed: {self.usage}.")

    async def while_awaited(self, wait: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Call `wait`; meanwhile the cluster does not count as idle."""
        self.awaited += 1
        try:
            return await wait(*arguments)
        finally:
            self.awaited -= 1

    def _on_event(self, event: JobEvent) -> None:
        status = self.watcher.status(event.job)
        elapsed = status.elapsed if status is not None else None
        if event.state in (JobState.RUNNING, JobState.ENDING):
            self.usage.began(event.job, elapsed)
        elif event.state.ended:
            self.usage.ended(event.job, elapsed)

    def tick(self) -> None:
        """Close the cluster if it has been idle for too long. To be called now and then."""
        if self.limit is None or self.closed_because or not self.pool.is_running:
            return
        awaited = bool(self.awaited)
        if self._idleness.seconds(self.pool.scheduler, awaited=awaited) >= self.limit:
            time_ = format_time(self.limit).strip()
            self.closed_because = f"it had nothing to do for {time_} (idle-timeout)"
            messages.info(f"{self.pool.name} is closed, since {self.closed_because}.")
            self.end()
