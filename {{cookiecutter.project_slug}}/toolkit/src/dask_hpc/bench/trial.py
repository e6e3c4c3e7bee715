"""Measure what a few calls of a function need: alone, in threads, and with a whole job busy.

The functions `_call`, `_one_by_one`, and `_thread_gain` run on workers.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import distributed
import psutil

from .. import _get_cluster
from .._output.progress import Progress
from .._process_use import peak_memory
from ..errors import DaskHPCError
from .advice import Trial

# About this long for the calls one by one, and again with the whole job busy.
BUDGET_S = 20.0
MOST_ALONE, LEAST_ALONE = 20, 3
# Calls with the whole job busy: at least as many as its slots; if there is time, this many, or as
# many as give their mean with this standard error.
USUAL_BUSY, STANDARD_ERROR = 60, 0.05
THREADS = 4


class TrialError(DaskHPCError):
    """The calls could not be measured."""


def measure(
    function: Callable[[Any], Any],
    inputs: Sequence[Any],
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Trial:
    """Start one job as the lab's configuration shapes it, and call a function a few times in it.

    Without a batch system, the calls run on this computer's cores.

    Parameters
    ----------
    function : callable
        Takes one input. Its results are thrown away.
    inputs : sequence
        Some of these are used, at random.
    timeout : float
        Seconds to wait for the workers.
    progress : Progress, optional

    Raises
    ------
    TrialError
        A call has failed.
    DaskHPCError
        The workers do not start.
    """
    progress = progress or Progress()
    draw = random.Random(0)
    begin = time.monotonic()
    progress.status("starting one job …")
    with _get_cluster.get_cluster() as cluster:
        is_local = isinstance(cluster, distributed.LocalCluster)
        if not is_local:
            cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=timeout)
        start_s = time.monotonic() - begin
        cluster.wait_for_workers(max(1, len(cluster.plan)), timeout=timeout)
        with distributed.Client(cluster, set_as_default=False) as client:
            workers = client.nthreads()
            cores, one = sum(workers.values()), next(iter(workers))

            def run(task, *arguments):
                return client.submit(task, *arguments, workers=[one], pure=False).result()

            base = run(_memory_mib)
            progress.status("calls one by one …")
            sample = draw.sample(inputs, min(len(inputs), MOST_ALONE))
            calls = _checked(sample, run(_one_by_one, function, sample, BUDGET_S))
            alone = [seconds for seconds, _, _ in calls]
            peak = run(_peak_mib)  # before several calls run at once
            threads, gain = min(THREADS, cores), 1.0
            if threads > 1:
                progress.status("calls in threads …")
                few = [sample[n % len(calls)] for n in range(threads)]
                gain = run(_thread_gain, function, few)
            progress.status("calls on all cores of the job …")
            number = busy_calls(alone, cores, len(inputs))
            sample = draw.sample(inputs, number)
            futures = client.map(_call, [function] * number, sample, pure=False)
            busy = _checked(sample, client.gather(futures))
    return Trial(
        alone_s=alone,
        cpu_s=[cpu for _, cpu, _ in calls],
        busy_s=[seconds for seconds, _, _ in busy],
        thread_gain=gain,
        threads=threads,
        base_mib=base,
        call_mib=max(0.0, peak - base),
        start_s=start_s,
        cores=cores,
        processes=len(workers),
        is_local=is_local,
    )


def busy_calls(alone_s: Sequence[float], cores: int, inputs: int) -> int:
    """Return how many calls to make with all cores of a job busy.

    Parameters
    ----------
    alone_s : sequence of float
        Duration of calls, one at a time, in seconds. The more these differ, the more calls it takes
        to know their mean.
    cores, inputs : int
        Cores of the job; no more calls than inputs.
    """
    mean = max(statistics.fmean(alone_s), 1e-3)
    wanted = max(USUAL_BUSY, (statistics.pstdev(alone_s) / mean / STANDARD_ERROR) ** 2)
    return min(inputs, max(cores, round(min(wanted, cores * BUDGET_S / mean))))


def _checked(inputs: Sequence[Any], calls: list[tuple]) -> list[tuple]:
    """Return calls if none has failed."""
    for item, (_, _, error) in zip(inputs, calls, strict=False):
        if error:
            raise TrialError(f"the call for the input {item!r:.60} failed: {error}")
    return calls


def _call(function: Callable, item: Any) -> tuple[float, float, str]:
    """Return the duration and the CPU time of a call, in seconds, and its error.

    Time in which the call could not compute since other programs did counts as CPU time.
    """
    used, clock, error = _used_s(), time.perf_counter(), ""
    try:
        function(item)
    except Exception as caught:
        error = " ".join(f"{type(caught).__name__}: {caught}".split())
    return time.perf_counter() - clock, _used_s() - used, error


def _used_s() -> float:
    """Return this thread's CPU time, and the time that it has waited for a core, in seconds."""
    try:
        running, waiting, _ = Path("/proc/thread-self/schedstat").read_text().split()
    except OSError:
        return time.thread_time()
    return (int(running) + int(waiting)) / 1e9


def _one_by_one(function: Callable, inputs: Sequence[Any], budget_s: float) -> list[tuple]:
    """Call a function for inputs until the time is up, a few times at least."""
    calls: list[tuple] = []
    end = time.perf_counter() + budget_s
    for item in inputs:
        calls.append(_call(function, item))
        if calls[-1][2] or (len(calls) >= LEAST_ALONE and time.perf_counter() > end):
            break
    return calls


def _thread_gain(function: Callable, inputs: Sequence[Any]) -> float:
    """Return how many calls are as quick in threads of this process, at the same time, as one.

    Each call is compared with itself, since their lengths may differ, and both are measured in
    turns, since other programs may take a part of the time. In threads, the time of a call counts
    from the beginning of all, since it may have to wait before it begins.
    """
    alone = together = 0.0
    with ThreadPoolExecutor(len(inputs)) as pool:
        for _ in range(2):
            alone += sum(_call(function, item)[0] for item in inputs)
            begin = time.perf_counter()

            def end_s(item: Any, begin: float = begin) -> float:
                _call(function, item)
                return time.perf_counter() - begin

            together += sum(pool.map(end_s, inputs))
            if alone > BUDGET_S:
                break
    return len(inputs) * alone / together


def _memory_mib() -> float:
    """Return the memory that this process has now, in MiB."""
    return float(psutil.Process().memory_info().rss) / 2**20


def _peak_mib() -> float:
    """Return the most memory that this process has had, in MiB."""
    peak = peak_memory()
    return _memory_mib() if peak is None else peak / 2**20
