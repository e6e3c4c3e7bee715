"""The workload ``scheduler-limit``: how many workers one scheduler holds; they are simulated.

The scheduler is a real one, in this process together with the client, as in a member's program, and
its connections are encrypted. `simulated` says what the workers are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from dask.system import CPU_COUNT

from .._output.progress import Progress
from . import metrics, provenance
from .backends.local import LocalBackend
from .plan import JobLayout, Plan
from .points import GATHER, Point
from .record import Writer
from .runner import recording, rounded, write_failure
from .show import describe_row
from .simulated import SimulatedProcess
from .workloads import WORKLOADS, PlanError

STEPS = (100, 300, 1000, 3000, 10_000)
TASKS_PER_WORKER, SECONDS = 5, 1.0
MAX_PROCESSES = 8
# A step that takes longer ends the run, as one that leaves less memory than this does.
STEP_TIMEOUT_S, MIN_MEMORY = 300.0, 0.1
# Open files of a process beside the connections to workers.
OTHER_FILES = 200
# Only for the forecast.
START_ALLOWANCE_S, WORKER_ALLOWANCE_S, TASK_ALLOWANCE_S = 4.0, 0.006, 0.0005


class StepEndedError(Exception):
    """A step cannot be measured; the text says why."""


@dataclass(frozen=True)
class Steps:
    """What is measured.

    Attributes
    ----------
    workers : tuple of int
        Numbers of workers, ascending.
    tasks_per_worker : int
    seconds : float
        Length of a task.
    """

    workers: tuple[int, ...] = STEPS
    tasks_per_worker: int = TASKS_PER_WORKER
    seconds: float = SECONDS

    def forecast_s(self) -> float:
        """Return the approximate duration, in seconds."""
        tasks = self.tasks_per_worker * sum(self.workers)
        each = max(self.seconds * self.tasks_per_worker, 0.0) * len(self.workers)
        connecting = WORKER_ALLOWANCE_S * self.workers[-1]
        return START_ALLOWANCE_S + each + connecting + TASK_ALLOWANCE_S * tasks


def plan(slots: Sequence[int] | None, tasks: int | None, seconds: float | None) -> Steps:
    """Return what to measure, given what the user has chosen.

    Raises
    ------
    PlanError
        A number of workers is there twice.
    """
    workers = tuple(sorted(slots or STEPS))
    if len(set(workers)) < len(workers):
        raise PlanError("--slots has a duplicate: each number of workers is measured once")
    return Steps(workers, tasks or TASKS_PER_WORKER, seconds or SECONDS)


def measure(out: Path, steps: Steps, progress: Progress | None = None) -> Path:
    """Measure each number of workers, and return the path of the record.

    A step for which there is not enough memory, time, or files is a row, and the last one.

    Parameters
    ----------
    out : Path
        Folder for the record.
    steps : Steps
    """
    progress = progress or Progress()
    workload = WORKLOADS["scheduler-limit"]
    each = steps.tasks_per_worker
    points = [Point(n, each * n, steps.seconds, 1, GATHER) for n in steps.workers]
    common: dict[str, Any] = {}
    with recording(Plan(workload, points), out, common) as writer:
        scheduler = _Scheduler(steps.seconds)
        try:
            scheduler.start()
            _measure_steps(scheduler, steps, writer, common, progress)
        finally:
            scheduler.close()
    return writer.path


def _measure_steps(
    scheduler: "_Scheduler", steps: Steps, writer: Writer, common: dict, progress: Progress
) -> None:
    for order, workers in enumerate(steps.workers, 1):
        what = f"{workers:,} simulated workers"
        progress.status(f"{what}: connecting", log=False)
        tasks = steps.tasks_per_worker * workers
        common.clear()
        common |= {"workload": "scheduler-limit", "backend": "local", "simulated": True}
        common |= {"slots": workers, "processes": len(scheduler.processes), "threads": 1}
        common |= {"tasks": tasks, "seconds": steps.seconds, "way": GATHER}
        common |= {"repeat": 1, "order": order, "started": provenance.now()}
        try:
            if problem := shortage(workers, psutil.virtual_memory(), open_files()):
                raise StepEndedError(problem)
            row = common | scheduler.measure(workers, tasks, steps.seconds)
        except StepEndedError as error:
            write_failure(writer, common, error)
            progress.note(f"{what}: ended here: {error}")
            return
        writer.write("row", **row, n_errors=0, status="ok")
        progress.note(f"{what}: {describe_row(row)}")


class _Scheduler:
    """A scheduler and its simulated workers."""

    def __init__(self, seconds: float):
        self.processes: list[SimulatedProcess] = []
        self._seconds = seconds
        self._backend = LocalBackend()
        self._workers = 0

    def start(self) -> None:
        """Start the scheduler, connect a client, and start the processes."""
        self._backend.open(JobLayout(1, 1))
        cluster = self._backend.cluster
        cluster.sync(self._backend.connect)
        for _ in range(max(1, min(CPU_COUNT - 1, MAX_PROCESSES))):
            self.processes.append(
                SimulatedProcess(cluster.scheduler_address, cluster.security, self._seconds)
            )

    def measure(self, workers: int, tasks: int, seconds: float) -> dict:
        """Connect as many workers, run the tasks, and return what was found."""
        begin = time.perf_counter()
        self._connect(workers)
        connected_s = time.perf_counter() - begin
        cluster, client = self._backend.cluster, self._backend.client

        async def run() -> None:
            from distributed import wait

            futures = client.map(_never_called, range(self._first(tasks), self._count), pure=False)
            with client.as_current():
                await wait(futures)

        this, others = psutil.Process(), [psutil.Process(p.process.pid) for p in self.processes]
        cpu, simulated = time.process_time(), [_cpu_s(other) for other in others]
        clock = time.perf_counter()
        try:
            cluster.sync(run, callback_timeout=STEP_TIMEOUT_S)
        except TimeoutError:
            raise StepEndedError(
                f"the tasks took more than {STEP_TIMEOUT_S:.0f} s; "
                f"{len(cluster.scheduler.workers):,} of {workers:,} workers are connected"
            ) from None
        makespan = time.perf_counter() - clock
        cpu = time.process_time() - cpu
        busiest = max(_cpu_s(o) - s for o, s in zip(others, simulated, strict=True)) / makespan
        there = len(cluster.scheduler.workers)
        if there != workers:
            raise StepEndedError(f"{there:,} of {workers:,} workers are still connected")
        ideal = metrics.ideal_s(tasks, seconds, workers)
        row = metrics.of_makespan(tasks * seconds, ideal, makespan)
        row |= {
            "tasks_per_s": tasks / makespan,
            "connected_s": connected_s,
            "cpu_s": cpu,
            "rss_mib": this.memory_info().rss / 2**20,
            "simulated_cpu_percent": 100 * busiest,
        }
        return rounded(row)

    _count = 0  # of the tasks so far, which all have items of their own

    def _first(self, tasks: int) -> int:
        first, self._count = self._count, self._count + tasks
        return first

    def _connect(self, workers: int) -> None:
        """Connect workers until there are so many."""
        there, self._workers = self._workers, workers
        number = len(self.processes)
        share = -(-(workers - there) // number)
        for n, process in enumerate(self.processes):
            process.ask_for(range(there + n * share, min(there + (n + 1) * share, workers)))
        end = time.monotonic() + STEP_TIMEOUT_S
        for process in self.processes:
            try:
                problem = process.answer(max(0.0, end - time.monotonic()))
            except TimeoutError:
                problem = (
                    f"{len(self._backend.cluster.scheduler.workers):,} of {workers:,} workers "
                    f"connected within {STEP_TIMEOUT_S:.0f} s"
                )
            if problem:
                raise StepEndedError(problem)

    def close(self) -> None:
        """End the scheduler, then the workers: it would note the loss of each one at length."""
        from .backends.losses import quiet

        with quiet():
            try:
                self._backend.close()
            finally:
                for process in self.processes:
                    process.close()


def shortage(workers: int, memory: Any, files: int | None) -> str:
    """Return what a computer lacks for so many workers; empty if nothing.

    Parameters
    ----------
    workers : int
    memory : object
        With `available` and `total`, in bytes.
    files : int or None
        How many files a process may open; None if unlimited.
    """
    if files is not None and workers + OTHER_FILES > files:
        return (
            f"a process may open {files:,} files here, and each worker is one of them: "
            f"raise the limit (ulimit -n {workers + OTHER_FILES})"
        )
    if memory.available < MIN_MEMORY * memory.total:
        return f"{memory.available / 2**20:,.0f} MiB of memory are left"
    return ""


def open_files() -> int | None:
    """Return how many files this process may open, after raising that as far as allowed."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = hard if hard != resource.RLIM_INFINITY else max(soft, STEPS[-1] + OTHER_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _never_called(item: int) -> None:
    """Stand for a task of a simulated worker, which does not call it."""
