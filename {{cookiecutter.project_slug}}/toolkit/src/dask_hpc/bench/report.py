"""Write a report and figures of records, without a cluster."""

import datetime
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from .._output.formatting import format_exact_duration
from ..errors import DaskHPCError
from . import aggregate, figures, findings, fits, gantt, metrics, real_work, sections, show
from .gil import MODES
from .record import PHASES, Record, read_all, read_folder

# Workloads that a figure shows together.
SLEEPING = ("sleep", "strong-scaling")
SMALL = (5.2, 4.3)  # inches, of a figure beside another


class ReportError(DaskHPCError):
    """There is nothing to report, or the report cannot be written."""


def load(paths: Iterable[Path]) -> list[Record]:
    """Return the records of files and folders, oldest first, each file once.

    Raises
    ------
    RecordError
        A file is not a record, or a folder has none.
    """
    files: dict[Path, list[Record]] = {}
    for path in paths:
        records = read_folder(path) if path.is_dir() else read_all(path)
        for file in {record.path for record in records}:
            files[file.resolve()] = [record for record in records if record.path == file]
    found = [record for records in files.values() for record in records]
    return sorted(found, key=lambda record: str(record.header.get("started", "")))


def write(folder: Path, records: Sequence[Record] | None = None) -> list[Path]:
    """Write the figures (PNG, SVG) and ``report.html`` into `folder`; return their paths.

    It shows the newest measurements of each kind: all records of ``sleep`` and ``strong-scaling``
    with the same number and length of tasks, and the same backend; and the newest record of each
    other workload.

    Parameters
    ----------
    folder : Path
    records : sequence of Record, optional
        By default, those in `folder`.

    Raises
    ------
    RecordError, ReportError
        There are no records, or none with a measurement, or the folder is not writable.
    """
    records = read_folder(folder) if records is None else records
    shown = select(records)
    gil = next((r for r in reversed(records) if _whole_gil(r)), None)
    others = [
        record for record in records if record.workload in sections.WORKLOADS and record.measured
    ]
    if not (shown or others or gil):
        errors = [row.get("error") for record in records for row in record.rows]
        why = next((f": {error}" for error in reversed(errors) if error), "")
        raise ReportError(f"{folder} contains only failed runs{why}")
    newest = {record.workload: record for record in others}
    used = [*shown, *newest.values(), *([gil] if gil else [])]
    page: dict = {
        "headline": "A pure-Python loop on several cores",
        "columns": show.COLUMNS,
        "sleep": None,
        "gantt": None,
        "gil": None,
        "sections": [],
        "warnings": show.warnings(used),
        "runs": used,
        "failures": _failures(records, used),
        "not_shown": len(records) - len(used),
        "today": datetime.date.today().isoformat(),
    }
    paths: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shown:
            page["sleep"] = _sleep(shown, folder, paths)
            page["headline"] = page["sleep"]["title"]
        page["gantt"] = _gantt(gantt.newest(shown) or gantt.newest(used), folder, paths)
        page["sections"] = sections.make(newest.values(), folder)
        if not shown and set(newest) == {"peers"}:
            page["headline"] = "The same tasks with Dask and with other tools"
        elif not shown and newest:
            about, place = "Dask's overhead", where(list(newest.values()))
            if newest.keys() <= set(real_work.WORKLOADS):  # in jobs of several shapes
                about, place = real_work.TITLE, place.partition(": ")[0]
            page["headline"] = f"{about}. {place}"
        paths += [path for section in page["sections"] for path in section.paths]
        if gil is not None:
            page["gil"] = _gil(gil, folder, paths)
        page["findings"] = findings.of_page(page)
        path = folder / "report.html"
        path.write_text(_render(page), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"cannot write to {folder}: {error.strerror}") from None
    return [*paths, path]


def select(records: Sequence[Record]) -> list[Record]:
    """Return the records of sleeping tasks of the same kind as the newest one."""

    def kind(record):
        row = record.measured[0]
        return row["backend"], row["tasks"], row["seconds"]

    sleeping = [r for r in records if r.workload in SLEEPING and r.measured]
    return [r for r in sleeping if kind(r) == kind(sleeping[-1])]


def title(points: Sequence[dict]) -> str:
    first, last = points[0], points[-1]
    return (
        f"{first['tasks']} tasks of {first['seconds']:g} s: "
        f"{last['speedup'].median:.0f} times faster on {last['slots']} slots"
    )


def caption(points: Sequence[dict], records: Sequence[Record]) -> str:
    """Return a caption with which a figure can be understood on its own."""
    counts = ", ".join(f"{p['n']} at {p['slots']}" for p in points)
    return (
        f"Repeats on warm workers (n): {counts} slots. {where(records)}. The tasks sleep: this "
        "measures the time to distribute tasks and collect results, not computing power. "
        "Equal tasks run in waves, so the bound is a staircase."
    )


