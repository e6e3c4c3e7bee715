"""The computations of the workload ``numpy``. They run on workers."""

import os
import time
import timeit
from collections.abc import Callable

from . import tasks

NUMPY, PYTHON = "numpy", "python"
# The arrays stay in a core's own cache, so that memory is not what limits.
LENGTH, MATRIX = 16_384, 128
# What keeps the threads of BLAS libraries to one.
BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BLAS_MATRIX, BLAS_S = 512, 0.3


def numpy_loop(rounds: int) -> float:
    """Compute with arrays, a part of it in BLAS; each call releases Python's global lock."""
    import numpy as np

    x, y = np.linspace(0.0, 1.0, LENGTH), np.empty(LENGTH)
    a = np.linspace(0.0, 1.0, MATRIX * MATRIX).reshape(MATRIX, MATRIX)
    b = np.empty_like(a)
    total = 0.0
    for n in range(rounds):
        np.sin(x, out=y)
        np.multiply(y, x, out=y)
        np.matmul(a, a, out=b)
        total += float(y.sum()) + float(b[n % MATRIX, 0])
    return total


LOOPS: dict[str, Callable[[int], float]] = {NUMPY: numpy_loop, PYTHON: tasks.burn}


def compute_task(item: int, work: str, rounds: int) -> tuple:
    """Return the trace of a task that computes."""
    return tasks.trace(item, lambda: LOOPS[work](rounds))


def serial_task(item: int, work: str, rounds: int, number: int) -> tuple:
    """Do the work of several tasks one after another; return the seconds and the last result."""

    def loop() -> tuple[float, float]:
        clock, found = time.perf_counter(), 0.0
        for _ in range(number):
            found = LOOPS[work](rounds)
        return time.perf_counter() - clock, found

    return tasks.trace(item, loop)


def calibrate(work: str, seconds: float) -> int:
    """Return how many rounds take about `seconds` of CPU time on one core of this computer."""
    loop, rounds = LOOPS[work], 4
    loop(rounds)  # imports NumPy
    while (took := _quickest(loop, rounds)) < 0.02:
        rounds *= 2
    return max(1, round(rounds * seconds / took))


def _quickest(loop: Callable[[int], float], rounds: int) -> float:
    return min(timeit.repeat(lambda: loop(rounds), timer=time.thread_time, repeat=3, number=1))


def blas_cores() -> tuple[float, dict[str, str]]:
    """Return how many cores a product of matrices keeps busy, and what limits their number."""
    import numpy as np

    a = np.ones((BLAS_MATRIX, BLAS_MATRIX))
    b = np.empty_like(a)
    np.matmul(a, a, out=b)
    cpu, clock = time.process_time(), time.perf_counter()
    while (passed := time.perf_counter() - clock) < BLAS_S:
        np.matmul(a, a, out=b)
    variables = {name: os.environ[name] for name in BLAS_VARIABLES if name in os.environ}
    return (time.process_time() - cpu) / passed, variables
