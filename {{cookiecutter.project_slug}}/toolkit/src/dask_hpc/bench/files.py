"""The workload ``files``: a sweep over files, against a plain loop and against the disk.

It writes the files into a folder beside the record, which the nodes have to share, and removes them
afterward. A plain loop over all of them in one worker is compared, in each repeat, with reading
nothing but their bytes on all slots, and with a sweep.
"""

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from .._output.progress import Progress
from . import cores, file_tasks, metrics
from .backends import lab
from .plan import Plan, layout
from .record import RecordError
from .runner import recording, rounded, write_repeat
from .validation import MeasurementError, TaskTrace, check, examine
from .workloads import WORKLOADS

MODES = ("loop", "disk", "sweep")
CSV, NETCDF = file_tasks.FORMATS
WORDS = {CSV: "CSV", NETCDF: "NetCDF"}
FILES, SIZE_MB, REPEATS = 300, 0.5, 3
SLOTS = 16  # on a cluster
MAX_PROCESSES = 8  # of a job, as the lab's own jobs have
# For the forecast, on one core: a file of a megabyte, and the start of workers.
MB_S, START_S = {CSV: 0.12, NETCDF: 0.01}, 8.0
WRITE_MB_S = 0.02


@dataclass(frozen=True)
class Files:
    """What is written, and where it is read.

    Attributes
    ----------
    slots : int
        Workers, each with one thread.
    number : int
    size_mb : float
        Of each file, in megabytes.
    format : {"csv", "netcdf"}
    """

    slots: int
    number: int = FILES
    size_mb: float = SIZE_MB
    format: str = CSV

    def forecast_s(self, repeats: int) -> float:
        """Return the approximate duration, in seconds, not including time in a queue."""
        megabytes = self.number * self.size_mb
        once = megabytes * MB_S[self.format] * (1 + 1 / min(self.slots, 4))
        return repeats * once + megabytes * WRITE_MB_S + START_S

    def columns(self) -> dict:
        """Return what a row says of it."""
        found = asdict(self)
        return {"tasks": found.pop("number"), **found}


def measure(
    out: Path,
    files: Files,
    backend: str,
    repeats: int = REPEATS,
    job_cores: int = MAX_PROCESSES,
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Path:
    """Measure the loop, the disk, and the sweep in turn; return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record and, meanwhile, for the files.
    files : Files
    backend : {"cluster", "local"}
    repeats : int
    job_cores : int
        Maximum number of cores of a job.
    timeout : float
        Seconds to wait for the workers.
    progress : Progress, optional

    Raises
    ------
    RecordError, DaskHPCError
        Files or the record cannot be written, workers do not start or do not see the files, or the
        measurement is not valid.
    """
    progress = progress or Progress()
    workload = WORKLOADS["files"]
    common: dict = {"workload": workload.name, "backend": backend, **files.columns()}
    with recording(Plan(workload, []), out, common) as writer:
        progress.status(f"writing {files.number} files …")
        with written(out, files) as (folder, paths):
            workers = lab.BACKENDS[backend](timeout=timeout)
            shape = layout(files.slots, min(job_cores, MAX_PROCESSES)).as_processes()
            progress.status(f"{files.slots} slots: starting workers …")
            try:
                writer.write("start", **lab.start(workers, shape))
                common |= {"jobs": shape.jobs, "processes": shape.processes, "threads": 1}
                run = _Run(workers, files, folder, paths)
                run.check()
                for repeat in range(1, repeats + 1):
                    common["repeat"] = repeat
                    run.begin()
                    for mode in MODES:
                        what = f"{mode}: repeat {repeat} of {repeats}"
                        common["mode"] = mode
                        with lab.naming(what):
                            read = partial(run.measure, mode)
                            write_repeat(writer, common, what, read, progress)
            finally:
                workers.close()
    return writer.path


@contextmanager
def written(out: Path, files: Files) -> Iterator[tuple[Path, list[Path]]]:
    """Write the files into a new folder; yield it and their paths, and remove it at the end.

    Raises
    ------
    RecordError
        They cannot be written.
    """
    with _explained(out):
        folder = Path(tempfile.mkdtemp(prefix="files-", dir=out.resolve()))
    try:
        with _explained(out):
            size = math.ceil(1e6 * files.size_mb)
            needed, free = files.number * size, shutil.disk_usage(folder).free
            if needed > free:
                raise RecordError(
                    f"{needed / 1e6:,.0f} MB of files, but {out} has {free / 1e6:,.0f} MB left: "
                    "use fewer --tasks, smaller --sizes, or another --out"
                )
            place = folder / "files"
            place.mkdir()
            paths = file_tasks.write(place, files.number, size, files.format)
        yield folder, paths
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"cannot write files to {out}: {error.strerror}; use another --out"
        ) from None


