"""The workload ``adapt``: 20 tasks, none, 60 tasks, none, on a cluster that follows the work.

Each burst of tasks finds no workers. When its last result is there, the cluster gives all workers
up, and the next burst begins when no cores are held.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .._output.progress import Progress
from . import metrics
from .backends.adapting import AdaptingCluster, AdaptingLocal
from .backends.losses import quiet
from .plan import JobLayout, Plan
from .points import GATHER, Point
from .runner import MAP_TIMEOUT_IDEALS, recording, rounded, write_repeat
from .tasks import sleep_task
from .validation import TaskTrace, check
from .workloads import WORKLOADS, PlanError

BACKENDS = {"cluster": AdaptingCluster, "local": AdaptingLocal}
BURSTS = (20, 60)
REPEATS = 3
SHAPE = {"cluster": (4, 4), "local": (1, 4)}
SECONDS = 1.0
# To submit jobs, and to give workers up; only for the forecast.
START_ALLOWANCE_S, END_ALLOWANCE_S = 6.0, 6.0


@dataclass(frozen=True)
class Bursts:
    """What is measured.

    Attributes
    ----------
    backend : {"cluster", "local"}
    shape : JobLayout
        The most jobs, and the workers of each one.
    seconds : float
        Length of a task.
    """

    backend: str
    shape: JobLayout
    seconds: float = SECONDS

    def ideal_s(self, tasks: int) -> float:
        """Return the shortest time of a burst, if all workers were there."""
        return metrics.ideal_s(tasks, self.seconds, self.shape.workers)

    def forecast_s(self, repeats: int) -> float:
        """Return the approximate duration, in seconds, not including time in a queue."""
        around = START_ALLOWANCE_S + END_ALLOWANCE_S
        return repeats * sum(around + 1.5 * self.ideal_s(tasks) for tasks in BURSTS)


def plan(
    backend: str,
    shapes: Sequence[tuple[int, int]] | None = None,
    seconds: float | None = None,
) -> Bursts:
    """Return what to measure on a backend.

    Raises
    ------
    PlanError
        There is more than one shape, or one that the backend does not have.
    """
    if shapes and len(shapes) > 1:
        raise PlanError("--shapes: adapt takes a single one, such as 4x4")
    jobs, processes = (shapes or [SHAPE[backend]])[0]
    return Bursts(backend, JobLayout(jobs, 1, processes), seconds or SECONDS)


def measure(
    out: Path,
    bursts: Bursts,
    repeats: int = REPEATS,
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Path:
    """Measure the bursts in turn, `repeats` times, and return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record.
    bursts : Bursts
    repeats : int
    timeout : float
        Seconds that a burst may take beyond its tasks, including time in the queue.

    Raises
    ------
    DaskHPCError
        The tasks are not done in time, or the workers are not given up.
    """
    progress = progress or Progress()
    workload = WORKLOADS["adapt"]
    points = [Point(bursts.shape.workers, n, bursts.seconds, repeats, GATHER) for n in BURSTS]
    shape = bursts.shape
    common: dict = {}
    with quiet(), recording(Plan(workload, points), out, common) as writer:
        backend: Any = BACKENDS[bursts.backend](timeout=timeout)
        try:
            backend.adapt(shape)
            about = {"slots": shape.workers, "backend": bursts.backend}
            writer.write("start", **about, **backend.describe())
            first_item = 0
            for order in range(repeats * len(BURSTS)):
                repeat, number = divmod(order, len(BURSTS))
                tasks = BURSTS[number]
                what = f"{tasks} tasks: repeat {repeat + 1} of {repeats}"
                common.clear()
                common |= {"workload": workload.name, "backend": bursts.backend}
                common |= {"slots": shape.workers, "jobs": shape.jobs}
                common |= {"processes": shape.processes, "tasks": tasks}
                common |= {"seconds": bursts.seconds, "ideal_s": bursts.ideal_s(tasks)}
                common |= {"repeat": repeat + 1, "order": order + 1}
                items = range(first_item, first_item + tasks)
                first_item += tasks
                measure_burst = partial(_burst, backend, bursts, items, timeout)
                write_repeat(writer, common, what, measure_burst, progress)
        finally:
            backend.close()
    return writer.path


def _burst(backend, bursts: Bursts, items: range, timeout: float) -> dict:
    """Submit tasks to a cluster without workers, and wait until it has none again."""
    ideal_s, seconds = bursts.ideal_s(len(items)), bursts.seconds
    held, changes = backend.held_core_s(), len(backend.observer.changes)
    began, clock = time.time(), time.perf_counter()
    task = partial(sleep_task, seconds=seconds)
    results = backend.map(task, items, timeout + MAP_TIMEOUT_IDEALS * ideal_s, GATHER)
    makespan = time.perf_counter() - clock
    empty_at = backend.wait_until_empty()
    check(list(results), items, len(items), seconds, makespan, ideal_s, all_slots=False)
    held_core_s = backend.held_core_s() - held
    traces = [TaskTrace(*result) for result in results]
    busy_core_s = sum(task.end - task.start for task in traces)
    seen = backend.observer.changes[changes:]
    row = metrics.of_makespan(len(items) * seconds, ideal_s, makespan)
    row |= {
        "first_worker_s": seen[0][0] - began,
        "most_workers": max(count for _, count in seen),
        "empty_s": empty_at - began - makespan,
        "held_core_s": held_core_s,
        "busy_core_s": busy_core_s,
        "wasted_core_s": held_core_s - busy_core_s,
    }
    threads = bursts.shape.threads
    return rounded(row) | {
        "held_at": [[round(at - began, 3), count * threads] for at, count in seen],
        "busy_at": _busy(traces, began),
    }


def _busy(traces: Sequence[TaskTrace], began: float) -> list[list[float]]:
    """Return when the number of running tasks changed, and what it was then."""
    steps = [(task.start, 1) for task in traces] + [(task.end, -1) for task in traces]
    found: list[list[float]] = []
    running = 0
    for at, change in sorted(steps):
        running += change
        found.append([round(at - began, 3), running])
    return found
