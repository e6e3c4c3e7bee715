"""The parts of a report on workloads that compare ways, lengths, or numbers of slots."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from . import figures, show
from .aggregate import start_points, summarize
from .record import PHASES, Record


@dataclass(frozen=True)
class Section:
    """What a report says of a workload.

    Attributes
    ----------
    title, words : str
        `words` are a paragraph with the result.
    drawing : str
        An SVG figure, or nothing.
    columns, rows : list
        A table.
    paths : list of Path
        Files of the figure.
    finding : str
        A sentence for the top of the page, or nothing.
    """

    title: str
    words: str
    drawing: str
    columns: list[show.Column]
    rows: list[list[str]]
    paths: list[Path]
    finding: str = ""


def make(records: Iterable[Record], folder: Path) -> list[Section]:
    """Return a section for each record, whose workloads are some of `WORKLOADS`.

    Parameters
    ----------
    records : iterable of Record
    folder : Path
        Where figures are saved.
    """
    return [
        MAKERS[record.workload](record, folder)
        if record.workload in MAKERS
        else _section(record, folder, *KINDS[record.workload])
        for record in records
    ]


def _cold_start(record: Record, folder: Path) -> Section:
    points = start_points(record.measured)

    def panel(axes, points: Sequence[dict]) -> None:
        figures.phases_panel(axes, points, PHASES)

    figure = figures.panel_figure(panel, points, (6.4, 1.8 + 0.35 * len(points)))
    last = points[-1] if points[-1]["how"] == "default" else points[-2]
    words = (
        f"{last['jobs']} jobs of {last['processes']} processes, as the lab starts them, are all "
        f"connected after {last['all_workers'].median:.1f} s (median of {last['n']}), from the "
        "line that creates the cluster."
    )
    return Section(
        "How soon workers are there",
        words,
        figures.inline_svg(figure, "cold-start", "Phases of the start of workers"),
        list(show.STARTS),
        [[column.cell(point) for column in show.STARTS] for point in points],
        figures.save(figure, folder / "cold-start"),
    )


def _section(
    record: Record, folder: Path, title: str, words: Callable[[Sequence[dict]], str], key: str
) -> Section:
    points = summarize(record.measured)
    drawing, paths = "", []
    if key:
        figure = _figure(points, key)
        label = f"Share of the ideal time against {key}"
        drawing = figures.inline_svg(figure, record.workload, label)
        paths = figures.save(figure, folder / record.workload)
    columns = show.columns(points)
    rows = [[column.cell(point) for column in columns] for point in points]
    return Section(title, words(points), drawing, columns, rows, paths)


def _figure(points: Sequence[dict], key: str) -> Figure:
    def panel(axes, points: Sequence[dict]) -> None:
        figures.curves_panel(axes, points, key, show.WAYS)

    return figures.panel_figure(panel, points, (6.4, 3.8))


def _share(point: dict) -> str:
    return f"{100 * point['efficiency'].median:.0f} %"


def _weak_scaling(points: Sequence[dict]) -> str:
    most = max(point["slots"] for point in points)
    found = [f"{show.WAYS[p['way']]} {_share(p)}" for p in points if p["slots"] == most]
    first = points[0]
    return (
        f"Each slot gets {first['tasks'] // first['slots']} tasks of {first['seconds']:g} s, so "
        f"the ideal time is the same for all. On {most} slots, of the ideal: {', '.join(found)}."
    )


def _granularity(points: Sequence[dict]) -> str:
    found = ". ".join(show.remarks("granularity", points))
    return (
        "METG is the minimum effective task granularity: the length from which on this share of "
        f"the time is the tasks' own. {found}."
    )


def _uneven(points: Sequence[dict]) -> str:
    best = min(points, key=lambda point: point["makespan"].median)
    how = show.WAYS[best["way"]]
    if best["way"] != "sweep":
        how += f" with worker-saturation {best['saturation']:g}"
    return (
        f"{points[0]['tasks']} tasks of unequal length, and one straggler. No order can be quicker "
        f"than {points[0]['ideal_s']:.2f} s. The quickest here is {how}: "
        f"{best['makespan'].median:.2f} s (median of {best['n']})."
    )


def _tasks_per_second(points: Sequence[dict]) -> str:
    found = [f"{show.WAYS[p['way']]} {p['tasks_per_s'].median:,.0f}" for p in points]
    return f"Tasks that do nothing, per second: {', '.join(found)} (medians of {points[0]['n']})."


# Of each workload: title, words, and what its figure is drawn against.
KINDS: dict[str, tuple[str, Callable[[Sequence[dict]], str], str]] = {
    "weak-scaling": ("More slots, more tasks", _weak_scaling, "slots"),
    "granularity": ("How short a task may be", _granularity, "seconds"),
    "uneven": ("Tasks of unequal length", _uneven, ""),
    "tasks-per-second": ("Tasks that do nothing", _tasks_per_second, ""),
}
# Workloads whose section is not made of points: a function of the record and the folder.
MAKERS: dict[str, Callable[[Record, Path], Section]] = {
    "cold-start": _cold_start,
}
WORKLOADS = (*KINDS, *MAKERS)
