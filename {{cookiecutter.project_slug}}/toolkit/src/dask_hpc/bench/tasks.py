"""The tasks of the workloads. They run on workers, so this module imports very little.

Each task returns its trace, a plain tuple `(item, host, pid, thread, start, end, value)`: the item,
where the task ran (host name, process id, thread id), when (seconds since 1970, by the worker's
clock), and its result. The harness checks the traces (`dask_hpc.bench.validation`).
"""

import math
import os
import random
import socket
import threading
import time

# The lengths of uneven tasks are lognormal with this sigma: the longest of a thousand takes some
# five times as long as the median one.
SIGMA = 0.5
# One task in the middle takes this many times the mean, like a straggler.
STRAGGLER = 4.0
SEED = 20261129
# The topic under which a task announces that it has started.
STARTED = "dask-hpc-bench-started"


def trace(item, function):
    """Call a function without arguments, and return the trace of the task with its result."""
    start = time.time()
    value = function()
    return item, socket.gethostname(), os.getpid(), threading.get_ident(), start, time.time(), value


def sleep_task(item, seconds: float):
    """Sleep, instead of keeping a core busy."""
    start = time.time()
    if seconds:
        time.sleep(seconds)
    return item, socket.gethostname(), os.getpid(), threading.get_ident(), start, time.time(), None


def announced_task(item, seconds: float):
    """Tell Dask's scheduler that this task has started, then sleep.

    A task that is lost with its worker returns no trace, but was started all the same.
    """
    from distributed import get_worker

    get_worker().log_event(STARTED, item)
    return sleep_task(item, seconds)


def uneven_task(item, seconds: float, first: int, tasks: int):
    """Sleep for `uneven_length` of the item's position."""
    return sleep_task(item, uneven_length(item - first, seconds, tasks))


def uneven_length(position: int, seconds: float, tasks: int) -> float:
    """Return the length of an uneven task, in seconds; the same for the same arguments.

    Parameters
    ----------
    position : int
        From 0 to `tasks` - 1. The one in the middle is the straggler.
    seconds : float
        Mean of the lognormal distribution.
    tasks : int
        Number of tasks.
    """
    if position == tasks // 2:
        return STRAGGLER * seconds
    # An integer seed, whose meaning does not depend on the Python version or on PYTHONHASHSEED.
    draw = random.Random(SEED + position).gauss(0.0, SIGMA)
    return seconds * math.exp(draw - SIGMA**2 / 2)


def burn_task(item, rounds: int):
    """Compute in pure Python, holding the global interpreter lock (GIL) all the time."""
    start = time.time()
    value = burn(rounds)
    return item, socket.gethostname(), os.getpid(), threading.get_ident(), start, time.time(), value


def burn(rounds: int) -> float:
    """Estimate π from `rounds` terms of Leibniz's series, in pure Python."""
    total, sign = 0.0, 4.0
    for k in range(1, 2 * rounds, 2):
        total += sign / k
        sign = -sign
    return total
