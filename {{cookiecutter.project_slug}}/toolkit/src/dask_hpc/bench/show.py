"""Show measurements in the terminal: a repeat as one line, a record as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from . import adapt_view, failure_view, limit_view, real_work
from .aggregate import cold_starts, gil_points, granularity, start_points, summarize
from .columns import Column, range_of
from .points import HARNESS, WORKER_SATURATION, Point
from .record import Record

if TYPE_CHECKING:
    from rich.table import Table


def _length(point: dict) -> str:
    seconds = point["seconds"]
    return f"{seconds:g}\u00a0s" if seconds >= 0.1 else f"{1000 * seconds:g}\u00a0ms"


# How users write each way.
WAYS = {"harness": "harness", "gather": "gather(map())", "sweep": "sweep"}
# Columns that are shown if points differ in them.
VARYING = {
    "way": Column("", lambda point: WAYS[point["way"]]),
    "saturation": Column("saturation", lambda point: f"{point['saturation']:g}"),
    "tasks": Column("tasks", lambda point: f"{point['tasks']:,}", is_wide=True),
    "seconds": Column("length", _length),
}
COLUMNS = (
    Column("slots", lambda point: str(point["slots"])),
    Column("n", lambda point: str(point["n"])),
    Column("ideal s", lambda point: f"{point['ideal_s']:.4g}", is_wide=True),
    Column("median s", lambda point: f"{point['makespan'].median:.2f}"),
    Column("range s", lambda point: range_of(point["makespan"]), is_wide=True),
    Column("of ideal", lambda point: f"{100 * point['efficiency'].median:.1f}\u00a0%"),
    Column("overhead", lambda point: f"{point['overhead'].median:.2f}", is_wide=True),
    Column("speedup", lambda point: f"{point['speedup'].median:.1f}"),
    Column("bound", lambda point: f"{point['bound']:.4g}"),
)
# For tasks that do nothing.
RATES = (
    *COLUMNS[:2],
    Column("median s", lambda point: f"{point['makespan'].median:.2f}"),
    Column("tasks/s", lambda point: f"{point['tasks_per_s'].median:,.0f}"),
    Column("ms a task", lambda point: f"{1000 / point['tasks_per_s'].median:.3f}", is_wide=True),
    Column("first result s", lambda point: f"{point['first_result'].median:.2f}", is_wide=True),
)


def columns(points: Sequence[dict]) -> list[Column]:
    """Return the columns of a table of points: those in which they differ, and what was found."""
    varying = [
        column for key, column in VARYING.items() if len({point[key] for point in points}) > 1
    ]
    return [*varying, *(COLUMNS if points[0]["seconds"] else RATES)]


def describe_point(point: Point) -> str:
    """Return a short description of a point."""
    words = [f"{point.slots} slots"]
    if point.seconds != 1 or point.way != HARNESS:
        tasks = f"{point.tasks:,} tasks of {_length({'seconds': point.seconds})}"
        words += [tasks, WAYS[point.way]]
    if point.saturation != WORKER_SATURATION:
        words.append(f"worker-saturation {point.saturation:g}")
    return ", ".join(words)


def describe_row(row: dict) -> str:
    """Return a short description of a repeat."""
    if describe := OWN_ROWS.get(row["workload"]):
        return describe(row)
    if row["workload"] == "gil":
        return f"{row['makespan_s']:.2f} s, {row['speedup']:.2f} times the serial loop"
    if row["workload"] == "cold-start":
        memory = f", {row['pss_mib']:.0f} MiB a worker" if "pss_mib" in row else ""
        return f"all workers after {row['makespan_s']:.2f} s{memory}"
    if not row["ideal_s"]:
        return f"{row['makespan_s']:.2f} s, {row['tasks_per_s']:,.0f} tasks/s"
    return (
        f"{row['makespan_s']:.3f} s (ideal {row['ideal_s']:.4g} s), "
        f"{100 * row['efficiency']:.1f} % of the ideal"
    )


def show(record: Record) -> None:
    """Print a record as a table that fits the terminal, or in full if there is no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    own_tables = {"gil": _gil_table, **dict.fromkeys(OWN_POINTS, _own_table)}
    make_table = own_tables.get(record.workload)
    points = [] if make_table else summarize(record.measured)
    table = make_table(record) if make_table else _points_table(points)
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    if not console.is_terminal:
        console.width = max(console.width, needed)  # nothing is cut in a file or a pipe
    elif needed > console.width and not make_table:
        table = _points_table(points, narrow=True)
    console.print()
    console.print(table)
    for line in [*remarks(record.workload, points), *warnings([record])]:
        console.print(f"\n{line}", soft_wrap=True)
    if record.workload in OWN_WORDS and record.measured:
        console.print(f"\n{OWN_WORDS[record.workload](record)}", soft_wrap=True)
    for start in cold_starts([record]):
        console.print(
            f"\nCold start, from the command to its last result on {start['slots']} slots: "
            f"{start['cold_total_s']:.2f} s",
            soft_wrap=True,
        )