class _Run:
    """The files, the workers, and what was measured of a repeat so far."""

    def __init__(self, workers, files: Files, folder: Path, paths: Sequence[Path]):
        self._workers = workers
        self._files = files
        self._folder = folder
        self._paths = paths
        self._mb = sum(path.stat().st_size for path in paths) / 1e6
        self._cores = cores.count(workers.everywhere(cores.here).values())
        self._expected_s = files.forecast_s(1)  # until the loop has been measured
        self._results: list = []  # of the loop
        self._sweeps = 0

    def check(self) -> None:
        """Raise an error if workers do not see the files.

        Raises
        ------
        MeasurementError
            One of them does not.
        """
        for address, path in self._workers.everywhere(file_tasks.missing, self._paths).items():
            if path:
                raise MeasurementError(
                    f"the worker {address} does not see {path}: "
                    "use an --out on a file system that all nodes share"
                )

    def begin(self) -> None:
        """Begin a repeat."""
        self._loop_s = self._disk_s = self._cpu_s = 0.0

    def measure(self, mode: str) -> dict:
        """Return what a row says of a mode; those before it, in `MODES`, have been measured."""
        self._workers.everywhere(file_tasks.forget, self._paths)
        measured: Callable[[], tuple[float, list, dict]] = getattr(self, f"_{mode}")
        makespan, traces, more = measured()
        used = examine(traces)
        ideal = makespan if mode != "sweep" else self._bound_s()
        row = {
            **metrics.of_makespan(self._loop_s, ideal, makespan),
            "tasks_per_s": self._files.number / makespan,
            "mb_per_s": self._mb / makespan,
            "cores": self._cores,
            "slots_used": used.slots_used,
            "hosts": used.hosts,
        }
        return rounded(row | more)

    def _bound_s(self) -> float:
        """Return the shortest time that the disk, the slots, and the cores allow."""
        slots, cores = self._files.slots, min(self._cores, self._files.slots)
        return max(self._disk_s, self._loop_s / slots, self._cpu_s / cores)

    def _loop(self) -> tuple[float, list, dict]:
        task = partial(file_tasks.loop_task, paths=self._paths, form=self._files.format)
        [found] = self._workers.map(task, [0], timeout=lab.timeout_s(self._expected_s))
        self._loop_s, self._cpu_s, self._results = TaskTrace(*found).value
        self._expected_s = self._loop_s
        return self._loop_s, [found], {"task_cpu_s": self._cpu_s}

    def _disk(self) -> tuple[float, list, dict]:
        slots = self._files.slots
        shares = [self._paths[n::slots] for n in range(slots)]
        task = partial(file_tasks.bytes_task, shares=shares)
        clock = time.perf_counter()
        found = list(self._workers.map(task, range(slots), timeout=lab.timeout_s(self._expected_s)))
        self._disk_s = time.perf_counter() - clock
        read = sum(TaskTrace(*result).value for result in found)
        if round(self._mb * 1e6) != read:
            raise MeasurementError(f"{read} bytes were read instead of {self._mb * 1e6:.0f}")
        return self._disk_s, found, {}

    def _sweep(self) -> tuple[float, list, dict]:
        self._sweeps += 1
        task = partial(file_tasks.reduce_task, form=self._files.format)
        clock = time.perf_counter()
        found = self._workers.sweep(
            task,
            self._paths,
            self._folder / f"results-{self._sweeps}",
            timeout=lab.timeout_s(self._expected_s),
        )
        makespan = time.perf_counter() - clock
        check_sweep(found, self._paths, self._results, self._files.slots, makespan)
        return makespan, found, {}


def check_sweep(
    found: Sequence[tuple],
    paths: Sequence[Path],
    expected: Sequence,
    slots: int,
    makespan_s: float,
) -> None:
    """Check that a sweep did what the loop did.

    Raises
    ------
    MeasurementError
        A file was not read, or its result differs from that of the loop.
    """
    if failed := [result for result in found if not isinstance(result, tuple)]:
        raise MeasurementError(f"{len(failed)} of {len(paths)} files failed: {failed[0]}")
    check(found, [str(path) for path in paths], slots, 0, makespan_s, 0, all_slots=False)
    by_path = {trace.item: trace.value for trace in (TaskTrace(*result) for result in found)}
    for path, result in zip(paths, expected, strict=True):
        if by_path[str(path)] != result:
            raise MeasurementError(f"the sweep's result for {path} differs from the loop's")
