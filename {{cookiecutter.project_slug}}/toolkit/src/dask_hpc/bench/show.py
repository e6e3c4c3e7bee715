"""Show measurements in the terminal: a repeat as one line, a record as a table."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from .aggregate import cold_starts, gil_points, summarize
from .record import Record

if TYPE_CHECKING:
    from rich.table import Table

# Headings, and whether to omit the column on a narrow screen.
COLUMNS = (
    ("slots", False),
    ("n", False),
    ("ideal s", True),
    ("median s", False),
    ("range s", True),
    ("of ideal", False),
    ("overhead", True),
    ("speedup", False),
    ("bound", False),
)


def format_row(point: dict) -> list[str]:
    """Return a point as the texts of `COLUMNS`."""
    makespan = point["makespan"]
    return [
        str(point["slots"]),
        str(point["n"]),
        f"{point['ideal_s']:.4g}",
        f"{makespan.median:.2f}",
        f"{makespan.low:.2f} to {makespan.high:.2f}" if makespan.n > 1 else "",
        f"{100 * point['efficiency'].median:.1f}\u00a0%",
        f"{point['overhead'].median:.2f}",
        f"{point['speedup'].median:.1f}",
        f"{point['bound']:.4g}",
    ]


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
    kept = [not (narrow and wide) for _, wide in COLUMNS]
    table = _table(*compress([heading for heading, _ in COLUMNS], kept))
    for point in summarize(record.measured):
        table.add_row(*compress(format_row(point), kept))
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
