"""Write a report and figures of a folder of records, without a cluster."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import jinja2

from .._output.formatting import format_exact_duration
from ..errors import DaskHPCError
from . import aggregate, figures, metrics, sections, show
from .gil import MODES
from .record import Record, read_folder

# Workloads that a figure shows together.
SLEEPING = ("sleep", "strong-scaling")


class ReportError(DaskHPCError):
    """There is nothing to report, or the report cannot be written."""


def write(folder: Path) -> list[Path]:
    """Write the figures (PNG, SVG) and ``report.html`` into `folder`; return their paths.

    It shows the newest measurements of each kind: all records of ``sleep`` and ``strong-scaling``
    with the same number and length of tasks, and the same backend; and the newest record of each
    other workload.

    Raises
    ------
    RecordError, ReportError
        There are no records, or none with a measurement, or the folder is not writable.
    """
    records = read_folder(folder)
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
        "gil": None,
        "sections": [],
        "runs": used,
        "not_shown": len(records) - len(used),
        "today": datetime.date.today().isoformat(),
    }
    paths = []
    try:
        if shown:
            points = aggregate.summarize(row for record in shown for row in record.measured)
            page["headline"] = title(points)
            page["sleep"] = _sleep(points, shown)
            drawing = figures.overview_figure(points, title(points), caption(points, shown))
            paths += figures.save(drawing, folder / "speedup")
        page["sections"] = sections.make(newest.values(), folder)
        if not shown and newest:
            page["headline"] = f"Dask's overhead. {where(list(newest.values()))}"
        paths += [path for section in page["sections"] for path in section.paths]
        if gil is not None:
            points = aggregate.gil_points(gil.measured)
            drawing = figures.panel_figure(figures.gil_panel, points, (5.2, 2.6))
            label = "Speedup of a pure-Python loop by threads, processes"
            page["gil"] = {
                "points": {point["mode"]: point for point in points},
                "drawing": figures.inline_svg(drawing, "gil", label),
                "load": gil.header.get("machine", {}).get("load_1min") or 0,
            }
            paths += figures.save(drawing, folder / "gil")
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
    cores = records[-1].header.get("machine", {}).get("usable_cores", "?")
    return f"{dask} LocalCluster on {cores} cores: {_shape(start, 'process')}"


def _shape(start: dict, word: str) -> str:
    jobs, threads = start.get("jobs", "?"), start.get("threads", "?")
    plural = {"job": "jobs", "process": "processes"}[word] if jobs != 1 else word
    return f"up to {jobs} {plural} of {threads} threads"


def _sleep(points, shown) -> dict:
    """Return the page's data about sleeping tasks."""
    last = points[-1]
    starts = aggregate.cold_starts(shown)
    panels = [
        (figures.speedup_panel, "speedup", "Speedup against the number of slots"),
        (figures.efficiency_panel, "share", "Share of the ideal time against the number of slots"),
    ]
    return {
        "serial": format_exact_duration(last["tasks"] * last["seconds"]),
        "where": where(shown),
        "drawings": [
            figures.inline_svg(figures.panel_figure(panel, points, (5.2, 4.3)), name, label)
            for panel, name, label in panels
        ],
        "caption": caption(points, shown),
        "rows": [[column.cell(point) for column in show.COLUMNS] for point in points],
        "last": last,
        "waves": metrics.waves(last["tasks"], last["slots"]),
        "cold": starts,
        "phases": aggregate.phase_rows(starts[-1]) if starts else [],
        "failures": [row for record in shown for row in record.rows if row.get("status") != "ok"],
    }


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
