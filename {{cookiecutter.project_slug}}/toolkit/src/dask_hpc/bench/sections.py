"""The parts of a report on workloads that compare ways, lengths, or numbers of slots."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from . import fault_sections, figures, fits, peers, real_work, real_work_figures, show
from .aggregate import granularity, start_points, summarize
from .record import PHASES, Record
from .section import Section


def make(records: Iterable[Record], folder: Path) -> list[Section]:
    """Return the sections of records, whose workloads are some of `WORKLOADS`.

    Parameters
    ----------
    records : iterable of Record
    folder : Path
        Where figures are saved.
    """
    sections = []
    for record in records:
        if record.workload == "peers":
            sections += _peers(peers.shapes(record.rows), folder)
        elif record.workload in MAKERS:
            sections.append(MAKERS[record.workload](record, folder))
        else:
            sections.append(_section(record, folder, *KINDS[record.workload]))
    return sections


def _peers(shapes: Sequence[peers.Shape], folder: Path) -> list[Section]:
    """Return a section for each shape; the first has the versions of the tools."""
    sections = []
    for number, shape in enumerate(shapes):
        name = f"peers-{shape.name}"
        drawing, paths = "", list[Path]()
        if shape.measured:
            size = (7.2, 1.4 + 0.42 * len(shape.measured))
            panel = partial(peers.panel, ideal_s=shape.ideal_s)
            figure = figures.panel_figure(panel, shape.measured, size)
            label = "Seconds that tools need, cold and warm"
            drawing, paths = figures.for_page(figure, folder / name, label)
        words = peers.words(shape) + ("" if number else f" Versions: {peers.versions(shape)}.")
        cells = [
            [peers.plain(column.cell(point)) for column in peers.COLUMNS] for point in shape.points
        ]
        title = f"Beside other tools: {shape.title}"
        sections.append(Section(title, words, drawing, list(peers.COLUMNS), cells, paths))
    return sections


def _cold_start(record: Record, folder: Path) -> Section:
    points = start_points(record.measured)
    labels = [
        f"{p['jobs']} x {p['processes']}" + ("" if p["how"] == "default" else f", {p['how']}")
        for p in points
    ]
    panel = partial(figures.phases_panel, names=PHASES, labels=labels)
    figure = figures.panel_figure(panel, points, (6.4, 1.9 + 0.35 * len(points)))
    last = points[-1] if points[-1]["how"] == "default" else points[-2]
    words = (
        f"{last['jobs']} jobs of {last['processes']} processes, as the lab starts them, are all "
        f"connected after {last['all_workers'].median:.1f} s (median of {last['n']}), from the "
        "line that creates the cluster."
    )
    finding = (
        f"{last['jobs'] * last['processes']} workers in {last['jobs']} jobs are connected after "
        f"{last['all_workers'].median:.1f} s (median of {last['n']})."
    )
    label = "Phases of the start of workers"
    drawing, paths = figures.for_page(figure, folder / "cold-start", label)
    rows = [[column.cell(point) for column in show.STARTS] for point in points]
    title = "How soon workers are there"
    return Section(title, words, drawing, list(show.STARTS), rows, paths, finding)


def _section(
    record: Record, folder: Path, title: str, words: Callable[[Sequence[dict]], str], key: str
) -> Section:
    points = summarize(record.measured)
    figure, label = _figure(points, key)
    drawing, paths = figures.for_page(figure, folder / record.workload, label)
    columns = show.columns(points)
    rows = [[column.cell(point) for column in columns] for point in points]
    finding = FINDINGS[record.workload](points) if record.workload in FINDINGS else ""
    return Section(title, words(points), drawing, columns, rows, paths, finding)


def _figure(points: Sequence[dict], key: str) -> tuple[Figure, str]:
    """Draw points against their number of slots or the length of tasks, or as bars."""
    if key in ("slots", "seconds"):
        panel = partial(figures.curves_panel, key=key, labels=show.WAYS)
        return figures.panel_figure(panel, points, (6.4, 3.8)), f"Share of the ideal against {key}"
    words = {"makespan": "seconds", "tasks_per_s": "tasks/s"}[key]
    panel = partial(figures.ways_panel, quantity=key, labels=_labels(points), words=words)
    size = (6.4, 1.1 + 0.45 * len(points))
    return figures.panel_figure(panel, points, size), f"{words} by way"


def _labels(points: Sequence[dict]) -> list[str]:
    """Return what tells points apart: the way, and what else varies among those of one way."""
    ways = [show.WAYS[point["way"]] for point in points]
    return [
        f"{way}, saturation {point['saturation']:g}" if ways.count(way) > 1 else way
        for way, point in zip(ways, points, strict=True)
    ]


def _real_work(record: Record, folder: Path) -> Section:
    points = real_work.points(record)
    figure, label = real_work_figures.draw(record.workload, points)
    drawing, paths = figures.for_page(figure, folder / record.workload, label)
    columns = list(real_work.COLUMNS[record.workload])
    rows = [[column.cell(point) for column in columns] for point in points]
    title, words = real_work.TITLES[record.workload], real_work.words(record, points)
    finding = real_work.finding(record.workload, points)
    return Section(title, words, drawing, columns, rows, paths, finding)


def _share(point: dict) -> str:
    return f"{100 * point['efficiency'].median:.0f} %"


def _weak_scaling(points: Sequence[dict]) -> str:
    most = max(point["slots"] for point in points)
    found = [f"{show.WAYS[p['way']]} {_share(p)}" for p in points if p["slots"] == most]
    first = points[0]
    return (
        f"Each slot gets {first['tasks'] // first['slots']} tasks of {first['seconds']:g} s, so "
        f"the ideal time is the same for all. On {most} slots, of the ideal: {', '.join(found)}. "
        f"{_laws(points)}"
    )


def _laws(points: Sequence[dict]) -> str:
    """Return what a law of scaling says of each way; once, if it says the same."""
    said = {}
    for way in dict.fromkeys(point["way"] for point in points):
        pairs = [(p["slots"], p["efficiency"].median) for p in points if p["way"] == way]
        said[show.WAYS[way]] = fits.words(pairs)
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return " ".join(f"{way}: {text}" for way, text in said.items())


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


def _weak_scaling_in_short(points: Sequence[dict]) -> str:
    most = max(point["slots"] for point in points)
    best = max((p for p in points if p["slots"] == most), key=lambda p: p["efficiency"].median)
    return f"With as much work for each of {most} slots, {_share(best)} of the ideal is reached."


def _granularity_in_short(points: Sequence[dict]) -> str:
    slots = points[0]["slots"]
    lengths = [
        (found[0.5], show.WAYS[way])
        for way, found in granularity(points).items()
        if found[0.5] is not None
    ]
    if not lengths:
        return f"No length of tasks that was measured keeps {slots} slots busy half of the time."
    words = [f"{1000 * seconds:.3g} ms with {way}" for seconds, way in lengths]
    return (
        f"Tasks that keep {slots} slots busy half of the time may be as short as "
        f"{' or '.join(words)}."
    )


def _uneven_in_short(points: Sequence[dict]) -> str:
    best = min(points, key=lambda point: point["makespan"].median)
    return (
        f"Tasks of unequal length reach {_share(best)} of the least possible time on "
        f"{best['slots']} slots."
    )


def _tasks_per_second(points: Sequence[dict]) -> str:
    found = [f"{show.WAYS[p['way']]} {p['tasks_per_s'].median:,.0f}" for p in points]
    return f"Tasks that do nothing, per second: {', '.join(found)} (medians of {points[0]['n']})."


# Of each workload: title, words, and what its figure is drawn against.
KINDS: dict[str, tuple[str, Callable[[Sequence[dict]], str], str]] = {
    "weak-scaling": ("More slots, more tasks", _weak_scaling, "slots"),
    "granularity": ("How short a task may be", _granularity, "seconds"),
    "uneven": ("Tasks of unequal length", _uneven, "makespan"),
    "tasks-per-second": ("Tasks that do nothing", _tasks_per_second, "tasks_per_s"),
}
# Of some of them: a sentence for the top of the page.
FINDINGS: dict[str, Callable[[Sequence[dict]], str]] = {
    "weak-scaling": _weak_scaling_in_short,
    "granularity": _granularity_in_short,
    "uneven": _uneven_in_short,
    "tasks-per-second": _tasks_per_second,
}
# Workloads whose section is not made of points: a function of the record and the folder.
MAKERS: dict[str, Callable[[Record, Path], Section]] = {
    "cold-start": _cold_start,
    **dict.fromkeys(real_work.WORKLOADS, _real_work),
    **fault_sections.SECTIONS,
}
WORKLOADS = (*KINDS, *MAKERS, "peers")
