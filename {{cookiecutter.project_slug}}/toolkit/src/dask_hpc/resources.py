"""Compare the memory and cores that workers used with what their jobs requested.

Everything here is arithmetic on figures that workers send with their heartbeats. A suggestion must
be right, so there is none if the figures are few, or do not show all that tasks used.
"""

import logging
import math
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from dask.utils import parse_bytes
from distributed import Scheduler
from distributed.scheduler import WorkerState, heartbeat_interval

from ._output.formatting import format_count
from ._process_use import NAME
from .config.memory_limit import WORKER_MEMORY_FRACTION
from .config.resolve import JobSettings

logger = logging.getLogger(__name__)

GIB = 2**30
# Suggest so much memory that the peak stays below the part of a worker's limit at which Dask begins
# to move data to disk (its default), since the next inputs differ.
COMFORTABLE_FRACTION = 0.6
# At this part of their limit, workers stop accepting tasks (Dask's default).
NEARLY_FULL_FRACTION = 0.8
# Suggest less memory, or fewer cores, only if it is at most this part of the request.
WORTHWHILE_MEMORY_FRACTION, WORTHWHILE_CORES_FRACTION = 0.75, 0.5
# For how long tasks must have run before there is anything to say.
MIN_TASK_S = 30.0
# How often the workers must have been looked at meanwhile. A few looks may all have come when tasks
# were just beginning or ending.
MIN_LOOKS = 4
# The longest time that one sample stands for: this process may have been suspended.
MAX_GAP_S = 30.0
# A worker's own work (heartbeats, transfers) on top of its tasks', in cores.
OVERHEAD_CORES = 0.25
# Programs that tasks start count if they take this many CPU seconds. Python itself starts some.
MIN_PROGRAMS_CPU_S = 1.0


@dataclass(frozen=True)
class Request:
    """What a job requests for its workers.

    Attributes
    ----------
    memory : str
        As in the configuration, such as ``"16 GiB"``.
    cores, processes : int
    subject : str
        The beginning of the sentence about it.
    has_own_memory : bool
        Whether the batch system is asked for memory by another key than ``memory``.
    """

    memory: str
    cores: int
    processes: int
    subject: str
    has_own_memory: bool = False


def requested(settings: JobSettings, subject: str = "Each job asked for") -> Request:
    """Return what jobs with these settings request."""
    own = any(settings.get(key) for key in ("job-mem", "mem", "resource-spec"))
    return Request(settings.memory, settings.cores, settings.processes, subject, own)


@dataclass(frozen=True)
class Sample:
    """What a worker has reported.

    Attributes
    ----------
    job : Hashable
        The job that it belongs to.
    peak : float
        Its memory in bytes: the most so far or, if not `is_exact`, at this moment.
    limit : float
        Its memory limit; 0 for none.
    cores : float
        How many cores it keeps busy.
    tasks, slots : int
        Running tasks, and how many it can run at once.
    is_exact : bool
    programs : bool
        Whether its tasks started programs, whose memory and CPU time are not included.
    """

    job: Hashable
    peak: float
    limit: float
    cores: float
    tasks: int
    slots: int
    is_exact: bool = True
    programs: bool = False


def sample(worker: WorkerState, job: Hashable) -> Sample:
    """Return what a worker of a job has sent with its last heartbeat."""
    metrics: dict[str, Any] = worker.metrics
    own = metrics.get(NAME) or {}
    counts = metrics.get("task_counts") or {}
    return Sample(
        job,
        peak=max(own.get("peak") or 0, metrics.get("memory") or 0),
        limit=worker.memory_limit or 0,
        cores=(metrics.get("cpu") or 0) / 100,
        tasks=min(counts.get("executing", 0) + counts.get("long-running", 0), worker.nthreads),
        slots=worker.nthreads,
        is_exact=bool(own.get("peak")),
        programs=bool(own.get("programs")) or own.get("programs-cpu", 0) > MIN_PROGRAMS_CPU_S,
    )


