"""The workload ``numpy``: computations on real cores, in threads and in processes.

NumPy releases Python's global interpreter lock (GIL) while it computes with arrays, so threads of
one process can use several cores; a pure-Python loop, beside it, needs processes. Both are compared
with one core in the same repeat. There are never more slots than cores.
"""

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .._output.formatting import format_count
from .._output.progress import Progress
from . import compute_tasks, cores, metrics
from .backends import lab
from .backends._dask import DaskBackend
from .compute_tasks import NUMPY, PYTHON
from .plan import JobLayout, Plan, layout
from .runner import recording, rounded, write_repeat
from .validation import MeasurementError, TaskTrace, check
from .workloads import WORKLOADS, PlanError

MODES = ("serial", "threads", "processes")
WORKS = (NUMPY, PYTHON)
REPEATS = 3
SLOTS = 8  # unless the user says how many; fewer if there are fewer cores
TASK_S, TASKS_PER_SLOT, SERIAL_TASKS = 0.1, 8, 16
MAX_BLAS_CORES = 1.3  # of a worker whose BLAS has one thread, with what Dask does meanwhile
START_S = 14.0  # of both kinds of workers, for the forecast


def forecast_s(slots: int, repeats: int) -> float:  # noqa: ARG001 - equal for all
    """Return the approximate duration, in seconds, not including time in a queue."""
    return repeats * len(WORKS) * TASK_S * (SERIAL_TASKS + 3 * TASKS_PER_SLOT) + START_S


def check_local(slots: int | None) -> int:
    """Return the number of slots to measure on this computer: as given, or its cores.

    Raises
    ------
    PlanError
        It has fewer cores.
    """
    return limit(slots, cores.count([cores.here()]), "this computer has")


def limit(slots: int | None, available: int, owner: str) -> int:
    """Return the number of slots: as given, or as many as there are cores, but at most `SLOTS`.

    Raises
    ------
    PlanError
        There are fewer cores than were given.
    """
    if slots is not None and slots > available:
        raise PlanError(
            f"{slots} slots cannot compute at one time, since {owner} "
            f"{format_count(available, 'physical core')}: use --slots {available} or fewer"
        )
    return slots or min(SLOTS, available)


