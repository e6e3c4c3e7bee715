"""Draw figures of records, as PNG and SVG.

The colors are distinguishable with any color vision (Okabe and Ito's palette), and nothing is shown
by color alone: repeats are dots, medians are bars, bounds are lines.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import metrics

BLUE, ORANGE, INK, GRAY, PALE = "#0072B2", "#D55E00", "#222222", "#6b6b6b", "#b8b8b8"

STYLE = Path(__file__).with_suffix(".mplstyle")


def speedup_panel(axes, points: Sequence[dict]) -> None:
    """Draw the speedup over the serial loop against slots, with its upper bound."""
    tasks = points[0]["tasks"]
    most = round(1.08 * points[-1]["slots"]) + 1
    slots = range(1, most + 1)
    axes.plot([0, most], [0, most], "--", color=PALE, lw=1, label="one for one (y = x)")
    bound = [metrics.speedup_bound(tasks, n) for n in slots]
    label = f"bound for {tasks} equal tasks"
    axes.step(slots, bound, where="post", color=ORANGE, lw=1.4, label=label)
    _dots_and_medians(axes, points, "speedup", most)
    for point in points:
        # Below and to the right of the point, since the lines are above and to the left.
        median = point["speedup"].median
        _write(axes, f"{median:.1f}", (point["slots"], median), (5, -13))
    axes.set(xlabel="slots (tasks at one time)", ylabel="speedup over the serial loop")
    axes.set(xlim=(0, most), ylim=(0, most), title="Speedup")
    axes.legend(loc="upper left")


def efficiency_panel(axes, points: Sequence[dict]) -> None:
    """Draw the efficiency, the fraction of the ideal that was reached, on a linear axis from 0."""
    most = round(1.08 * points[-1]["slots"]) + 1
    axes.axhline(1, color=ORANGE, lw=1.4, label="ideal")
    _dots_and_medians(axes, points, "efficiency", most)
    for point in points:
        share = point["efficiency"]
        _write(axes, f"{share.median:.3f}", (point["slots"], share.low), (0, -14), ha="center")
    axes.set(xlabel="slots (tasks at one time)", ylabel="ideal time / measured time")
    axes.set(xlim=(0, most), ylim=(0, 1.05), title="Share of the ideal")
    axes.legend(loc="lower left")


def _write(axes, text: str, place: tuple, offset: tuple[float, float], **form) -> None:
    """Write text near a position in the figure, at an offset in typographic points."""
    axes.annotate(text, place, xytext=offset, textcoords="offset points", fontsize=9, **form)


def _dots_and_medians(axes, points: Sequence[dict], name: str, most: int) -> None:
    slots = [point["slots"] for point in points]
    places = [point["slots"] for point in points for _ in point[name].values]
    values = [value for point in points for value in point[name].values]
    form: dict = {"color": BLUE, "alpha": 0.55, "mew": 0, "ms": 6, "clip_on": False, "zorder": 3}
    axes.plot(places, values, "o", label="a repeat", **form)
    ends = [[n - most / 50 for n in slots], [n + most / 50 for n in slots]]
    medians = [point[name].median for point in points]
    axes.hlines(medians, *ends, color=INK, lw=1.8, label="median", zorder=4)
    if len(points) <= 6 and _apart(slots, most):
        axes.set_xticks([0, *slots])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _apart(numbers, most) -> bool:
    """Return whether labels at these numbers would not overlap."""
    numbers = [0, *numbers]
    return all(b - a > 0.08 * most for a, b in pairwise(numbers))


def curves_panel(axes, points: Sequence[dict], key: str, labels: Mapping[str, str]) -> None:
    """Draw the efficiency of each way against `key` of the points, on a logarithmic axis.

    Parameters
    ----------
    points : sequence of dict
        As `aggregate.summarize` returns them.
    key : {"slots", "seconds"}
    labels : mapping
        What to call each way.
    """
    axes.axhline(1, color=GRAY, lw=1, label="ideal")
    ways = [way for way in labels if any(point["way"] == way for point in points)]
    forms = zip((BLUE, ORANGE, INK), ("o", "s", "^"), ("-", "--", ":"), strict=True)
    for way, (color, marker, line) in zip(ways, forms, strict=False):
        chosen = sorted((p for p in points if p["way"] == way), key=lambda point: point[key])
        x = [point[key] for point in chosen]
        shares = [point["efficiency"] for point in chosen]
        form = {"color": color, "marker": marker, "ls": line, "lw": 1.4, "ms": 5}
        axes.plot(x, [share.median for share in shares], label=labels[way], **form)
        lows, highs = [share.low for share in shares], [share.high for share in shares]
        axes.vlines(x, lows, highs, color=color, lw=1, alpha=0.6)
    axes.set_xscale("log")
    ticks = sorted({point[key] for point in points})
    rotation = 45 if len(ticks) > 6 else 0
    axes.set_xticks(ticks, [_tick(tick, key) for tick in ticks], rotation=rotation)
    axes.minorticks_off()
    axes.set(ylim=(0, 1.05), ylabel="ideal time / measured time")
    axes.set_xlabel("length of a task" if key == "seconds" else "slots (tasks at one time)")
    axes.legend(loc="lower right")


def phases_panel(axes, points: Sequence[dict], names: Mapping[str, str]) -> None:
    """Draw the phases of starts as stacked bars, in seconds; `names` are in their order."""
    hatches = ("", "///", "...", "xx", "\\\\\\\\")
    left = [0.0] * len(points)
    shown = [name for name in names if any(name in point["phases"] for point in points)]
    for number, name in enumerate(shown):
        widths = [point["phases"].get(name, 0.0) for point in points]
        color = (BLUE, ORANGE, PALE, GRAY, "#56B4E9")[number % 5]
        form = {"color": color, "hatch": hatches[number % 5], "edgecolor": "white", "lw": 0.5}
        axes.barh(range(len(points)), widths, left=left, height=0.6, label=names[name], **form)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for y, total in enumerate(left):
        _write(axes, f"{total:.1f} s", (total, y), (4, 0), va="center")
    labels = [
        f"{p['jobs']} x {p['processes']}" + ("" if p["how"] == "default" else f", {p['how']}")
        for p in points
    ]
    axes.set_yticks(range(len(points)), labels)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.15 * max(left)), xlabel="seconds (medians)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)


def _tick(value: float, key: str) -> str:
    if key == "slots":
        return f"{value}"
    return f"{value:g} s" if value >= 0.1 else f"{1000 * value:g} ms"


def gil_panel(axes, points: Sequence[dict]) -> None:
    """Draw the speedup of a pure-Python loop: threads against processes."""
    cores = points[-1]["cores"]
    names = {"serial": "serial loop", "threads": "threads", "processes": "processes"}
    for y, point in enumerate(points):
        speedup = point["speedup"]
        axes.barh(y, speedup.median, height=0.5, color=BLUE, alpha=0.55, lw=0)
        axes.plot(speedup.values, [y] * speedup.n, "o", color=INK, ms=4, mew=0, zorder=3)
        _write(axes, f"{speedup.median:.2f}", (speedup.high, y), (8, 0), va="center")
    axes.axvline(cores, color=ORANGE, lw=1.4)
    form = {"xycoords": ("data", "axes fraction"), "va": "top", "color": ORANGE}
    _write(axes, f"{cores} cores", (cores, 1), (4, -2), **form)
    axes.set_yticks(range(len(points)), [names.get(p["mode"], p["mode"]) for p in points])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    n = points[-1]["n"]
    axes.set_xlabel(f"speedup over the serial loop (bars: median of {n}; dots: repeats)")
    axes.set(xlim=(0, 1.25 * cores), title="Computing in pure Python")


def overview_figure(points: Sequence[dict], title: str, caption: str) -> Figure:
    """Draw speedup and efficiency side by side, with title and caption, for a README."""
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(9.6, 4.9), dpi=150)
        lines = textwrap.wrap(caption, 135)
        bottom = 0.145 + 0.037 * len(lines)
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.065, right=0.985, top=0.85, bottom=bottom, wspace=0.2)
        figure.text(0.012, 0.96, title, fontsize=13, fontweight="bold", va="center")
        figure.text(0.012, 0.02, "\n".join(lines), fontsize=8.5, color=GRAY, linespacing=1.4)
        speedup_panel(left, points)
        efficiency_panel(right, points)
        return figure


def panel_figure(panel, points: Sequence[dict], size: tuple[float, float]) -> Figure:
    """Draw a single panel, `size` in inches, for a page that has its own title and caption."""
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        panel(figure.subplots(), points)
        return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg."""
    paths = []
    for kind in ("png", "svg"):
        path = stem.with_name(f"{stem.name}.{kind}")
        path.write_bytes(_render(figure, kind, stem.name))
        paths.append(path)
    return paths


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element for HTML, with `label` for screen readers."""
    text = _render(figure, "svg", name).decode()
    text = text[text.index("<svg") :]
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _render(figure: Figure, kind: str, name: str) -> bytes:
    buffer = io.BytesIO()
    # The salt makes ids differ between figures on one page, but stay the same in every run.
    with matplotlib.rc_context({"svg.hashsalt": name}, STYLE):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()
