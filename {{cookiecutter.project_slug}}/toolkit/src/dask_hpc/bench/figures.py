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
from matplotlib.ticker import MaxNLocator, NullLocator

from . import metrics
from .fits import Fit

BLUE, ORANGE, INK, GRAY, PALE = "#0072B2", "#D55E00", "#222222", "#6b6b6b", "#b8b8b8"
SKY = "#56B4E9"

STYLE = Path(__file__).with_suffix(".mplstyle")


def makespan_panel(axes, points: Sequence[dict]) -> None:
    """Draw the makespan against slots on logarithmic axes, with the least possible as staircase."""
    tasks, seconds = points[0]["tasks"], points[0]["seconds"]
    slots = [point["slots"] for point in points]
    ends = max(1, round(min(slots) / 1.4)), round(max(slots) * 1.4)
    every = range(ends[0], ends[1] + 1)
    least = [metrics.ideal_s(tasks, seconds, n) for n in every]
    axes.step(every, least, where="post", color=ORANGE, lw=1.4, label="least possible: ⌈K/N⌉·s")
    places = [point["slots"] for point in points for _ in point["makespan"].values]
    values = [value for point in points for value in point["makespan"].values]
    axes.plot(places, values, "o", color=BLUE, alpha=0.55, mew=0, ms=6, label="a repeat", zorder=3)
    medians = [point["makespan"].median for point in points]
    axes.plot(slots, medians, "_", color=INK, ms=13, mew=1.8, label="median", zorder=4)
    for point, median in zip(points, medians, strict=True):
        write_near(axes, f"{median:.4g} s", (point["slots"], median), (3, 4), rotation=40)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes.xaxis, slots, ends[1] / ends[0])
    low, high = min(least), max(*least, *values)
    _plain_ticks(axes.yaxis, [point["ideal_s"] for point in points], high / low)
    axes.set(xlim=ends, ylim=(0.85 * low, 1.35 * high), title="Time until all results are back")
    axes.set(xlabel="slots (tasks at one time)", ylabel="seconds")
    axes.legend(loc="lower left")


def _plain_ticks(axis, values: Sequence[float], span: float) -> None:
    """Label values on a logarithmic axis, leaving out those that would overlap."""
    chosen: list[float] = []
    for value in sorted(set(values)):
        if not chosen or value / chosen[-1] > span**0.07:
            chosen.append(value)
    axis.set_ticks(chosen, [f"{value:.4g}" for value in chosen])
    axis.set_minor_locator(NullLocator())


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
        write_near(axes, f"{median:.1f}", (point["slots"], median), (5, -13))
    axes.set(xlabel="slots (tasks at one time)", ylabel="speedup over the serial loop")
    axes.set(xlim=(0, most), ylim=(0, most), title="Speedup")
    axes.legend(loc="upper left")


def efficiency_panel(axes, points: Sequence[dict], law: Fit | None = None) -> None:
    """Draw the efficiency, the fraction of the ideal that was reached, on a linear axis from 0.

    A fitted `law` is drawn as far as it was measured.
    """
    most = round(1.08 * points[-1]["slots"]) + 1
    axes.axhline(1, color=ORANGE, lw=1.4, label="ideal")
    if law is not None:
        slots = range(points[0]["slots"], law.most + 1)
        line = {"color": INK, "ls": ":", "lw": 1.4, "label": f"fit: {law.name}"}
        axes.plot(slots, [law.efficiency(n) for n in slots], **line)
    _dots_and_medians(axes, points, "efficiency", most)
    # Aslant where labels would overlap.
    form: dict = {"ha": "center", "va": "top"}
    if not _apart([point["slots"] for point in points], most):
        form = {"ha": "left", "va": "top", "rotation": -50}
    for point in points:
        share = point["efficiency"]
        write_near(axes, f"{share.median:.3f}", (point["slots"], share.low), (0, -5), **form)
    axes.set(xlabel="slots (tasks at one time)", ylabel="ideal time / measured time")
    axes.set(xlim=(0, most), ylim=(0, 1.05), title="Share of the ideal")
    axes.legend(loc="lower left")


def write_near(axes, text: str, place: tuple, offset: tuple[float, float], **form) -> None:
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
    if key == "seconds":
        for share in (0.5, 0.9):
            axes.axhline(share, color=PALE, lw=1, ls=(0, (1, 3)))
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
        if key == "seconds":
            _metg_marks(axes, list(zip(x, [share.median for share in shares], strict=True)), color)
    axes.set_xscale("log")
    ticks = sorted({point[key] for point in points})
    rotation = 45 if len(ticks) > 6 else 0
    axes.set_xticks(ticks, [_tick(tick, key) for tick in ticks], rotation=rotation)
    axes.minorticks_off()
    axes.set(ylim=(0, 1.05), ylabel="ideal time / measured time")
    axes.set_xlabel("length of a task" if key == "seconds" else "slots (tasks at one time)")
    axes.legend(loc="lower right")


