"""Show points of a benchmark as a table in the terminal."""

from __future__ import annotations

from .aggregate import cold_starts, gil_points, summarize
from .record import Record

# Heading, and whether a narrow screen can do without the column.
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
    """Return a point as the texts under `COLUMNS`."""
    makespan = point["makespan"]
    return [
        str(point["slots"]),
        str(point["n"]),
        f"{point['ideal_s']:.4g}",
        f"{makespan.median:.2f}",
        f"{makespan.low:.2f} to {makespan.high:.2f}" if makespan.n > 1 else "",
        f"{100 * point['e_rel'].median:.1f}\u00a0%",
        f"{point['overhead'].median:.2f}",
        f"{point['speedup'].median:.1f}",
        f"{point['bound']:.4g}",
    ]


def show(record: Record) -> None:
    """Print a record as a table, in the terminal's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    if record.workload == "gil":
        table.add_column("")
        for heading in ("n", "median s", "speedup", "bound"):
            table.add_column(heading, justify="right")
        for p in gil_points(record.measured):
            numbers = f"{p['makespan'].median:.2f}", f"{p['speedup'].median:.2f}", f"{p['bound']:g}"
            table.add_row(p["mode"], str(p["n"]), *numbers)
    else:
        for heading, _ in COLUMNS:
            table.add_column(heading, justify="right", no_wrap=True)
        for point in summarize(record.measured):
            table.add_row(*format_row(point))
    console = Console(highlight=False)
    console.print()
    console.print(table)
    for start in cold_starts([record]):
        console.print(
            f"\nCold, from the command to its last result on {start['slots']} slots: "
            f"{start['cold_total_s']:.2f} s"
        )
