"""The parts of a report on workers that leave, are lost, or are only simulated."""

from collections.abc import Sequence
from pathlib import Path

from . import adapt_view, failure_view, figures, figures_faults, limit_view
from .columns import Column
from .record import Record
from .section import Section


def failure(record: Record, folder: Path) -> Section:
    """Return the section on the workload ``failure``."""
    points = failure_view.points(record.measured)
    size = 6.4, 1.7 + 0.4 * len(points)
    figure = figures.panel_figure(figures_faults.losses_panel, points, size)
    drawing, paths = figures.for_page(figure, folder / "failure", "Time of the tasks for each loss")
    return Section(
        "What it costs to lose workers",
        failure_view.words(record),
        drawing,
        list(failure_view.COLUMNS),
        _cells(failure_view.COLUMNS, points),
        paths,
    )


def adapt(record: Record, folder: Path) -> Section:
    """Return the section on the workload ``adapt``."""
    points = adapt_view.points(record.measured)
    last = {row["tasks"]: row for row in record.measured}
    rows = [last[tasks] for tasks in sorted(last)]
    drawing, paths = "", list[Path]()
    if all("held_at" in row for row in rows):  # an exported record does not have it
        figure = figures.panel_figure(figures_faults.adapt_panel, rows, (6.4, 3.2))
        label = "Workers and running tasks over time"
        drawing, paths = figures.for_page(figure, folder / "adapt", label)
    return Section(
        "A cluster that follows the work",
        adapt_view.words(record),
        drawing,
        list(adapt_view.COLUMNS),
        _cells(adapt_view.COLUMNS, points),
        paths,
    )


def limit(record: Record, folder: Path) -> Section:
    """Return the section on the workload ``scheduler-limit``."""
    points = limit_view.points(record.measured)
    figure = figures.panel_figure(figures_faults.limit_panel, points, (6.4, 3.8))
    label = "Tasks per second against workers"
    drawing, paths = figures.for_page(figure, folder / "scheduler-limit", label)
    return Section(
        "How many workers one scheduler holds",
        limit_view.words(record),
        drawing,
        list(limit_view.COLUMNS),
        _cells(limit_view.COLUMNS, points),
        paths,
    )


def _cells(columns: Sequence[Column], points: Sequence[dict]) -> list[list[str]]:
    return [[column.cell(point) for column in columns] for point in points]


SECTIONS = {"failure": failure, "adapt": adapt, "scheduler-limit": limit}
