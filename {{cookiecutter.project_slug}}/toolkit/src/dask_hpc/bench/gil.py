"""The workload ``gil``: a pure-Python loop on real cores, serial, on threads, on processes.

Hundreds of sleeping tasks can share a core; computing ones can't. In one process Python's global
lock (the GIL) lets one thread at a time run Python code, so that such a loop gains nothing from
threads and uses the cores with processes. NumPy and reading files are different: they release the
lock.
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
from .runner import recording, rounded
from .show import describe_row
from .validation import MeasurementError, examine
from .workloads import WORKLOADS, burn, burn_task

MODES = ("serial", "threads", "processes")
SERIAL_S = 1.2  # length of the serial loop that the body is calibrated for
REPEATS = 3
MAX_CORES = 8  # more would take longer to start than to measure
TASKS_PER_CORE = 4


def forecast_s(cores: int, repeats: int = REPEATS) -> float:
    """Return about how long it takes, in seconds: serial, threads alike, processes on all cores."""
    return repeats * SERIAL_S * (2 + 1 / cores) + 4


def calibrate(seconds: float) -> int:
    """Return how many rounds of `burn` take about `seconds` on a core of this computer."""
    rounds = 20_000
    while (took := _quickest(rounds)) < 0.02:
        rounds *= 2
    return max(1, round(rounds * seconds / took))


def _quickest(rounds: int) -> float:
    """Return the seconds on a core of the quickest of five runs.

    They are processor time, not clock time: on a busy computer all five runs may have to wait for a
    core, and the loop would come out far too short.
    """
    return min(timeit.repeat(partial(burn, rounds), timer=time.thread_time, repeat=5, number=1))


def measure(
    out: Path,
    cores: int | None = None,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> Path:
    """Measure the three ways in turn, `repeats` times, and return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record.
    cores : int, optional
        Cores to use; by default those this process may use, up to `MAX_CORES`.
    repeats : int

    Raises
    ------
    MeasurementError
        The ways do not compute the same.
    """
    progress = progress or Progress()
    cores = cores or min(MAX_CORES, CPU_COUNT)
    tasks = TASKS_PER_CORE * cores
    seconds = SERIAL_S / tasks
    workload = WORKLOADS["gil"]
    plan = Plan(workload, tasks, seconds, (cores,), (repeats,))
    common = {"workload": workload.name, "backend": "local", "slots": cores, "tasks": tasks}
    with recording(plan, out, common) as writer:
        _measure(writer, common, cores, repeats, seconds, progress)
    return writer.path


def _measure(writer, common, cores, repeats, seconds, progress):
    tasks = common["tasks"]
    progress.status(f"{cores} cores: starting one worker with threads, and one worker a core …")
    with contextlib.ExitStack() as stack:
        ways = {
            "serial": lambda function, items: [function(item) for item in items],
            "threads": _start_workers(stack, processes=1, threads=cores),
            "processes": _start_workers(stack, processes=cores, threads=1),
        }
        for mode in MODES[1:]:
            ways[mode](partial(burn_task, rounds=1000), range(4 * cores))
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
                serial = serial or makespan  # the ways of one repeat are compared with each other
                row = _row(mode, results, tasks, rounds, makespan, serial, cores)
                shape = {"processes": cores if mode == "processes" else 1}
                shape["threads"] = cores if mode == "threads" else 1
                writer.write(
                    "row", **common, **shape, mode=mode, repeat=repeat, started=started, **row
                )
                progress.note(f"{what}: {describe_row({**common, **row})}")


def _row(mode, results, tasks, rounds, makespan, serial, cores) -> dict:
    """Return one way's row; its ideal is the same repeat's serial loop, shared among the cores."""
    expected = burn(rounds)
    if {result[0] for result in results} != set(range(tasks)) or len(results) != tasks:
        raise MeasurementError(f"{mode}: {len(results)} results are not of {tasks} different tasks")
    if any(result[6] != expected for result in results):
        raise MeasurementError(f"{mode}: a task computed something else than the serial loop")
    slots = 1 if mode == "serial" else cores
    row = metrics.of_makespan(tasks, serial / tasks, slots, makespan)
    row |= {"rounds": rounds, "seconds": serial / tasks, "n_errors": 0, "status": "ok"}
    return rounded(row | {"slots_used": examine(results).slots_used})


def _start_workers(stack: contextlib.ExitStack, processes: int, threads: int) -> Callable:
    """Return the `map` of a LocalCluster with that many worker processes, which `stack` closes."""
    from .backends.local import LocalBackend

    backend = stack.enter_context(contextlib.closing(LocalBackend(job_cores=threads)))
    backend.start(processes * threads)
    return backend.map
