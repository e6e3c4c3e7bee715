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
    drawing = figures.panel_figure(figures_faults.losses_panel, points, size)
    return Section(
        "What it costs to lose workers",
        failure_view.words(record),
        figures.inline_svg(drawing, "failure", "Time of the tasks for each loss"),
        list(failure_view.COLUMNS),
        _cells(failure_view.COLUMNS, points),
        figures.save(drawing, folder / "failure"),
    )


def adapt(record: Record, folder: Path) -> Section:
    """Return the section on the workload ``adapt``."""
    points = adapt_view.points(record.measured)
    last = {row["tasks"]: row for row in record.measured}
    rows = [last[tasks] for tasks in sorted(last)]
    drawing, paths = "", []
    if all("held_at" in row for row in rows):  # an exported record does not have it
        figure = figures.panel_figure(figures_faults.adapt_panel, rows, (6.4, 3.2))
        drawing = figures.inline_svg(figure, "adapt", "Workers and running tasks over time")
        paths = figures.save(figure, folder / "adapt")
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
    return Section(
        "How many workers one scheduler holds",
        limit_view.words(record),
        figures.inline_svg(figure, "scheduler-limit", "Tasks per second against workers"),
        list(limit_view.COLUMNS),
        _cells(limit_view.COLUMNS, points),
        figures.save(figure, folder / "scheduler-limit"),
    )


def _cells(columns: Sequence[Column], points: Sequence[dict]) -> list[list[str]]:
    return [[column.cell(point) for column in columns] for point in points]


SECTIONS = {"failure": failure, "adapt": adapt, "scheduler-limit": limit}
