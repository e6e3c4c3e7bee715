"""Figures of the workloads ``files``, ``numpy``, and ``data``."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from . import figures
from .figures import BLUE, GRAY, INK, ORANGE
from .real_work import MODES, WORKS


def draw(workload: str, points: Sequence[dict]) -> tuple[Figure, str]:
    """Return the figure of a workload, and its description for screen readers.

    Parameters
    ----------
    workload : {"files", "numpy", "data"}
    points : sequence of dict
        As `real_work.points` returns them.
    """
    panel, label, height = PANELS[workload]
    size = 6.4, height if workload == "data" else 1.2 + height * len(points)
    return figures.panel_figure(panel, points, size), label


def files_panel(axes, points: Sequence[dict]) -> None:
    """Draw files per second of each way, on a logarithmic axis, since the disk may be far ahead."""
    _bars(axes, points, "tasks_per_s", [MODES[point["mode"]] for point in points], ",.0f")
    axes.set_xscale("log")
    low = min(point["tasks_per_s"].low for point in points)
    high = max(point["tasks_per_s"].high for point in points)
    axes.set_xlim(10 ** _below(low), 3 * high)
    axes.xaxis.set_major_formatter("{x:,g}")
    n = points[-1]["n"]
    axes.set_xlabel(f"files per second (bars: median of {n}; dots: repeats)")


def _below(value: float) -> int:
    """Return the power of ten that is at least half a decade below a positive value."""
    power = -12
    while 10 ** (power + 1) < value / 3:
        power += 1
    return power


def numpy_panel(axes, points: Sequence[dict]) -> None:
    """Draw the speedup over one core, with the number of cores as the bound."""
    slots = points[-1]["slots"]
    labels = [f"{WORKS[point['work']]}, {MODES[point['mode']]}" for point in points]
    _bars(axes, points, "speedup", labels, ".2f")
    axes.axvline(slots, color=ORANGE, lw=1.4, label=f"{slots} cores")
    axes.set_xlim(0, 1.2 * max(slots, *(point["speedup"].high for point in points)))
    axes.set_xlabel(f"times one core (bars: median of {points[-1]['n']}; dots: repeats)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22))


def _bars(axes, points: Sequence[dict], name: str, labels: Sequence[str], form: str) -> None:
    for y, point in enumerate(points):
        values = point[name]
        axes.barh(y, values.median, height=0.55, color=BLUE, alpha=0.55, lw=0)
        axes.plot(values.values, [y] * values.n, "o", color=INK, ms=4, mew=0, zorder=3)
        words = {"va": "center", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
        figures.write_near(axes, f"{values.median:{form}}", (values.high, y), (8, 0), **words)
    axes.set_yticks(range(len(points)), labels)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def data_panel(axes, points: Sequence[dict]) -> None:
    """Draw megabytes per second of each way against the size of the arrays."""
    modes = list(dict.fromkeys(point["mode"] for point in points))
    forms = zip(
        (BLUE, BLUE, ORANGE, ORANGE, INK), "oos^D", ("-", "--", "-", "--", ":"), strict=True
    )
    for mode, (color, marker, line) in zip(modes, forms, strict=False):
        chosen = [point for point in points if point["mode"] == mode]
        x = [point["size_mb"] for point in chosen]
        speeds = [point["mb_per_s"] for point in chosen]
        form = {"color": color, "marker": marker, "ls": line, "lw": 1.4, "ms": 5}
        axes.plot(x, [speed.median for speed in speeds], label=mode, **form)
        axes.vlines(
            x, [s.low for s in speeds], [s.high for s in speeds], color=color, lw=1, alpha=0.6
        )
    sizes = sorted({point["size_mb"] for point in points})
    streams = [
        [point["stream_mb_per_s"].median for point in points if point["size_mb"] == size]
        for size in sizes
    ]
    lows, highs = [min(found) for found in streams], [max(found) for found in streams]
    axes.fill_between(sizes, lows, highs, color=GRAY, alpha=0.3, lw=1, label="one plain stream")
    axes.set(xscale="log", yscale="log", xlabel="megabytes of each array", ylabel="MB/s")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))


PANELS = {
    "files": (files_panel, "Files per second in a loop, by the disk alone, and in a sweep", 0.4),
    "numpy": (numpy_panel, "Speedup of NumPy and pure Python, in threads and processes", 0.4),
    "data": (data_panel, "Megabytes per second against the size of arrays", 3.8),
}
