"""The workload ``failure``: what it costs to lose a worker, a job, or a node while tasks run.

Each time, workers are started as the lab's members start them, and the same tasks run twice: once
undisturbed, and once while something is lost when half of the ideal time is over.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .._output.progress import Progress
from . import metrics, provenance
from .backends.losses import JOB, NODE, NOTHING, WORKER, LosingCluster, LosingLocal
from .observer import absence
from .plan import JobLayout, Plan
from .points import Point
from .record import Writer
from .runner import MAP_TIMEOUT_IDEALS, recording, rounded, write_failure
from .show import describe_row
from .tasks import announced_task
from .validation import check
from .workloads import WORKLOADS, PlanError

BACKENDS = {"cluster": LosingCluster, "local": LosingLocal}
REPEATS = 3
SHAPE = {"cluster": (4, 4), "local": (1, 4)}
WAVES, SECONDS = 5, 1.0
# A node that is cut off is noticed by its silence, and the batch system needs a minute, too.
TIMEOUT_S = 300.0
START_ALLOWANCE_S = 8.0  # only for the forecast
# Tasks of which each slot gets one before the clock starts.
WARMUP_S = 0.05


@dataclass(frozen=True)
class Losses:
    """What is measured.

    Attributes
    ----------
    backend : {"cluster", "local"}
    shape : JobLayout
    tasks : int
    seconds : float
        Length of a task.
    kinds : tuple of str
        What is lost: ``worker``, ``job``, ``node``.
    node_command : str
        What makes a node fail, with {node} for its name.
    """

    backend: str
    shape: JobLayout
    tasks: int
    seconds: float
    kinds: tuple[str, ...]
    node_command: str = ""

    @property
    def ideal_s(self) -> float:
        """The shortest time if nothing is lost."""
        return metrics.ideal_s(self.tasks, self.seconds, self.shape.workers)

    def columns(self) -> dict:
        """Return what a row says of it."""
        shape = self.shape
        return {
            "backend": self.backend,
            "slots": shape.workers,
            "jobs": shape.jobs,
            "processes": shape.processes,
            "tasks": self.tasks,
            "seconds": self.seconds,
            "ideal_s": self.ideal_s,
        }

    def forecast_s(self, repeats: int) -> float:
        """Return the approximate duration, in seconds, not including time in a queue."""
        return repeats * len(self.kinds) * (START_ALLOWANCE_S + 2.8 * self.ideal_s)


def plan(
    backend: str,
    shapes: Sequence[tuple[int, int]] | None = None,
    tasks: int | None = None,
    seconds: float | None = None,
    node_command: str = "",
) -> Losses:
    """Return what to measure on a backend, after checking that the numbers fit together.

    Raises
    ------
    PlanError
        They do not.
    """
    if shapes and len(shapes) > 1:
        raise PlanError("--shapes: failure takes a single one, such as 4x4")
    jobs, processes = (shapes or [SHAPE[backend]])[0]
    shape = JobLayout(jobs, 1, processes)
    if shape.workers < 2:
        raise PlanError("--shapes: failure needs at least 2 workers, since one is lost")
    if backend == "cluster" and jobs < 2:
        raise PlanError("--shapes: failure needs at least 2 jobs, since one is lost")
    if node_command and backend == "local":
        raise PlanError("--lose-node: on this computer, only a worker can be lost: omit it")
    tasks = tasks or WAVES * shape.workers
    if tasks < shape.workers:
        raise PlanError(
            f"{tasks} tasks cannot use {shape.workers} workers: use --tasks {shape.workers} or more"
        )
    kinds = (WORKER,) if backend == "local" else (WORKER, JOB)
    if node_command:
        kinds = (*kinds, NODE)
    return Losses(backend, shape, tasks, seconds or SECONDS, kinds, node_command)


def measure(
    out: Path,
    losses: Losses,
    repeats: int = REPEATS,
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Path:
    """Measure each kind of loss, `repeats` times in turn, and return the path of the record.

    Tasks that are lost for good, or not done in time, are a row, and the run goes on.

    Parameters
    ----------
    out : Path
        Folder for the record.
    losses : Losses
    repeats : int
    timeout : float
        Seconds to wait for the workers of each start.

    Raises
    ------
    DaskHPCError
        Workers do not start, or no loss could be measured.
    """
    progress = progress or Progress()
    workload = WORKLOADS["failure"]
    point = Point(losses.shape.workers, losses.tasks, losses.seconds, repeats)
    common: dict = {}
    failed: Exception | None = None
    measured = 0
    with recording(Plan(workload, [point]), out, common) as writer:
        for order, (repeat, kind) in enumerate(
            ((repeat, kind) for repeat in range(1, repeats + 1) for kind in losses.kinds), 1
        ):
            progress.status(f"{losses.shape.workers} workers: starting …", log=order == 1)
            common.clear()
            common |= {"workload": workload.name, **losses.columns()}
            common |= {"loss": kind, "repeat": repeat, "order": order}
            session = _Session(losses, kind, timeout, progress)
            try:
                session.measure(writer, common, f"{kind} lost: repeat {repeat} of {repeats}")
                measured += 1
            except Exception as error:  # a KilledWorker, say, is a result, too
                if not session.is_disturbed:
                    raise
                write_failure(writer, common, error)
                progress.note(f"{kind} lost: repeat {repeat} of {repeats}: failed: {error}")
                failed = error
    if failed is not None and not measured:
        raise failed
    return writer.path


class _Session:
    """One start of workers, with an undisturbed and a disturbed repeat."""

    def __init__(self, losses: Losses, kind: str, timeout: float, progress: Progress):
        self.is_disturbed = False
        self._losses = losses
        self._kind = kind
        self._progress = progress
        self._backend: Any = BACKENDS[losses.backend](losses.node_command, timeout=timeout)
        self._first_item = 0

    def measure(self, writer: Writer, common: dict, what: str) -> None:
        """Start workers, measure both, and end the workers."""
        try:
            self._backend.start_workers(self._losses.shape)
            if common["order"] == 1:
                about = {"slots": self._losses.shape.workers, "backend": self._losses.backend}
                writer.write("start", **about, **self._backend.describe())
            warmup = partial(announced_task, seconds=WARMUP_S)
            self._backend.run(warmup, range(-self._losses.shape.workers, 0), NOTHING, 0, TIMEOUT_S)
            self._progress.status(f"{what}: undisturbed", log=False)
            common |= {"loss": NOTHING, "started": provenance.now()}
            undisturbed = common | self._repeat(NOTHING)
            writer.write("row", **undisturbed, n_errors=0, status="ok")
            self._progress.status(what, log=False)
            common |= {"loss": self._kind, "started": provenance.now()}
            self.is_disturbed = True
            row = common | self._repeat(self._kind)
            row |= {"lost_s": round(row["makespan_s"] - undisturbed["makespan_s"], 6)}
            row |= {"undisturbed_s": undisturbed["makespan_s"]}
            writer.write("row", **row, n_errors=0, status="ok")
            self._progress.note(f"{what}: {describe_row(row)}")
        finally:
            self._backend.close()

    def _repeat(self, lose: str) -> dict:
        losses, backend = self._losses, self._backend
        items = range(self._first_item, self._first_item + losses.tasks)
        self._first_item += losses.tasks
        task = partial(announced_task, seconds=losses.seconds)
        timeout = MAP_TIMEOUT_IDEALS * losses.ideal_s + TIMEOUT_S
        clock = time.perf_counter()
        results, lost_at = backend.run(task, items, lose, losses.ideal_s / 2, timeout)
        makespan = time.perf_counter() - clock
        # A worker that replaces another one adds slots.
        check(results, items, losses.tasks, losses.seconds, makespan, losses.ideal_s, False)
        started = [item for item in backend.observer.started if item in items]
        total_s = losses.tasks * losses.seconds
        row = metrics.of_makespan(total_s, losses.ideal_s, makespan)
        row |= {"tasks_twice": len(started) - losses.tasks}
        if lost_at is not None:
            seen = absence(backend.observer.changes, lost_at)
            row |= {"workers_lost": seen.workers_lost}
            row |= {"noticed_s": seen.noticed_s, "back_s": seen.back_s}
        return rounded(row)
