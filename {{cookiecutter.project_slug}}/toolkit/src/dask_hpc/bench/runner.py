"""Measure a plan on a backend: start workers, measure, write rows.

This works with any `Backend`, so that all are measured with the same clock and checks.
"""

import contextlib
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import psutil

from .._output.progress import Progress
from . import metrics, provenance, record, stamps, trace
from .backends._dask import Backend, phase_durations
from .plan import Plan, Session
from .points import SWEEP, Point
from .process_time import process_start
from .show import describe_point, describe_row
from .tasks import sleep_task
from .validation import MeasurementError, check

# Length of a warm-up task: long enough that each thread gets exactly one.
WARMUP_S = 0.05
# A map times out after this many times its ideal, plus this many seconds.
MAP_TIMEOUT_IDEALS, MAP_TIMEOUT_S = 5.0, 60.0


def measure(
    plan: Plan,
    make_backend: Callable[[], Backend],
    out: Path,
    progress: Progress | None = None,
) -> Path:
    """Measure a plan and return the path of its record.

    The first failure ends the run: it is written as a row, the workers are ended, and the error is
    raised. Earlier measurements stay in the record.

    Parameters
    ----------
    plan : Plan
    make_backend : callable
        Returns a backend that is not started; called once each session.
    out : Path
        Folder for the record.
    progress : Progress, optional
        Shows how far the run is; by default, nothing does.

    Raises
    ------
    RecordError, DaskHPCError
        The record cannot be written, workers do not start, or the measurement is not valid.
    """
    progress = progress or Progress()
    run = _Run(plan, progress)
    with recording(plan, out, run.common) as writer:
        for index, session in enumerate(plan.sessions()):
            run.measure_session(session, make_backend(), writer, first=index == 0)
    return writer.path


class _Run:
    """A run of a plan, and how far it is."""

    def __init__(self, plan: Plan, progress: Progress):
        self.common: dict = {}  # of the rows of a session
        self._plan = plan
        self._progress = progress
        self._done: Counter[Point] = Counter()  # repeats measured so far
        self._order = 0
        self._first_item = 0  # of the next repeat, since each has items of its own
        self._traced = trace.chosen(plan.points)

    def measure_session(
        self, session: Session, backend: Backend, writer: record.Writer, first: bool
    ) -> None:
        """Start workers, measure, and end the workers."""
        common, slots = self.common, session.slots
        common.clear()
        common |= {"workload": self._plan.workload.name, "backend": backend.name}
        common |= session.turns[0].columns()
        self._progress.status(f"{slots} slots: starting workers …")
        try:
            begin = process_start() if first else time.time()
            phases, ready = _start(backend, session, begin, first)
            for number, point in enumerate(session.turns):
                self._order += 1
                self._done[point] += 1
                what = f"{describe_point(point)}: repeat {self._done[point]} of {point.repeats}"
                self._progress.status(what, log=False)
                common |= point.columns() | {"repeat": self._done[point], "order": self._order}
                common |= {"started": provenance.now()}
                row, moments, traces = self._repeat(backend, point)
                if number == 0:
                    # Only now, after the phases were timed, since this can take a moment.
                    about = backend.describe()
                    common |= {key: about[key] for key in ("jobs", "processes", "threads")}
                    phases |= phase_durations(ready, moments)
                    about |= {"backend": backend.name, "first_of_command": first}
                    about |= {"phases": phases, "cold_total_s": sum(phases.values())}
                    writer.write("start", slots=slots, order=self._order, **about)
                row = common | row
                writer.write("row", **row, n_errors=0, status="ok")
                if point == self._traced:
                    writer.write("trace", **common, makespan_s=row["makespan_s"], **traces)
                    self._traced = None  # one of a record is enough
                self._progress.note(f"{what}: {describe_row(row)}")
                for remark in row.get("remarks", []):
                    self._progress.note(f"  Note: {remark}.")
        finally:
            backend.close()

    def _repeat(self, backend: Backend, point: Point) -> tuple[dict, list, dict]:
        """Time and check one repeat; return its row, the last marks of the start, and its trace."""
        ideal = point.ideal_s
        items = range(self._first_item, self._first_item + point.tasks)
        self._first_item += point.tasks
        task = point.task(items[0])
        timeout = MAP_TIMEOUT_IDEALS * ideal + MAP_TIMEOUT_S
        began, cpu = time.time(), time.process_time()
        clock = time.perf_counter()
        found = backend.map(task, items, timeout=timeout, way=point.way)
        makespan = time.perf_counter() - clock
        ended = time.time()
        results = list(found)
        summary = check(
            results,
            items,
            point.slots,
            point.shortest_s(),
            makespan,
            ideal,
            all_slots=point.uses_all_slots(),
        )
        seen = stamps.examine(
            results,
            began,
            ended,
            all_at_once=point.uses_all_slots(),
            one_by_one=point.way != SWEEP,
        )
        # By the workers' clocks: if clocks differ, these two are off by the difference.
        last_end = min(max(summary.last_end, began), ended)
        row = {
            **metrics.of_makespan(point.total_s, ideal, makespan),
            "overhead_ms_per_task": 1000 * (makespan - ideal) / point.tasks,
            "tasks_per_s": point.tasks / makespan,
            "first_result_s": max(0.0, summary.first_end - began),
            "dispatch_s": max(0.0, last_end - began - ideal),
            "gather_s": ended - last_end,
            # Of this process, in which the client and Dask's scheduler are.
            "cpu_s": time.process_time() - cpu,
            "rss_mib": psutil.Process().memory_info().rss / 2**20,
            "slots_used": summary.slots_used,
            "hosts": summary.hosts,
            **seen.columns(),
        }
        marks = [("first_result", summary.first_end), ("last_result", ended)]
        traces = trace.columns(results, began) if point == self._traced else {}
        return rounded(row), marks, traces