def measure(
    out: Path,
    backend: str,
    slots: int | None = None,
    repeats: int = REPEATS,
    job_cores: int = 30,
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Path:
    """Measure both computations in turn, `repeats` times, and return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record.
    backend : {"cluster", "local"}
    slots : int, optional
        Default: as many as the workers have physical cores, up to `SLOTS`.
    repeats : int
    job_cores : int
        Maximum number of cores of a job.
    timeout : float
        Seconds to wait for the workers.
    progress : Progress, optional

    Raises
    ------
    PlanError
        The workers have fewer physical cores.
    MeasurementError
        BLAS uses several threads, or the modes do not compute the same result.
    """
    progress = progress or Progress()
    workload = WORKLOADS["numpy"]
    common: dict = {"workload": workload.name, "backend": backend, "slots": slots or SLOTS}
    with recording(Plan(workload, []), out, common) as writer:
        workers: dict[str, DaskBackend] = {}
        try:
            slots = _start(workers, writer, common, (slots, job_cores, timeout), progress)
            run = _Run(workers, slots)
            for repeat in range(1, repeats + 1):
                common["repeat"] = repeat
                for work in WORKS:
                    for mode in MODES:
                        what = f"{work}, {mode}: repeat {repeat} of {repeats}"
                        common |= {"work": work, "mode": mode}
                        with lab.naming(what):
                            compute = partial(run.measure, work, mode)
                            write_repeat(writer, common, what, compute, progress)
        finally:
            for each in reversed(workers.values()):  # each restores what it has silenced
                each.close()
    return writer.path


def _start(workers: dict, writer, common: dict, asked: tuple, progress: Progress) -> int:
    """Start workers of both shapes, at most as many as there are cores; return their number."""
    given, job_cores, timeout = asked
    slots, cpus = given or SLOTS, 1
    if common["backend"] == "local":
        slots = check_local(given)

    def begin(mode: str, shape: JobLayout) -> dict:
        each = lab.BACKENDS[common["backend"]](timeout=timeout)
        workers[mode] = each
        each.cpus_per_slot = cpus
        return lab.start(each, shape)

    while True:
        progress.status(f"{slots} slots: starting workers, with threads and with processes …")
        shape = layout(slots, max(1, job_cores // cpus))
        start = begin("processes", shape.as_processes())
        places = list(workers["processes"].everywhere(cores.here).values())
        fitting = fit(given, slots, cpus, places)
        if fitting == (slots, cpus):
            break
        workers["processes"].close()
        slots, cpus = fitting
        progress.note(
            f"These workers have {format_count(cores.count(places), 'physical core')}: starting "
            f"{format_count(slots, 'slot')} with {format_count(cpus, 'CPU')} each instead."
        )
    writer.write("start", **start)
    writer.write("start", **begin("threads", shape))
    common |= {"slots": slots, "cores": cores.count(places)}
    return slots


def fit(given: int | None, slots: int, cpus: int, places: Sequence[cores.Place]) -> tuple[int, int]:
    """Return how many slots to start, and how many CPUs to ask for each, for a core each.

    Parameters
    ----------
    given : int or None
        Number of slots that the user has chosen.
    slots, cpus : int
        What the workers were started with.
    places : sequence of Place
        Where they are.

    Raises
    ------
    PlanError
        There are fewer cores than the user has asked for.
    """
    available, threads = cores.count(places), cores.threads_per_core(places)
    if available >= slots:
        return slots, cpus
    if threads > cpus:  # what the batch system calls a CPU is a hardware thread
        return slots, threads
    return limit(given, available, "the workers have"), cpus


class _Run:
    """The workers of both shapes, and how long the tasks are."""

    def __init__(self, workers: dict, slots: int):
        self._workers = workers
        self._slots = slots
        self._one = workers["processes"].workers()[0]
        for mode, each in workers.items():
            check_blas(mode, *each.call(compute_tasks.blas_cores))
        self._rounds = {
            work: workers["processes"].call(compute_tasks.calibrate, work, TASK_S) for work in WORKS
        }
        for work in WORKS:  # imports NumPy in each process
            for each in workers.values():
                task = partial(compute_tasks.compute_task, work=work, rounds=1)
                each.map(task, range(8 * slots), timeout=lab.TIMEOUT_S)
        self._task_s = TASK_S
        self._expected: dict[str, float] = {}

    def measure(self, work: str, mode: str) -> dict:
        """Return what a row says; the serial loop has been measured before the others."""
        rounds = self._rounds[work]
        shape = self._workers["threads" if mode == "threads" else "processes"].layout
        row = {"rounds": rounds, "jobs": shape.jobs, "processes": shape.processes}
        row["threads"] = shape.threads
        if mode == "serial":
            found = self._workers["processes"].call(
                compute_tasks.serial_task,
                *(0, work, rounds, SERIAL_TASKS),
                timeout=lab.timeout_s(SERIAL_TASKS * TASK_S),
                worker=self._one,
            )
            makespan, self._expected[work] = TaskTrace(*found).value
            self._task_s = makespan / SERIAL_TASKS
            row |= {"tasks": SERIAL_TASKS, "slots_used": 1, "seconds": self._task_s}
            return rounded(row | metrics.of_makespan(makespan, makespan, makespan))
        number = TASKS_PER_SLOT * self._slots
        task = partial(compute_tasks.compute_task, work=work, rounds=rounds)
        total, ideal = number * self._task_s, TASKS_PER_SLOT * self._task_s
        clock = time.perf_counter()
        results = list(self._workers[mode].map(task, range(number), timeout=lab.timeout_s(total)))
        makespan = time.perf_counter() - clock
        used = check_results(results, number, self._slots, makespan, self._expected[work])
        row |= {"tasks": number, "slots_used": used, "seconds": self._task_s}
        return rounded(row | metrics.of_makespan(total, ideal, makespan))


def check_blas(mode: str, busy: float, variables: dict[str, str]) -> None:
    """Check that a task uses one core, by what it does and by what limits it.

    Raises
    ------
    MeasurementError
        BLAS uses several threads, or may do so when cores are free.
    """
    others = any(value != "1" for value in variables.values())
    if others or busy > MAX_BLAS_CORES:
        given = ", ".join(f"{name}={value}" for name, value in variables.items())
        raise MeasurementError(
            f"BLAS uses several threads in each slot of the workers with {mode}, which would make "
            f"more threads than cores: set OMP_NUM_THREADS=1 ({given or 'it is not set'}; a "
            f"product of matrices kept {busy:.1f} cores busy)"
        )


def check_results(
    results: Sequence[tuple], number: int, slots: int, makespan_s: float, expected: float
) -> int:
    """Check that each task ran and computed what the serial loop did; return the slots used.

    Raises
    ------
    MeasurementError
        One did not.
    """
    used = check(results, range(number), slots, 0, makespan_s, 0, all_slots=False).slots_used
    # Computers with other processors may differ in the last digits.
    if not all(math.isclose(TaskTrace(*each).value, expected, rel_tol=1e-9) for each in results):
        raise MeasurementError("a task's result differs from that of the serial loop")
    return used
