"""The page and the figures of a folder of records. Reads records, never a cluster."""

from __future__ import annotations

import datetime
import html
from collections.abc import Sequence
from pathlib import Path

from ..errors import DaskHPCError
from . import aggregate, show
from .gil import MODES
from .progress import clock
from .record import Record, read_folder


class ReportError(DaskHPCError):
    """There is nothing to report. One line: why."""


def write(folder: Path) -> list[Path]:
    """Write the figures (PNG, SVG) and ``report.html`` into `folder`; return their paths.

    Shown are the newest measurements of each kind: sleeping tasks of one number, length and
    backend, all records of them together; and the newest record of the workload ``gil``.

    Raises
    ------
    RecordError, ReportError
        No record, none with a measurement, or the folder can't be written to.
    """
    records = read_folder(folder)
    shown = select(records)
    gil = next((r for r in reversed(records) if _whole_gil(r)), None)
    if not shown and gil is None:
        errors = [row.get("error") for record in records for row in record.rows]
        why = next((f": {error}" for error in reversed(errors) if error), "")
        raise ReportError(f"{folder} holds no measurement, only runs that failed{why}")
    # Matplotlib takes a while to load, and nothing is drawn where there is nothing to draw.
    from . import figures as bench_figures

    paths, sections = [], []
    try:
        if shown:
            rows = [row for record in shown for row in record.measured]
            points = aggregate.summarize(rows)
            drawing = bench_figures.overview_figure(points, title(points), caption(points, shown))
            paths += bench_figures.save(drawing, folder / "speedup")
            sections += _sleep_sections(points, shown, bench_figures)
        if gil is not None:
            points = aggregate.gil_points(gil.measured)
            drawing = bench_figures.panel_figure(bench_figures.gil_panel, points, (5.2, 2.6))
            paths += bench_figures.save(drawing, folder / "gil")
            sections.append(_gil_section(points, drawing, bench_figures, gil.header))
        sections.append(_provenance([*shown, *([gil] if gil else [])], records))
        page = folder / "report.html"
        headline = (
            title(aggregate.summarize(rows)) if shown else "A pure-Python loop on several cores"
        )
        page.write_text(_page(headline, sections), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"can't write into {folder}: {error.strerror}") from None
    return [*paths, page]


def select(records: Sequence[Record]) -> list[Record]:
    """Return the records of sleeping tasks that belong together with the newest of them."""

    def kind(record):
        row = record.measured[0]
        return row["backend"], row["tasks"], row["seconds"]

    sleeping = [r for r in records if r.workload != "gil" and r.measured]
    return [r for r in sleeping if kind(r) == kind(sleeping[-1])]


def title(points: Sequence[dict]) -> str:
    first, last = points[0], points[-1]
    return (
        f"{first['tasks']} tasks of {first['seconds']:g} s: "
        f"{last['speedup'].median:.0f} times faster on {last['slots']} slots"
    )


def caption(points: Sequence[dict], records: Sequence[Record]) -> str:
    """Return what a reader has to know to understand a figure on its own."""
    counts = ", ".join(f"{p['n']} at {p['slots']}" for p in points)
    return (
        f"Repeats on warm workers (n): {counts} slots. {where(records)}. The tasks sleep: this is "
        "the time it takes to hand out work and collect results, not computing power. "
        "Equal tasks run in waves, so the bound is a staircase."
    )


def where(records: Sequence[Record]) -> str:
    """Say where the tasks ran, in a few words."""
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


