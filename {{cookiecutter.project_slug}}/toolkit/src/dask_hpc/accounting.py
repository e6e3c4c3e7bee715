"""Measure what a cluster costs, and how long it has had nothing to do.

Core-hours are the jobs' running time by the batch system's own clock, times their cores. How much
of that was idle is sampled about once a second: a core is busy while its worker has a task for it.
The time that a job needs until its workers have come counts as idle, too.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import distributed
from dask.utils import format_time
from tornado.ioloop import PeriodicCallback

from ._output import messages
from .batch import BatchSystem, JobState
from .batch.watcher import JobEvent, JobWatcher

# Between two samples, half of it more or less: work has rhythms of its own, of which regular
# samples might see the same moment again and again.
SAMPLE_S = 1.0


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
        self._busy = 0.0
        self._last = clock()

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

    def sample(self, busy_cores: int) -> None:
        """Note that so many cores have had something to do since the last sample."""
        now = self._clock()
        self._busy += busy_cores * max(0.0, now - self._last)
        self._last = now

    @property
    def core_seconds(self) -> float:
        now = self._clock()
        running = sum(max(0.0, now - start) for start in self._started.values())
        return self.cores * (self._ended + running)

    @property
    def idle_core_seconds(self) -> float:
        return max(0.0, self.core_seconds - self._busy)

    def __str__(self) -> str:
        used, idle = self.core_seconds, self.idle_core_seconds
        # A short test would be 0.0 core-hours.
        unit, name = (3600, "core-hours") if used >= 360 else (60, "core-minutes")
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        share = f" ({idle / used:.0%})" if used else ""
        return f"{jobs}, {used / unit:.1f} {name}, of which {idle / unit:.1f}{share} idle"


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


class MeteredCluster(Protocol):
    """What is asked of the cluster whose use is measured."""

    name: str  # of its class

    @property
    def scheduler(self) -> distributed.Scheduler:
        """Dask's scheduler; None until it starts."""

    @property
    def is_running(self) -> bool:
        """Whether the cluster has started and is not closing."""


class UsageMeter:
    """Samples a cluster on its event loop, and closes it when it has been idle for too long.

    Parameters
    ----------
    cluster : MeteredCluster
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

    def __init__(
        self,
        cluster: MeteredCluster,
        watcher: JobWatcher,
        usage: UsageTotals,
        limit: float | None,
        end: Callable[[], None],
    ):
        self.usage = usage
        self.limit = limit
        self.awaited = 0
        self.closed_because = ""
        self._cluster = cluster
        self._watcher = watcher
        self._end = end
        self._idleness = IdleTimer()
        self._samples = PeriodicCallback(self._tick, SAMPLE_S * 1000, jitter=1.0)
        self._reported = False
        watcher.subscribe(self._on_event)

    def start(self) -> None:
        """Begin to sample. To be called on the event loop."""
        if not self._samples.is_running():
            self._samples.start()

    def stop(self) -> None:
        """Sample once more, and then stop."""
        if self._samples.is_running():
            self._sample()
            self._samples.stop()

    def report_usage(self) -> None:
        """Report what was used, once, if there was any job."""
        if self.usage.jobs and not self._reported:
            self._reported = True
            messages.info(f"{self._cluster.name} closed: {self.usage}.")

    async def while_awaited(self, wait: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Call `wait`; meanwhile the cluster does not count as idle."""
        self.awaited += 1
        try:
            return await wait(*arguments)
        finally:
            self.awaited -= 1

    def _on_event(self, event: JobEvent) -> None:
        status = self._watcher.status(event.job)
        elapsed = status.elapsed if status is not None else None
        if event.state in (JobState.RUNNING, JobState.ENDING):
            self.usage.began(event.job, elapsed)
        elif event.state.ended:
            self.usage.ended(event.job, elapsed)

    def _sample(self) -> None:
        scheduler = self._cluster.scheduler
        workers = list(scheduler.workers.values()) if scheduler is not None else []
        self.usage.sample(sum(min(len(w.processing), w.nthreads) for w in workers))

    def _tick(self) -> None:
        if not self._cluster.is_running:
            return
        self._sample()
        if self.limit is None or self.closed_because:
            return
        awaited = bool(self.awaited)
        if self._idleness.seconds(self._cluster.scheduler, awaited=awaited) >= self.limit:
            time_ = format_time(self.limit).strip()
            self.closed_because = f"it had nothing to do for {time_} (idle-timeout)"
            messages.info(f"{self._cluster.name} is closed, since {self.closed_because}.")
            self._end()
