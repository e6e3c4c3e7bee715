"""Figures of records, as PNG and SVG; they read numbers and know nothing of clusters.

The colors can be told apart with any color vision (Okabe and Ito's palette), and nothing is shown
by color alone: repeats are dots, medians are bars, bounds are lines.
"""

import io
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import metrics

BLUE, ORANGE, INK, GRAY, PALE = "#0072B2", "#D55E00", "#222222", "#6b6b6b", "#b8b8b8"

# Not every Matplotlib that is allowed has the type of the keys.
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "path",  # looks the same where the font is missing
    "savefig.facecolor": "white",
}


def speedup_panel(axes, points: Sequence[dict]) -> None:
    """Draw the speedup over the serial loop against slots, and the most that is possible."""
    tasks = points[0]["tasks"]
    most = round(1.08 * points[-1]["slots"]) + 1
    slots = range(1, most + 1)
    axes.plot([0, most], [0, most], "--", color=PALE, lw=1, label="one for one (y = x)")
    bound = [metrics.speedup_bound(tasks, n) for n in slots]
    axes.step(
        slots,
        bound,
        where="post",
        color=ORANGE,
        lw=1.4,
        label=f"most that {tasks} equal tasks allow",
    )
    _dots_and_medians(axes, points, "speedup", "speedups", most)
    for point in points:
        # Below and to the right: the lines are above and to the left.
        axes.annotate(
            f"{point['speedup'].median:.1f}",
            (point["slots"], point["speedup"].median),
            xytext=(5, -13),
            textcoords="offset points",
            fontsize=9,
        )
    axes.set(xlabel="slots (tasks at one time)", ylabel="speedup over the serial loop")
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.set_title("Speedup")
    axes.legend(loc="upper left")


def efficiency_panel(axes, points: Sequence[dict]) -> None:
    """Draw the share of the ideal that was reached, on a linear axis from 0."""
    most = round(1.08 * points[-1]["slots"]) + 1
    axes.axhline(1, color=ORANGE, lw=1.4, label="ideal")
    _dots_and_medians(axes, points, "efficiency", "efficiencies", most)
    for point in points:
        axes.annotate(
            f"{point['efficiency'].median:.3f}",
            (point["slots"], min(point["efficiencies"])),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set(xlabel="slots (tasks at one time)", ylabel="ideal time / measured time")
    axes.set(xlim=(0, most), ylim=(0, 1.05))
    axes.set_title("Share of the ideal")
    axes.legend(loc="lower left")


def _dots_and_medians(axes, points, median_of, all_of, most):
    for index, point in enumerate(points):
        label = "a repeat" if index == 0 else None
        values = point[all_of]
        axes.plot(
            [point["slots"]] * len(values),
            values,
            "o",
            color=BLUE,
            alpha=0.55,
            mew=0,
            ms=6,
            label=label,
            clip_on=False,
            zorder=3,
        )
        half = most / 50
        label = "median" if index == 0 else None
        median = point[median_of].median
        axes.plot(
            [point["slots"] - half, point["slots"] + half],
            [median, median],
            color=INK,
            lw=1.8,
            label=label,
            zorder=4,
        )
    if len(points) <= 6 and _apart([point["slots"] for point in points], most):
        axes.set_xticks([0, *(point["slots"] for point in points)])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _apart(numbers, most) -> bool:
    """Tell whether labels at these numbers leave each other room."""
    numbers = [0, *numbers]
    return all(b - a > 0.08 * most for a, b in pairwise(numbers))


def gil_panel(axes, points: Sequence[dict]) -> None:
    """Draw the speedup of a pure-Python loop: threads against processes."""
    cores = points[-1]["cores"]
    names = {"serial": "serial loop", "threads": "threads", "processes": "processes"}
    height = 0.5
    for y, point in enumerate(points):
        axes.barh(y, point["speedup"].median, height, color=BLUE, alpha=0.55, lw=0)
        axes.plot(point["speedups"], [y] * point["n"], "o", color=INK, ms=4, mew=0, zorder=3)
        axes.annotate(
            f"{point['speedup'].median:.2f}",
            (max(point["speedups"]), y),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.axvline(cores, color=ORANGE, lw=1.4)
    axes.annotate(
        f"{cores} cores",
        (cores, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=ORANGE,
    )
    axes.set_yticks(range(len(points)), [names.get(p["mode"], p["mode"]) for p in points])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    n = points[-1]["n"]
    axes.set(xlim=(0, 1.25 * cores))
    axes.set_xlabel(f"speedup over the serial loop (bars: median of {n}; dots: repeats)")
    axes.set_title("Computing in pure Python")


def overview_figure(points: Sequence[dict], title: str, caption: str) -> Figure:
    """Draw speedup and share of the ideal side by side, with title and caption, for a README."""
    with matplotlib.rc_context(STYLE):
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
    """Draw one panel alone, `size` in inches, for a page that has the title and the caption."""
    with matplotlib.rc_context(STYLE):
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
    """Return the figure as an ``<svg>`` element for HTML; screen readers read out `label`."""
    text = _render(figure, "svg", name).decode()
    text = text[text.index("<svg") :]
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _render(figure: Figure, kind: str, name: str) -> bytes:
    buffer = io.BytesIO()
    # The salt keeps the ids of several figures on one page apart, and the same from run to run.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()