def where(records: Sequence[Record]) -> str:
    """Return a short description of where the tasks ran."""
    starts = [start for record in records for start in record.starts]
    start = max(starts, key=lambda start: start.get("slots", 0), default={})
    versions = records[-1].header.get("versions", {})
    dask = f"Dask {versions.get('dask', '?')}"
    if start.get("backend") == "cluster":
        system = start.get("batch_system", "batch system").capitalize()
        return f"{dask} on {system}: {_shape(start, 'job')}"
    if not any(row.get("backend") == "local" for row in records[-1].rows):
        return dask
    cores = records[-1].header.get("machine", {}).get("usable_cores", "?")
    shape = f": {_shape(start, 'process')}" if start else ""
    return f"{dask} LocalCluster on {cores} cores{shape}"


def _shape(start: dict, word: str) -> str:
    jobs, threads = start.get("jobs", "?"), start.get("threads", "?")
    if (processes := start.get("processes", 1)) > 1:
        return f"up to {jobs} x {processes} workers"
    plural = {"job": "jobs", "process": "processes"}[word] if jobs != 1 else word
    return f"up to {jobs} {plural} of {threads} threads"


def _sleep(shown: Sequence[Record], folder: Path, paths: list[Path]) -> dict:
    """Return the page's data about sleeping tasks; save its figures, and add their paths."""
    points = aggregate.summarize(row for record in shown for row in record.measured)
    drawing = figures.overview_figure(points, title(points), caption(points, shown))
    paths += figures.save(drawing, folder / "speedup")
    last = points[-1]
    efficiencies = [(point["slots"], point["efficiency"].median) for point in points]
    law = fits.fit(efficiencies)
    share_panel = partial(figures.efficiency_panel, law=law)
    panels = [
        (figures.makespan_panel, "makespan", "Time against the number of slots"),
        (figures.speedup_panel, "speedup", "Speedup against the number of slots"),
        (share_panel, "efficiency", "Share of the ideal time against the number of slots"),
    ]
    drawings = []
    for panel, name, label in panels:
        figure = figures.panel_figure(panel, points, SMALL)
        if name == "speedup":  # whose file is the overview
            drawings.append(figures.inline_svg(figure, name, label))
        else:
            drawings.append(_saved(figure, folder / name, label, paths))
    starts = aggregate.cold_starts(shown)
    return {
        "title": title(points),
        "serial": format_exact_duration(last["tasks"] * last["seconds"]),
        "where": where(shown),
        "drawings": drawings,
        "caption": caption(points, shown),
        "points": points,
        "rows": [[column.cell(point) for column in show.COLUMNS] for point in points],
        "last": last,
        "waves": metrics.waves(last["tasks"], last["slots"]),
        "fit": fits.words(efficiencies),
        "has_law": law is not None,
        "cold": starts,
        "phases": aggregate.phase_rows(starts[-1]) if starts else [],
        "cold_drawing": _cold(starts, folder, paths) if starts else "",
    }


def _cold(starts: Sequence[dict], folder: Path, paths: list[Path]) -> str:
    """Draw the phases of cold starts, from the command to its last result."""
    points = [{"phases": start.get("phases", {})} for start in starts]
    labels = [f"{start['slots']} slots" for start in starts]
    panel = partial(figures.phases_panel, names=PHASES, labels=labels)
    figure = figures.panel_figure(panel, points, (8.6, 1.9 + 0.35 * len(points)))
    label = "Phases from the command to its last result"
    return _saved(figure, folder / "from-nothing", label, paths)


def _saved(figure: Figure, stem: Path, label: str, paths: list[Path]) -> str:
    """Save a figure, add its paths, and return it for the page."""
    drawing, files = figures.for_page(figure, stem, label)
    paths += files
    return drawing


def _gantt(trace: dict | None, folder: Path, paths: list[Path]) -> dict | None:
    """Draw a trace, if there is one."""
    if trace is None:
        return None
    figure = figures.panel_figure(gantt.panel, trace, (9.6, gantt.height(trace)))
    label = "Which task ran on which slot, and when"
    drawing = _saved(figure, folder / "gantt", label, paths)
    return {"drawing": drawing, "words": gantt.words(trace), "file": trace["file"]}


def _gil(record: Record, folder: Path, paths: list[Path]) -> dict:
    """Return the page's data about the workload ``gil``."""
    points = aggregate.gil_points(record.measured)
    figure = figures.panel_figure(figures.gil_panel, points, (5.2, 2.6))
    label = "Speedup of a pure-Python loop by threads, processes"
    return {
        "points": {point["mode"]: point for point in points},
        "drawing": _saved(figure, folder / "gil", label, paths),
        "load": record.header.get("machine", {}).get("load_1min") or 0,
    }


def _failures(records: Iterable[Record], used: Iterable[Record]) -> list[dict]:
    """Return the failed rows of what is shown, and of each workload's newest record."""
    newest = {record.workload: record for record in records}
    chosen = {id(record): record for record in (*used, *newest.values())}
    return [
        {"workload": record.workload, **row}
        for record in chosen.values()
        for row in record.rows
        if row.get("status") != "ok"
    ]


def _whole_gil(record) -> bool:
    """Return whether a record is of ``gil``, and has measurements of all three modes."""
    return record.workload == "gil" and {row["mode"] for row in record.measured} == set(MODES)


def _render(page: dict) -> str:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # all values, except figures, which the template marks as `safe`
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template("report.html.j2").render(page)