def _sleep_sections(points, shown, figures) -> list[str]:
    last = points[-1]
    starts = aggregate.cold_starts(shown)
    cards = [
        (
            f"{last['speedup'].median:.1f}",
            f"times faster than the serial loop, on {last['slots']} "
            f"slots (at most {last['bound']:g} is possible)",
        ),
        (
            f"{100 * last['e_rel'].median:.1f} %",
            f"of the ideal: {last['makespan'].median:.2f} s "
            f"for {last['ideal_s']:g} s (median of {last['n']})",
        ),
    ]
    if starts:
        cards.append(
            (
                f"{starts[-1]['cold_total_s']:.1f} s",
                f"from the command to its last result, cold, on {starts[-1]['slots']} slots",
            )
        )
    body = "".join(f"<div><b>{_(big)}</b><span>{_(small)}</span></div>" for big, small in cards)
    panels = [
        (figures.speedup_panel, "speedup", "Speedup against the number of slots"),
        (figures.efficiency_panel, "share", "Share of the ideal time against the number of slots"),
    ]
    drawings = "".join(
        figures.inline_svg(figures.panel_figure(panel, points, (5.2, 4.3)), name, label)
        for panel, name, label in panels
    )
    sections = [
        f'<p class="lead">{_(_lead(points, shown))}</p><div class="cards">{body}</div>',
        f'<div class="figures">{drawings}</div><p class="note">{_(caption(points, shown))}</p>',
        "<h2>Numbers</h2>" + _table(points),
        _how_to_read(last),
    ]
    if starts:
        sections.append(_cold(starts))
    failures = [row for record in shown for row in record.rows if row.get("status") != "ok"]
    if failures:
        lines = "".join(
            f"<li>{_(row.get('slots'))} slots: {_(row.get('status'))}. "
            f"{_(row.get('error', ''))}</li>"
            for row in failures
        )
        sections.append(f"<h2>Not measured</h2><ul>{lines}</ul>")
    return sections


def _lead(points, shown) -> str:
    tasks, seconds = points[0]["tasks"], points[0]["seconds"]
    return (
        f"A loop of {tasks} calls that take {seconds:g} s each needs {clock(tasks * seconds)} one "
        f"after another. Here the calls ran side by side. {where(shown)}."
    )


def _table(points) -> str:
    def row(tag, texts):
        columns = zip(texts, show.COLUMNS, strict=True)
        inner = "".join(
            f"<{tag}{' class=wide' if wide else ''}>{_(text)}</{tag}>"
            for text, (_name, wide) in columns
        )
        return f"<tr>{inner}</tr>"

    head = row("th", [name for name, _wide in show.COLUMNS])
    body = "".join(row("td", show.format_row(point)) for point in points)
    return (
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
        '<p class="note">n is the number of repeats on warm workers; with 6 of them the range '
        "holds the true median with a probability of 97 %, with 3 of 75 %. "
        '<span class="narrow">A wider screen shows more columns.</span></p>'
    )