class Load(NamedTuple):
    """What runs at once: workers, running tasks, slots, and busy cores."""

    workers: int = 0
    tasks: int = 0
    slots: int = 0
    cores: float = 0.0

    def plus(self, other: "Load") -> "Load":
        """Return the sum of both."""
        tasks, slots = self.tasks + other.tasks, self.slots + other.slots
        return Load(self.workers + other.workers, tasks, slots, self.cores + other.cores)

    def or_more(self, other: "Load") -> "Load":
        """Return the larger one of each figure."""
        tasks, slots = max(self.tasks, other.tasks), max(self.slots, other.slots)
        return Load(max(self.workers, other.workers), tasks, slots, max(self.cores, other.cores))


class ResourceUse:
    """Collect what the workers of a cluster use.

    Parameters
    ----------
    request : Request
    job_of : callable
        Returns the job of a `distributed.scheduler.WorkerState`.
    clock : callable
        Returns the monotonic time, in seconds.

    Attributes
    ----------
    peak : float
        The most memory of any worker, in bytes.
    task_seconds : float
        For how long tasks ran.
    held_cores : int
        The cores of a job, which may be more than ``cores``.
    """

    def __init__(
        self,
        request: Request,
        job_of: Callable[[WorkerState], Hashable] = lambda worker: worker.address,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.request = request
        self.peak = 0.0
        self.task_seconds = 0.0
        self.held_cores = request.cores
        self._job_of = job_of
        self._clock = clock
        self._looked = clock()
        self._fullest = 0.0  # the peak in relation to the limit
        self._core_seconds = self._slot_seconds = 0.0  # while tasks ran
        self._looks = 0  # likewise
        self._worker, self._job = Load(), Load()  # of any at any time
        self._finished = 0
        self._is_exact = True  # each worker reported its own peak
        self._died = False  # a worker left without reporting its last
        self._programs = False

    def look_at(self, scheduler: Scheduler | None, *, now: bool = False) -> None:
        """Take the workers' latest figures, once per heartbeat or `now`; never raise an error."""
        try:
            if scheduler is None:
                return
            workers = list(scheduler.workers.values())
            # A tick of the caller may be late or early.
            if now or self._clock() - self._looked > heartbeat_interval(len(workers)) - 0.1:
                prefixes = scheduler.task_prefixes.values()
                finished = sum(prefix.state_counts["memory"] for prefix in prefixes)
                self.add([sample(it, self._job_of(it)) for it in workers], finished)
        except Exception:
            logger.debug("Cannot read what workers use", exc_info=True)

    def add(self, samples: Iterable[Sample], finished: int) -> None:
        """Add one sample of each worker, and the number of tasks that have finished so far."""
        seconds, self._looked = min(self._clock() - self._looked, MAX_GAP_S), self._clock()
        self._finished = finished
        total = Load()
        jobs: dict[Hashable, Load] = {}
        for it in samples:
            self.peak = max(self.peak, it.peak)
            self._fullest = max(self._fullest, it.peak / it.limit if it.limit else 0.0)
            self._is_exact &= it.is_exact
            self._programs |= it.programs
            load = Load(1, it.tasks, it.slots, it.cores)
            self._worker = self._worker.or_more(load)
            jobs[it.job] = jobs.get(it.job, Load()).plus(load)
            total = total.plus(load)
        for job in jobs.values():
            self._job = self._job.or_more(job)
        if total.tasks:
            self._looks += 1
            self.task_seconds += seconds
            self._core_seconds += total.cores * seconds
            self._slot_seconds += total.slots * seconds

    def worker_died(self) -> None:
        """Record that a worker died, perhaps because it needed more memory than it reported."""
        self._died = True

    def line(self, program: float = 0) -> str:
        """Return what was used and what to request next time; empty if there is nothing to say.

        This never raises an error, since clusters call it when they close.

        Parameters
        ----------
        program : float
            Peak memory of the program, if it shares the memory with the workers, in bytes.
        """
        try:
            is_enough = self.task_seconds >= MIN_TASK_S and self._looks >= MIN_LOOKS
            return self._line(program) if is_enough else ""
        except Exception:
            logger.debug("Cannot describe what workers used", exc_info=True)
            return ""

    def _line(self, program: float) -> str:
        request = self.request
        is_full = self._fullest >= NEARLY_FULL_FRACTION
        bound = "at least" if self._died or not self._is_exact else "up to"
        workers = max(request.processes, self._job.workers)
        used = format_gib(workers * self.peak + program)
        used += " (nearly all they may use)" if is_full else ""
        busy = request.cores * self._core_seconds / self._slot_seconds
        cores = format_count(self.held_cores, "core")
        facts = (
            f"{request.subject} {request.memory} and {cores}; its workers used {bound} {used} "
            f"and kept {busy:.1f} cores busy while tasks ran."
        )
        if self._died:
            facts += " Workers that died may have needed more."
        if self._programs:
            return f"{facts} Programs that tasks start are not counted."
        fewer = None if program else self._fewer_workers()
        advice = []
        if memory := self._better_memory(*(fewer or (workers, self._worker.slots)), program):
            advice.append(f"{memory} GiB" if request.has_own_memory else f"memory: {memory} GiB")
        if fewer is not None:
            tasks, slots = self._job.tasks, self._job.slots
            facts += f" At most {tasks} of a job's {slots} slots had tasks at once."
            processes, threads = fewer
            advice.append(f"cores: {processes * threads}")
            if processes < request.processes:
                advice.append(f"processes: {processes}")
        if not advice:
            return facts
        return f"{facts} Next time, ask for {', '.join(advice)}."

    def _fewer_workers(self) -> tuple[int, int] | None:
        """Return how many processes, and threads in each, are enough; None for about as many."""
        request, job = self.request, self._job
        if not job.slots == request.cores == self.held_cores or self._finished < job.tasks:
            return None
        enough = max(1, job.tasks, math.ceil(job.cores - OVERHEAD_CORES))
        processes = min(request.processes, enough)
        threads = math.ceil(enough / processes)
        worthwhile = processes * threads <= WORTHWHILE_CORES_FRACTION * request.cores
        return (processes, threads) if worthwhile else None

    def _better_memory(self, workers: int, threads: int, program: float) -> int:
        """Return the GiB to request for a job, if not about the same as now; otherwise 0."""
        asked = parse_bytes(self.request.memory)
        # More tasks may run at once next time, in slots that were free.
        worker = self.peak * threads / min(threads, max(1, self._worker.tasks))
        enough = round_up(memory_for((workers + bool(program)) * max(worker, program)))
        if self._fullest >= NEARLY_FULL_FRACTION:
            return enough if enough * GIB > asked else 0
        is_known = self._is_exact and not self._died and self._finished >= self._job.tasks
        return enough if is_known and is_worthwhile(enough, asked) else 0


def memory_for(peak: float) -> float:
    """Return the memory to request for processes with this peak in total."""
    return peak / COMFORTABLE_FRACTION / WORKER_MEMORY_FRACTION


def is_worthwhile(enough: int, asked: float) -> bool:
    """Return whether so many GiB are clearly less than the bytes that were requested."""
    return enough * GIB <= WORTHWHILE_MEMORY_FRACTION * asked


def round_up(size: float) -> int:
    """Return a number of bytes in GiB, rounded up to a number with few binary digits."""
    gib = max(1, math.ceil(size / GIB))
    step = max(1, 2 ** (gib.bit_length() - 3))
    return step * math.ceil(gib / step)


def format_gib(size: float) -> str:
    """Return a number of bytes in GiB: "0.3 GiB", "2.1 GiB", "120 GiB"."""
    gib = size / GIB
    return f"{gib:.1f} GiB" if gib < 100 else f"{gib:.0f} GiB"