def _metg_marks(axes, pairs: Sequence[tuple[float, float]], color: str) -> None:
    """Mark where a curve crosses half and nine tenths of the ideal, unless it never does."""
    for share in (0.5, 0.9):
        found = metrics.metg(pairs, share)
        if found is not None and found > min(length for length, _ in pairs):
            axes.plot([found], [share], "D", mfc="white", mec=color, ms=6, zorder=4)
            write_near(axes, f"{1000 * found:.3g} ms", (found, share), (7, -12), color=color)


def phases_panel(
    axes, points: Sequence[dict], names: Mapping[str, str], labels: Sequence[str]
) -> None:
    """Draw the phases of starts as stacked bars, in seconds; `names` are in their order."""
    hatches = ("", "///", "...", "xx", "\\\\\\\\")
    left = [0.0] * len(points)
    for number, name in enumerate(names):
        if not any(name in point["phases"] for point in points):
            continue
        widths = [point["phases"].get(name, 0.0) for point in points]
        color = (BLUE, ORANGE, PALE, GRAY, SKY)[number % 5]
        # After five, each color has another hatch than before.
        hatch = hatches[(number + number // 5) % 5]
        form = {"color": color, "hatch": hatch, "edgecolor": "white", "lw": 0.5}
        axes.barh(range(len(points)), widths, left=left, height=0.6, label=names[name], **form)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for y, total in enumerate(left):
        write_near(axes, f"{total:.1f} s", (total, y), (4, 0), va="center")
    axes.set_yticks(range(len(points)), labels)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.15 * max(left)), xlabel="seconds")
    axes.figure.legend(loc="outside lower center", ncols=2)


def _tick(value: float, key: str) -> str:
    if key == "slots":
        return f"{value}"
    return f"{value:g} s" if value >= 0.1 else f"{1000 * value:g} ms"


def ways_panel(
    axes, points: Sequence[dict], quantity: str, labels: Sequence[str], words: str
) -> None:
    """Draw a quantity of each point: bars are medians, dots repeats; `words` are the axis's.

    If the points have an ideal time, and it is the quantity that is drawn, a line shows it.
    """
    for y, point in enumerate(points):
        found = point[quantity]
        axes.barh(y, found.median, height=0.5, color=BLUE, alpha=0.55, lw=0)
        axes.plot(found.values, [y] * found.n, "o", color=INK, ms=4, mew=0, zorder=3)
        # On white, where the line of the least possible may be.
        form: dict = {"va": "center", "bbox": {"fc": "white", "ec": "none", "pad": 1}}
        write_near(axes, _digits(found.median), (found.high, y), (8, 0), **form)
    most = max(point[quantity].high for point in points)
    if quantity == "makespan" and points[0]["ideal_s"]:
        ideal = points[0]["ideal_s"]
        axes.axvline(ideal, color=ORANGE, lw=1.4)
        form = {"xycoords": ("data", "axes fraction"), "va": "bottom", "color": ORANGE}
        write_near(axes, f"least possible: {ideal:.4g} s", (ideal, 1), (0, 2), ha="center", **form)
    axes.set_yticks(range(len(points)), labels)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1.2 * most), xlabel=f"{words} (bars: medians; dots: repeats)")


def _digits(value: float) -> str:
    """Return a number with three digits that count, or all of its whole part."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def gil_panel(axes, points: Sequence[dict]) -> None:
    """Draw the speedup of a pure-Python loop: threads against processes."""
    cores = points[-1]["cores"]
    names = {"serial": "serial loop", "threads": "threads", "processes": "processes"}
    for y, point in enumerate(points):
        speedup = point["speedup"]
        axes.barh(y, speedup.median, height=0.5, color=BLUE, alpha=0.55, lw=0)
        axes.plot(speedup.values, [y] * speedup.n, "o", color=INK, ms=4, mew=0, zorder=3)
        write_near(axes, f"{speedup.median:.2f}", (speedup.high, y), (8, 0), va="center")
    axes.axvline(cores, color=ORANGE, lw=1.4)
    form = {"xycoords": ("data", "axes fraction"), "va": "top", "color": ORANGE}
    write_near(axes, f"{cores} cores", (cores, 1), (4, -2), **form)
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


def panel_figure(panel, points: Sequence[dict] | dict, size: tuple[float, float]) -> Figure:
    """Draw what `panel` draws of points, or of a trace, `size` in inches, without a caption."""
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


def for_page(figure: Figure, stem: Path, label: str) -> tuple[str, list[Path]]:
    """Write `stem`.png and `stem`.svg; return the figure for HTML, as `inline_svg`, and paths."""
    png, svg = save(figure, stem)
    return _inline(svg.read_text(encoding="utf-8"), label), [png, svg]


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element for HTML, with `label` for screen readers."""
    return _inline(_render(figure, "svg", name).decode(), label)


def _inline(text: str, label: str) -> str:
    text = text[text.index("<svg") :]
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _render(figure: Figure, kind: str, name: str) -> bytes:
    buffer = io.BytesIO()
    # The salt makes ids differ between figures on one page, but stay the same in every run.
    with matplotlib.rc_context({"svg.hashsalt": name}, STYLE):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()