@contextlib.contextmanager
def recording(plan: Plan, out: Path, common: dict) -> Iterator[record.Writer]:
    """Write a record of what is measured meanwhile: its head, its end, or the error that ends it.

    Parameters
    ----------
    plan : Plan
    out : Path
        Folder for the record.
    common : dict
        What a row of the failed point says beside the error; it may change meanwhile.
    """
    with record.Writer(out / record.file_name(plan.workload.name)) as writer:
        writer.write("header", **_header(plan))
        try:
            yield writer
        except BaseException as error:
            write_failure(writer, common, error)
            with contextlib.suppress(record.RecordError):
                writer.write("environment", **provenance.environment())
            raise
        writer.write("environment", **provenance.environment())
        writer.write("end", finished=provenance.now())


def write_repeat(
    writer: record.Writer,
    common: dict,
    what: str,
    measure: Callable[[], dict],
    progress: Progress,
) -> None:
    """Measure a repeat, write its row, and show both.

    Parameters
    ----------
    writer : Writer
    common : dict
        What the row says beside that which is measured. ``started`` is added.
    what : str
        The repeat, in words.
    measure : callable
        Returns what was measured.
    progress : Progress
    """
    progress.status(what, log=False)
    common["started"] = provenance.now()
    row = common | measure()
    writer.write("row", **row, n_errors=0, status="ok")
    progress.note(f"{what}: {describe_row(row)}")


def _header(plan: Plan) -> dict:
    """Return the header of a record: its format, what is run, and on what."""
    return {
        "schema": record.SCHEMA,
        "version": record.VERSION,
        "workload": plan.workload.name,
        "started": provenance.now(),
        "command": shlex.join([_program(), *sys.argv[1:]]),
        "plan": [asdict(point) for point in plan.points],
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }


def _program() -> str:
    """Return the command that was called: `dask`, even if it was `python -m dask`."""
    path = Path(sys.argv[0])
    return path.parent.name if path.name == "__main__.py" else path.name


def _start(
    backend: Backend, session: Session, begin: float, first: bool
) -> tuple[dict[str, float], float]:
    """Start workers and warm them up; return the phases so far, and the time after them."""
    phases = phase_durations(begin, [("import", time.time())]) if first else {}
    phases |= backend.start(session.slots, session.saturation)
    ready = time.time()
    # Import this package on the workers and give each thread its first task; discard the results.
    warmup = partial(sleep_task, seconds=WARMUP_S)
    for way in dict.fromkeys(point.way for point in session.turns):
        backend.map(warmup, range(session.slots), timeout=MAP_TIMEOUT_S, way=way)
    warm = time.time()
    return phases | {"warmup": warm - ready}, warm


def write_failure(writer: record.Writer, common: dict, error: BaseException) -> None:
    """Write a failed point as a row; an error while writing must not hide `error`."""
    text = " ".join(str(error).split()) or type(error).__name__
    status = "refused" if isinstance(error, MeasurementError) else "failed"
    if isinstance(error, KeyboardInterrupt):
        status, text = "interrupted", ""
    with contextlib.suppress(record.RecordError):
        writer.write("row", **common, n_errors=1, status=status, error=text)


def rounded(row: dict) -> dict:
    """Round the seconds to microseconds, the precision of the measurement."""
    return {key: round(v, 6) if isinstance(v, float) else v for key, v in row.items()}