def _how_to_read(last) -> str:
    tasks, slots = last["tasks"], last["slots"]
    waves = -(-tasks // slots)
    return f"""<h2>How to read it</h2><ul>
<li><b>A slot</b> is one thread of a worker: it runs one task at a time. {tasks} tasks on {slots}
slots run in {waves} {"wave" if waves == 1 else "waves"} of up to {slots}. The ideal time is the
number of waves times the length of a task, so the most that is possible is a staircase: slots that
do not save a whole wave change nothing.</li>
<li><b>The tasks sleep.</b> They need no core, and hundreds of them fit on a few cores. So this
shows what handing out work and collecting results costs, and says nothing about computing power.
Tasks that compute need a core each.</li>
<li><b>The clock</b> starts when all workers are there and a first short map was thrown away; it
ends when the last result is back. The time to get there is counted apart, and on a busy cluster the
queue decides it.</li>
<li><b>Checked in every repeat:</b> all {tasks} tasks were executed, each once, and all slots had
work. A repeat that can't show that is not counted.</li>
</ul>"""


def _cold(starts) -> str:
    start = starts[-1]
    rows = aggregate.phase_rows(start)
    longest = max(seconds for *_rest, seconds in rows) or 1
    bars = "".join(
        f"<tr><td>{_(words)}</td><td>{seconds:.2f} s</td>"
        f'<td class=bar><i style="width:{max(0.5, 100 * seconds / longest):.1f}%"></i></td></tr>'
        for _name, words, seconds in rows
    )
    note = f"One start of {start['slots']} slots"
    if len(starts) > 1:
        totals = ", ".join(f"{s['cold_total_s']:.1f} s on {s['slots']} slots" for s in starts)
        note = f"The last of {len(starts)} commands ({totals})"
    return (
        f"<h2>From nothing to the last result: {start['cold_total_s']:.1f} s</h2>"
        f'<table class="phases"><tbody>{bars}</tbody></table>'
        f'<p class="note">{_(note)}, n = 1. Each step lasts from the end of the one above.</p>'
    )


def _whole_gil(record) -> bool:
    """Tell whether it is a record of ``gil`` in which all three ways were measured."""
    return record.workload == "gil" and {row["mode"] for row in record.measured} == set(MODES)


def _gil_section(points, drawing, figures, header) -> str:
    cores, n = points[-1]["cores"], points[-1]["n"]
    threads, processes = (
        next((p["speedup"].median for p in points if p["mode"] == mode), float("nan"))
        for mode in ("threads", "processes")
    )
    load = header.get("machine", {}).get("load_1min") or 0
    busy = (
        f" The computer had other work before (load {load} on {cores} cores): "
        "alone it would have done better."
        if load > 0.5 * cores
        else ""
    )
    svg = figures.inline_svg(drawing, "gil", "Speedup of a pure-Python loop by threads, processes")
    return f"""<h2>And a loop that computes?</h2>
<p>The same kind of loop with a body in pure Python, on the {cores} cores that were really there:
{threads:.2f} times the serial loop's speed with {cores} threads in one process,
{processes:.2f} times with {cores} processes. Python runs one thread at a time in a process (its
global lock, the GIL), so loops like this want processes; NumPy, files and waiting do well with
threads.</p><div class="figures">{svg}</div><p class="note">Median of {n} repeats; dots are the
repeats. The line is the number of cores, the most that is possible; a bar beyond it means that the
computer was busier during the serial loop than after it.{busy}</p>"""


def _provenance(used: Sequence[Record], found: Sequence[Record]) -> str:
    parts = []
    for record in used:
        header = record.header
        machine = header.get("machine", {})
        facts = {
            "record": record.path.name + ("" if record.complete else " (broken off)"),
            "started": header.get("started"),
            "command": header.get("command"),
            "versions": ", ".join(f"{k} {v}" for k, v in header.get("versions", {}).items()),
            "computer": f"{machine.get('host')}, {machine.get('usable_cores')} of "
            f"{machine.get('cores')} cores usable, load {machine.get('load_1min')} before, "
            f"{machine.get('system')} {machine.get('architecture')}",
        }
        start = record.starts[-1] if record.starts else {}
        if "worker_saturation" in start:
            facts["Dask"] = f"worker-saturation {start['worker_saturation']}, no dashboard" + (
                ", no nannies" if start.get("nanny") is False else ""
            )
        if start.get("nodes"):
            facts["nodes"] = ", ".join(start["nodes"])
        facts |= {f"{k}": v for k, v in (start.get("settings") or {}).items()}
        rows = "".join(f"<dt>{_(k)}</dt><dd>{_(v)}</dd>" for k, v in facts.items())
        script = start.get("job_script")
        extra = f"<details><summary>Job script</summary><pre>{_(script)}</pre></details>"
        parts.append(f"<dl>{rows}</dl>{extra if script else ''}")
    left = len(found) - len(used)
    note = f"<p class=note>{left} more in this folder not shown: failed, older or of another kind."
    return "<h2>What was run</h2>" + "".join(parts) + (f"{note}</p>" if left else "")


def _(value) -> str:
    return html.escape(str(value))


def _page(headline: str, sections: Sequence[str]) -> str:
    today = datetime.date.today().isoformat()
    css = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_(headline)}</title><style>{css}</style></head>
<body><main><h1>{_(headline)}</h1>
{"".join(sections)}
<p class="note">Made by <code>dask hpc bench report</code> on {today} from the records beside this
page.</p></main></body></html>
"""
