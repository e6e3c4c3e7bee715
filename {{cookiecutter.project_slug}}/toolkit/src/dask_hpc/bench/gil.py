"""The workload ``gil``: a pure-Python loop on real cores: serial, with threads, with processes.

Hundreds of sleeping tasks can share a core; computing ones cannot. Python's global interpreter lock
(GIL) lets only one thread per process run Python code, so such a loop gains nothing from threads,
and needs processes to use all cores. NumPy and file I/O are different: they release the lock.
"""

import contextlib
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dask.system import CPU_COUNT

from .._output.progress import Progress
from . import metrics, provenance
from .plan import Plan
from .points import Point
from .runner import recording, rounded
from .show import describe_row
from .tasks import burn, burn_task
from .validation import MeasurementError, examine
from .workloads import WORKLOADS

MODES = ("serial", "threads", "processes")
SERIAL_S = 1.2  # length of the serial loop to calibrate for
REPEATS = 3
MAX_CORES = 8  # more would take longer to start than to measure
TASKS_PER_CORE = 4


def forecast_s(cores: int, repeats: int = REPEATS) -> float:
    """Return the approximate duration, in seconds: serial, threads, and processes on all cores."""
    return repeats * SERIAL_S * (2 + 1 / cores) + 4


def calibrate(seconds: float) -> int:
    """Return how many rounds of `burn` take about `seconds` on one core of this computer."""
    rounds = 20_000
    while (took := _quickest(rounds)) < 0.02:
        rounds *= 2
    return max(1, round(rounds * seconds / took))


def _quickest(rounds: int) -> float:
    """Return the CPU seconds of the fastest of five runs.

    It uses CPU time instead of wall time, since on a busy computer all five runs may have to wait
    for a core, and the loop would become far too short.
    """
    return min(timeit.repeat(partial(burn, rounds), timer=time.thread_time, repeat=5, number=1))


def measure(
    out: Path,
    cores: int | None = None,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> Path:
    """Measure the three modes in turn, `repeats` times, and return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record.
    cores : int, optional
        Cores to use; by default, those available to this process, up to `MAX_CORES`.
    repeats : int

    Raises
    ------
    MeasurementError
        The modes do not compute the same result.
    """
    progress = progress or Progress()
    cores = cores or min(MAX_CORES, CPU_COUNT)
    tasks = TASKS_PER_CORE * cores
    seconds = SERIAL_S / tasks
    workload = WORKLOADS["gil"]
    plan = Plan(workload, [Point(cores, tasks, seconds, repeats)])
    common = {"workload": workload.name, "backend": "local", "slots": cores, "tasks": tasks}
    with recording(plan, out, common) as writer:
        _measure(writer, common, cores, repeats, seconds, progress)
    return writer.path


def _measure(writer, common, cores, repeats, seconds, progress):
    tasks = common["tasks"]
    progress.status(f"{cores} cores: starting one worker with threads, and one worker per core …")
    shapes = {"serial": (1, 1), "threads": (1, cores), "processes": (cores, 1)}
    with contextlib.ExitStack() as stack:
        ways = {"serial": lambda function, items: [function(item) for item in items]}
        for mode in MODES[1:]:
            ways[mode] = _start_workers(stack, *shapes[mode])
            ways[mode](partial(burn_task, rounds=1000), range(4 * cores))  # warm up
        rounds = calibrate(seconds)
        for repeat in range(1, repeats + 1):
            serial = None
            for mode in MODES:
                what = f"{mode}: repeat {repeat} of {repeats}"
                progress.status(what, log=False)
                started = provenance.now()
                clock = time.perf_counter()
                results = ways[mode](partial(burn_task, rounds=rounds), range(tasks))
                makespan = time.perf_counter() - clock
                serial = serial or makespan  # modes are compared within each repeat
                row = _row(mode, results, tasks, rounds, makespan, serial, cores)
                row |= dict(zip(("processes", "threads"), shapes[mode], strict=True))
                writer.write("row", **common, mode=mode, repeat=repeat, started=started, **row)
                progress.note(f"{what}: {describe_row({**common, **row})}")


def _row(mode, results, tasks, rounds, makespan, serial, cores) -> dict:
    """Return one mode's row; its ideal is the same repeat's serial loop, divided by the cores."""
    expected = burn(rounds)
    if {result[0] for result in results} != set(range(tasks)) or len(results) != tasks:
        raise MeasurementError(f"{mode}: {len(results)} results are not from {tasks} unique tasks")
    if any(result[6] != expected for result in results):
        raise MeasurementError(f"{mode}: a task's result differs from that of the serial loop")
    slots = 1 if mode == "serial" else cores
    ideal = metrics.ideal_s(tasks, serial / tasks, slots)
    row = metrics.of_makespan(serial, ideal, makespan)
    row |= {"rounds": rounds, "seconds": serial / tasks, "n_errors": 0, "status": "ok"}
    return rounded(row | {"slots_used": examine(results).slots_used})


def _start_workers(stack: contextlib.ExitStack, processes: int, threads: int) -> Callable:
    """Return the `map` of a LocalCluster with this many worker processes, closed by `stack`."""
    from .backends.local import LocalBackend

    backend = stack.enter_context(contextlib.closing(LocalBackend(job_cores=threads)))
    backend.start(processes * threads)
    return backend.map
