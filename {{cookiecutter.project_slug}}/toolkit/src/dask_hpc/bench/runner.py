"""Measure a plan on a backend: start workers, measure, write rows.

This works with any `Backend`, so that all are measured with the same clock and checks.
"""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from .._output.progress import Progress
from . import metrics, provenance, record
from .backends._dask import Backend, phase_durations
from .plan import Plan, Session
from .process_time import process_start
from .show import describe_row
from .validation import MeasurementError, check
from .workloads import sleep_task

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
    order = 0
    common: dict = {}  # of the rows of a session
    with recording(plan, out, common) as writer:
        done = dict.fromkeys(plan.points, 0)  # repeats measured so far, at each point
        for index, session in enumerate(plan.sessions()):
            backend = make_backend()
            common.clear()
            common |= {
                "workload": plan.workload.name,
                "backend": backend.name,
                "slots": session.slots,
                "tasks": plan.tasks,
                "seconds": plan.seconds,
                "ideal_s": metrics.ideal_s(plan.tasks, plan.seconds, session.slots),
            }
            progress.status(f"{session.slots} slots: starting workers …")
            try:
                begin = process_start() if index == 0 else time.time()
                phases, ready = _start(backend, session, begin, first=index == 0)
                for number in range(session.repeats):
                    repeat, of = done[session.slots] + 1, plan.points[session.slots]
                    what = f"{session.slots} slots: repeat {repeat} of {of}"
                    progress.status(what, log=False)
                    order += 1
                    common |= {"repeat": repeat, "order": order, "started": provenance.now()}
                    items = range(order * plan.tasks, (order + 1) * plan.tasks)
                    row, moments = _repeat(backend, plan, session.slots, items)
                    if number == 0:
                        # Only now, after the phases were timed, since this can take a moment.
                        about = backend.describe()
                        common |= {key: about[key] for key in ("jobs", "processes", "threads")}
                        phases |= phase_durations(ready, moments)
                        about |= {"backend": backend.name, "first_of_command": index == 0}
                        about |= {"phases": phases, "cold_total_s": sum(phases.values())}
                        writer.write("start", slots=session.slots, order=order, **about)
                    row = common | row
                    writer.write("row", **row, n_errors=0, status="ok")
                    done[session.slots] = repeat
                    progress.note(f"{what}: {describe_row(row)}")
            finally:
                backend.close()
    return writer.path


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
            _write_failure(writer, common, error)
            with contextlib.suppress(record.RecordError):
                writer.write("environment", **provenance.environment())
            raise
        writer.write("environment", **provenance.environment())
        writer.write("end", finished=provenance.now())


def _header(plan: Plan) -> dict:
    """Return the header of a record: its format, what is run, and on what."""
    return {
        "schema": record.SCHEMA,
        "version": record.VERSION,
        "workload": plan.workload.name,
        "started": provenance.now(),
        "command": shlex.join([_program(), *sys.argv[1:]]),
        "plan": {
            "tasks": plan.tasks,
            "seconds": plan.seconds,
            "slots": list(plan.points),
            "repeats": list(plan.points.values()),
        },
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
    phases |= backend.start(session.slots)
    ready = time.time()
    # Import this package on the workers and give each thread its first task; discard the results.
    warmup = partial(sleep_task, seconds=WARMUP_S)
    backend.map(warmup, range(session.slots), timeout=MAP_TIMEOUT_S)
    warm = time.time()
    return phases | {"warmup": warm - ready}, warm


def _repeat(backend: Backend, plan: Plan, slots: int, items: range) -> tuple[dict, list]:
    """Time and check one map; return its row, and the last two marks of the cold start."""
    ideal = metrics.ideal_s(plan.tasks, plan.seconds, slots)
    task = partial(plan.workload.task, seconds=plan.seconds)
    began = time.time()
    clock = time.perf_counter()
    results = backend.map(task, items, timeout=MAP_TIMEOUT_IDEALS * ideal + MAP_TIMEOUT_S)
    makespan = time.perf_counter() - clock
    ended = time.time()
    summary = check(results, items, slots, plan.seconds, makespan, ideal)
    # By the workers' clocks: if clocks differ, these two are off by the difference.
    last_end = min(max(summary.last_end, began), ended)
    row = {
        **metrics.of_makespan(plan.tasks, plan.seconds, slots, makespan),
        "overhead_ms_per_task": 1000 * (makespan - ideal) / plan.tasks,
        "dispatch_s": max(0.0, last_end - began - ideal),
        "gather_s": ended - last_end,
        "slots_used": summary.slots_used,
        "hosts": summary.hosts,
    }
    return rounded(row), [("first_result", summary.first_end), ("last_result", ended)]


def _write_failure(writer: record.Writer, common: dict, error: BaseException) -> None:
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
