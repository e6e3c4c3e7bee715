"""Measure what a cluster's jobs cost and use, and detect that it is idle.

Core-hours are the jobs' running time, by the batch system's clock, multiplied by their cores.
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
from .resources import ResourceUse


def cores_held(batch: BatchSystem, script: str) -> int | None:
    """Return how many cores a job with this script holds; None if the script does not say.

    There may be more cores than worker threads, for example with ``job_cpu``.
    """
    lines = [line for line in script.splitlines() if line.startswith(batch.directive)]
    text = "\n".join(lines)
    found = [re.findall(pattern, text) for pattern in batch.cores_in_script]
    # If an option is repeated, the batch system uses the last one.
    return math.prod(int(numbers[-1]) for numbers in found if numbers) if any(found) else None


class UsageTotals:
    """Add up the core-hours of jobs of one size.

    Parameters
    ----------
    cores : int
        Cores of one job.
    clock : callable
        Returns seconds since 1970.
    """

    def __init__(self, cores: int = 1, clock: Callable[[], float] = time.time):
        self.cores = cores
        self.jobs = 0  # number of jobs that have run
        self._clock = clock
        self._started: dict[str, float] = {}  # start times of running jobs
        self._ended = 0.0  # total seconds of ended jobs

    def began(self, job: str, elapsed: float | None = None) -> None:
        """Record that a job has been running for `elapsed` seconds; ignore later calls for it."""
        if job not in self._started:
            self._started[job] = self._clock() - (elapsed or 0)
            self.jobs += 1

    def ended(self, job: str, elapsed: float | None = None) -> None:
        """Record that a job ended after `elapsed` seconds, if known; 0 means it never started."""
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
        # A short test would show as 0.0 core-hours.
        used = self.core_seconds
        unit, name = (3600, "core-hours") if used >= 360 else (60, "core-minutes")
        return f"{formatting.format_count(self.jobs, 'job')}, {used / unit:.1f} {name}"


class IdleTimer:
    """Measure for how long a scheduler has been idle.

    Parameters
    ----------
    clock : callable
        Returns the monotonic time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._since: float | None = None
        self._transitions = -1

    def seconds(self, scheduler: distributed.Scheduler, *, awaited: bool = False) -> float:
        """Return the idle time so far, in seconds. Call this often, so as not to miss activity.

        The time is 0 while there are no workers, since then no cores are in use, and while the
        program waits for workers.
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
    """Measure a cluster's core-hours and resources; close it when it has been idle for too long.

    Parameters
    ----------
    pool : JobPool
    watcher : JobWatcher
    usage : UsageTotals
    limit : float or None
        Idle seconds after which to close the cluster; None for never.
    end : callable
        Starts closing the cluster.
    resources : ResourceUse
        What the workers use.

    Attributes
    ----------
    awaited : int
        Number of calls that are currently waiting for workers.
    closed_because : str
        Why the cluster closed itself; empty otherwise.
    """

    pool: JobPool
    watcher: JobWatcher
    usage: UsageTotals
    limit: float | None
    end: Callable[[], None]
    resources: ResourceUse
    awaited = 0
    closed_because = ""
    _reported = False
    _resources_line = ""

    def __post_init__(self) -> None:
        self._idleness = IdleTimer()
        self.watcher.subscribe(self._on_event)

    def report_usage(self) -> None:
        """Report the core-hours and what was used, once, if there were any jobs."""
        if self.usage.jobs and not self._reported:
            self._reported = True
            messages.info(f"{self.pool.name} closed: {self.usage}.")
            if self._resources_line:
                messages.info(self._resources_line)

    def conclude(self) -> None:
        """Look at the workers once more; call this before they leave."""
        if self.usage.jobs and not self._resources_line:
            self.resources.look_at(self.pool.scheduler, now=True)
            self._resources_line = self.resources.line()

    async def while_awaited(self, wait: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Call `wait`; until it returns, the cluster does not count as idle."""
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
            if event.state is JobState.OUT_OF_MEMORY:
                self.resources.worker_died()

    def tick(self) -> None:
        """Look at the workers, and close a cluster that is idle. Call this every second."""
        self.resources.look_at(self.pool.scheduler)
        if self.limit is None or self.closed_because or not self.pool.is_running:
            return
        awaited = bool(self.awaited)
        if self._idleness.seconds(self.pool.scheduler, awaited=awaited) >= self.limit:
            time_ = format_time(self.limit).strip()
            self.closed_because = f"it was idle for {time_} (idle-timeout)"
            messages.info(f"Closing {self.pool.name}, because {self.closed_because}.")
            self.end()
