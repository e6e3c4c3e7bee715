"""Say how many jobs to ask for, from what a few calls of a function needed.

All of this is arithmetic: `trial` measures, and `dask hpc bench advise` prints.
"""

import heapq
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..resources import memory_for, round_up

# Threads are taken to help if this share of what they could gain is there.
THREADS_HELP = 0.6
# Of what a call takes, more than this is CPU time: it computes.
COMPUTES = 0.5
# With fewer jobs than these, the time is more than this much above the least.
CLOSE_ENOUGH = 1.1
# A job holds its cores for about this long before its first call.
JOB_START_S = 3.0
# The client and the scheduler need about this long for a call.
OVERHEAD_S = 0.001
RESAMPLES = 20


@dataclass(frozen=True)
class Trial:
    """What a few calls needed.

    Attributes
    ----------
    alone_s, cpu_s : sequence of float
        Duration and CPU time of calls, one at a time on one worker, in seconds.
    busy_s : sequence of float
        Duration of calls while all workers of a job were busy.
    thread_gain : float
        How many of `threads` calls were as quick in threads of one process as one was alone.
    threads : int
        Number of threads tried; 1 if there were none.
    base_mib, call_mib : float
        Memory of a worker before the calls, and what a call takes at most.
    start_s : float
        From the creation of the cluster to the first worker.
    cores, processes : int
        Of a job, as the lab's configuration has them.
    is_local : bool
        Whether the "job" is this computer, since there is no batch system.
    """

    alone_s: Sequence[float]
    cpu_s: Sequence[float]
    busy_s: Sequence[float]
    thread_gain: float
    threads: int
    base_mib: float
    call_mib: float
    start_s: float
    cores: int
    processes: int
    is_local: bool = False

    @property
    def computes(self) -> bool:
        """Whether most of a call is CPU time."""
        return sum(self.cpu_s) > COMPUTES * sum(self.alone_s)

    @property
    def threads_help(self) -> bool:
        """Whether calls run at the same time in one process."""
        return self.threads > 1 and self.thread_gain - 1 > THREADS_HELP * (self.threads - 1)


@dataclass(frozen=True)
class Forecast:
    """What a number of jobs would need.

    Attributes
    ----------
    jobs : int
    work_s : float
        From the first call to the last result, in seconds.
    total_s : float
        With the start.
    core_hours : float
        Of all jobs, from their start to the last result.
    """

    jobs: int
    work_s: float
    total_s: float
    core_hours: float


@dataclass(frozen=True)
class Advice:
    """What to ask for.

    Attributes
    ----------
    trial : Trial
    inputs : int
        Number of calls.
    processes : int
        Workers of a job; the cores of a job are threads of these.
    memory_gib : int
        Of a job.
    ladder : sequence of Forecast
        By number of jobs.
    best : Forecast
        The one to ask for: the least product of time and core-hours, where more jobs begin to cost
        more than they save (Eager, Zahorjan, Lazowska, 1989).
    quickest : Forecast
        The fewest jobs that need little more than the least time.
    """

    trial: Trial
    inputs: int
    processes: int
    memory_gib: int
    ladder: Sequence[Forecast]
    best: Forecast
    quickest: Forecast


def advise(trial: Trial, inputs: int, max_jobs: int = 1000) -> Advice:
    """Return what to ask for.

    Parameters
    ----------
    trial : Trial
    inputs : int
        Number of calls, at least 1.
    max_jobs : int
        Most jobs that can be had.
    """
    # Calls that hold Python's lock need a process each. Calls that do not can share one.
    processes = trial.processes if trial.threads_help else trial.cores
    # What was measured in the lab's shape holds if that is the shape to ask for.
    times = trial.busy_s if processes == trial.processes else trial.alone_s
    most = 1 if trial.is_local else max(1, min(max_jobs, math.ceil(inputs / trial.cores)))
    ladder = [_forecast(trial, times, inputs, jobs) for jobs in _ladder(most)]
    least = min(forecast.total_s for forecast in ladder)
    return Advice(
        trial,
        inputs,
        processes,
        memory_gib(trial, processes),
        ladder,
        best=min(ladder, key=lambda forecast: forecast.total_s * forecast.core_hours),
        quickest=next(f for f in ladder if f.total_s <= CLOSE_ENOUGH * least),
    )


def memory_gib(trial: Trial, processes: int) -> int:
    """Return the memory that a job of so many workers needs, in GiB, with a margin."""
    worker = trial.base_mib + trial.cores / processes * trial.call_mib
    return round_up(memory_for(processes * worker * 2**20))


def _ladder(most: int) -> list[int]:
    """Return numbers of jobs: all small ones, and larger ones in steps of an eighth."""
    jobs, found = 1, []
    while jobs <= most:
        found.append(jobs)
        jobs += max(1, jobs // 8)
    return found if found[-1] == most else [*found, most]


def _forecast(trial: Trial, times: Sequence[float], inputs: int, jobs: int) -> Forecast:
    work = makespan_s(times, inputs, jobs * trial.cores)
    core_hours = jobs * trial.cores * (JOB_START_S + work) / 3600
    return Forecast(jobs, work, trial.start_s + work, core_hours)


def makespan_s(times: Sequence[float], inputs: int, slots: int) -> float:
    """Return the expected time of calls whose durations are drawn from `times`, in seconds.

    Each slot takes the next call when it is free, as Dask's workers do. The result is the mean of
    several draws; the same arguments give the same result.
    """
    if min(times) == max(times):
        return math.ceil(inputs / slots) * times[0] + OVERHEAD_S * inputs / slots
    if inputs > 200 * slots:  # the last calls do not matter
        share = statistics.fmean(times) * inputs / slots
        return share + max(times) / 2
    draw = random.Random(0)
    found = []
    for _ in range(max(1, min(RESAMPLES, 100_000 // inputs))):
        ends = [0.0] * min(slots, inputs)
        for _ in range(inputs):
            heapq.heapreplace(ends, ends[0] + draw.choice(times) + OVERHEAD_S)
        found.append(max(ends))
    return statistics.fmean(found)