def warnings(records: Iterable[Record]) -> list[str]:
    """Return what makes numbers of records doubtful, a line each; see `stamps`."""
    return [
        f"Note on {row['workload']}, {row['slots']} slots, repeat {row.get('repeat')}: {remark}."
        for record in records
        for row in record.measured
        for remark in row.get("remarks", [])
    ]


def remarks(workload: str, points: Sequence[dict]) -> list[str]:
    """Return what a workload's table shows, in words."""
    if workload != "granularity":
        return []
    lines = []
    for way, found in granularity(points).items():
        shortest = min(point["seconds"] for point in points if point["way"] == way)
        words = [_metg(seconds, share, shortest) for share, seconds in found.items()]
        lines.append(f"{WAYS[way]}: METG {', '.join(words)}")
    return lines


def _metg(seconds: float | None, share: float, shortest: float) -> str:
    """Return the minimum effective task granularity in words."""
    if seconds is None:
        return f"({100 * share:.0f} %) not reached"
    least = "at most " if seconds == shortest else ""
    return f"({100 * share:.0f} %) {least}{1000 * seconds:.3g} ms"


def _points_table(points: Sequence[dict], narrow: bool = False) -> Table:
    chosen = [column for column in columns(points) if not (narrow and column.is_wide)]
    table = _table(*(column.heading for column in chosen))
    if not chosen[0].heading:
        table.columns[0].justify = "left"
    for point in points:
        table.add_row(*(column.cell(point) for column in chosen))
    return table


def _gil_table(record: Record) -> Table:
    table = _table("", "n", "median s", "speedup", "bound")
    table.columns[0].justify = "left"
    for p in gil_points(record.measured):
        numbers = f"{p['makespan'].median:.2f}", f"{p['speedup'].median:.2f}", f"{p['bound']:g}"
        table.add_row(p["mode"], str(p["n"]), *numbers)
    return table


# Of the workload cold-start.
STARTS = (
    Column("", lambda point: "" if point["how"] == "default" else point["how"]),
    Column("jobs", lambda point: str(point["jobs"])),
    Column("processes", lambda point: str(point["processes"])),
    Column("n", lambda point: str(point["n"])),
    Column("first worker s", lambda point: f"{point['first_worker'].median:.2f}"),
    Column("all workers s", lambda point: f"{point['all_workers'].median:.2f}"),
    Column("range s", lambda point: range_of(point["all_workers"]), is_wide=True),
    Column("MiB a worker", lambda point: f"{point['pss'].median:.1f}" if point["pss"] else ""),
)


# Workloads of other modules: how a repeat is described.
OWN_ROWS: dict[str, Callable[[dict], str]] = {
    **dict.fromkeys(real_work.WORKLOADS, real_work.describe_row),
    "failure": failure_view.describe,
    "adapt": adapt_view.describe,
    "scheduler-limit": limit_view.describe,
}
# Workloads whose table has columns of its own: its points, from a record, and these columns.
OWN_POINTS: dict[str, tuple[Callable[[Record], list[dict]], Sequence[Column]]] = {
    "cold-start": (lambda record: start_points(record.measured), STARTS),
    "failure": (lambda record: failure_view.points(record.measured), failure_view.COLUMNS),
    "adapt": (lambda record: adapt_view.points(record.measured), adapt_view.COLUMNS),
    "scheduler-limit": (lambda record: limit_view.points(record.measured), limit_view.COLUMNS),
    **{name: (real_work.points, columns) for name, columns in real_work.COLUMNS.items()},
}

# What a workload's record shows, in words that its table does not say.
OWN_WORDS: dict[str, Callable[[Record], str]] = {"scheduler-limit": limit_view.words}


def _own_table(record: Record) -> Table:
    make_points, columns = OWN_POINTS[record.workload]
    table = _table(*(column.heading for column in columns))
    if not columns[0].heading:  # names
        table.columns[0].justify = "left"
    for point in make_points(record):
        table.add_row(*(column.cell(point) for column in columns))
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
