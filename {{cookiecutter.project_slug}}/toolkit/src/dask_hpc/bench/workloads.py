"""The tasks of the workloads. They run on workers, so this module imports very little.

Each task returns its trace, a plain tuple `(item, host, pid, thread, start, end, value)`: the item,
where the task ran (host name, process id, thread id), when (seconds since 1970, by the worker's
clock), and its result. The harness checks the traces (`dask_hpc.bench.validation`).
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def sleep_task(item, seconds: float):
    """Sleep, instead of keeping a core busy."""
    start = time.time()
    time.sleep(seconds)
    return item, socket.gethostname(), os.getpid(), threading.get_ident(), start, time.time(), None


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


@dataclass(frozen=True)
class Workload:
    """A named benchmark, with its default points.

    Attributes
    ----------
    name, summary : str
        For the command line.
    task : callable
        The function that workers run.
    points : dict of int to int
        The number of repeats at each number of slots. Fewer slots take longer, so have fewer
        repeats.
    local_only : bool
        Whether it measures the cores of one computer, without a cluster.
    """

    name: str
    summary: str
    task: Callable
    points: dict[int, int] = field(default_factory=dict)
    local_only: bool = False


_SLEEP = Workload(
    "sleep",
    "500 sleeping tasks of 1 s on 120 slots, six times: the cost of distributing tasks",
    sleep_task,
    points={120: 6},
)
_STRONG_SCALING = Workload(
    "strong-scaling",
    "the same on 20, 50, 100, and 120 slots: how speedup grows with slots",
    sleep_task,
    points={20: 1, 50: 2, 100: 3, 120: 6},
)
_GIL = Workload(
    "gil",
    "a pure-Python computation on this computer's cores: threads against processes",
    burn_task,
    local_only=True,
)
WORKLOADS = {workload.name: workload for workload in (_SLEEP, _STRONG_SCALING, _GIL)}
