"""Show measurements in the terminal: a repeat as one line, a record as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .aggregate import cold_starts, gil_points, summarize
from .metrics import Summary
from .record import Record

if TYPE_CHECKING:
    from rich.table import Table


class Column(NamedTuple):
    """A column of the table of points; a wide one is omitted on a narrow screen."""

    heading: str
    cell: Callable[[dict], str]
    is_wide: bool = False


def _range(times: Summary) -> str:
    return f"{times.low:.2f} to {times.high:.2f}" if times.n > 1 else ""


COLUMNS = (
    Column("slots", lambda point: str(point["slots"])),
    Column("n", lambda point: str(point["n"])),
    Column("ideal s", lambda point: f"{point['ideal_s']:.4g}", is_wide=True),
    Column("median s", lambda point: f"{point['makespan'].median:.2f}"),
    Column("range s", lambda point: _range(point["makespan"]), is_wide=True),
    Column("of ideal", lambda point: f"{100 * point['efficiency'].median:.1f}\u00a0%"),
    Column("overhead", lambda point: f"{point['overhead'].median:.2f}", is_wide=True),
    Column("speedup", lambda point: f"{point['speedup'].median:.1f}"),
    Column("bound", lambda point: f"{point['bound']:.4g}"),
)


def describe_row(row: dict) -> str:
    """Return a short description of a repeat."""
    if row["workload"] == "gil":
        return f"{row['makespan_s']:.2f} s, {row['speedup']:.2f} times the serial loop"
    return (
        f"{row['makespan_s']:.3f} s (ideal {row['ideal_s']:g} s), "
        f"{100 * row['efficiency']:.1f} % of the ideal"
    )


def show(record: Record) -> None:
    """Print a record as a table that fits the terminal, or in full if there is no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    gil = record.workload == "gil"
    table = _gil_table(record) if gil else _points_table(record)
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    if not console.is_terminal:
        console.width = max(console.width, needed)  # nothing is cut in a file or a pipe
    elif needed > console.width and not gil:
        table = _points_table(record, narrow=True)
    console.print()
    console.print(table)
    for start in cold_starts([record]):
        console.print(
            f"\nCold start, from the command to its last result on {start['slots']} slots: "
            f"{start['cold_total_s']:.2f} s",
            soft_wrap=True,
        )


def _points_table(record: Record, narrow: bool = False) -> Table:
    columns = [column for column in COLUMNS if not (narrow and column.is_wide)]
    table = _table(*(column.heading for column in columns))
    for point in summarize(record.measured):
        table.add_row(*(column.cell(point) for column in columns))
    return table


def _gil_table(record: Record) -> Table:
    table = _table("", "n", "median s", "speedup", "bound")
    table.columns[0].justify = "left"
    for p in gil_points(record.measured):
        numbers = f"{p['makespan'].median:.2f}", f"{p['speedup'].median:.2f}", f"{p['bound']:g}"
        table.add_row(p["mode"], str(p["n"]), *numbers)
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
