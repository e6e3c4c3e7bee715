"""The same tasks with other tools: what their records say, as a table and a figure.

The repository's `make bench-peers` measures them; `record` describes their rows.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import metrics
from .figures import BLUE, INK, ORANGE
from .metrics import Summary
from .show import Column

COLD = "cold"
WARM = "warm"


@dataclass(frozen=True)
class Shape:
    """What was measured with one shape: a number of tasks of one length on a number of slots.

    Attributes
    ----------
    name, title : str
    ideal_s : float
    points : list of dict
        One for each tool, the quickest first: `tool title works_in hands_out note has_warm versions
        n failed error slots slots_used`, and as `Summary` objects, or None, `cold`, `warm`, and
        `told`: the seconds from the first line of the program to the end of the last task; those of
        tasks on workers that are up; and from the end of the last of these, if there are any, until
        the program had all results.
    """

    name: str
    title: str
    ideal_s: float
    points: list[dict]

    @property
    def measured(self) -> list[dict]:
        """The points with a measurement."""
        return [point for point in self.points if point["cold"]]


def shapes(rows: Iterable[dict]) -> list[Shape]:
    """Return what rows of the workload ``peers`` say, by shape."""
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for row in rows:
        key = row["shape"], row["tasks"], row["seconds"], row["slots"]
        groups.setdefault(key, {}).setdefault(row["tool"], []).append(row)
    found = []
    for (name, tasks, seconds, slots), by_tool in groups.items():
        points = [_point(group) for group in by_tool.values()]
        points.sort(key=lambda point: point["cold"].median if point["cold"] else float("inf"))
        title = f"{tasks:,} tasks of {_length(seconds)} on {slots} slots"
        found.append(Shape(name, title, metrics.ideal_s(tasks, seconds, slots), points))
    return found


def _point(rows: Sequence[dict]) -> dict:
    measured = [row for row in rows if row["status"] == "ok"]
    last = rows[-1]
    state = WARM if last["has_warm"] else COLD
    point = {key: last[key] for key in ("tool", "title", "works_in", "hands_out", "note")}
    failed = [row for row in rows if row["status"] != "ok"]
    return point | {
        "has_warm": last["has_warm"],
        "versions": next((row["versions"] for row in reversed(measured)), {}),
        "n": len({row["repeat"] for row in measured}),
        "failed": len(failed),
        "slots": last["slots"],
        "slots_used": max((row["slots_used"] for row in measured), default=0),
        "error": failed[-1]["error"] if failed else None,
        "cold": _summary(row["makespan_s"] for row in measured if row["state"] == COLD),
        "warm": _summary(row["makespan_s"] for row in measured if row["state"] == WARM),
        "told": _summary(row["told_s"] for row in measured if row["state"] == state),
    }


def _summary(values: Iterable[float]) -> Summary | None:
    values = list(values)
    return metrics.summary(values) if values else None


def _length(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 0.1 else f"{1000 * seconds:g} ms"


def _spread(times: Summary) -> str:
    if times.n == 1:
        return f"{times.median:.2f}"
    return f"{times.median:.2f} ({times.low:.2f} to {times.high:.2f})"


def _cold(point: dict) -> str:
    if point["cold"] is None:
        return "not measured"
    return _spread(point["cold"])


def _warm(point: dict) -> str:
    if not point["has_warm"]:
        return "no warm state"
    return _spread(point["warm"]) if point["warm"] else ""


def _repeats(point: dict) -> str:
    failed = f", {point['failed']} failed" if point["failed"] and point["n"] else ""
    return f"{point['n']}{failed}"


def versions(shape: Shape) -> str:
    """Return the versions of the tools: "Parsl 1.2, Ray 3.4"."""
    found = {
        f"{name} {version}": None
        for point in shape.measured
        for name, version in point["versions"].items()
    }
    return ", ".join(sorted(found, key=str.lower))


COLUMNS = (
    Column("", lambda point: point["title"]),
    Column("tasks run in", lambda point: point["works_in"]),
    Column("handed out", lambda point: point["hands_out"], is_wide=True),
    Column("cold s", _cold),
    Column("warm s", _warm),
    Column(
        "results later by s",
        lambda point: f"{point['told'].median:.2f}" if point["told"] else "",
        is_wide=True,
    ),
    Column("n", _repeats, is_wide=True),
)


def notes(shape: Shape) -> list[str]:
    """Return what a reader has to know of tools: "Parsl: …"."""
    return [f"{point['title']}: {point['note']}" for point in shape.measured if point["note"]]


def remarks(shape: Shape) -> list[str]:
    """Return which tools failed, and which start tasks too slowly to keep all slots busy."""
    failed = [point for point in shape.points if not point["cold"]]
    return [f"{point['title']} was not measured: {point['error']}." for point in failed] + [
        f"{point['title']} had at most {point['slots_used']} tasks at the same time."
        for point in shape.measured
        if not point["has_warm"] and point["slots_used"] < point["slots"]
    ]


def plain(text: str) -> str:
    """Return text without the marks of Markdown."""
    return re.sub("`", "", text)


def words(shape: Shape) -> str:
    """Return the result of a shape in words."""
    said = [
        "Cold is from a program's first line, or the command that submits, to the end of the last "
        "task; warm is the same tasks on workers that are up. The ideal is "
        f"{shape.ideal_s:.3g} s."
    ]
    for state in (COLD, WARM):
        times = [(point[state].median, point["title"]) for point in shape.points if point[state]]
        if times:
            seconds, title = min(times)
            said.append(f"The quickest when {state}: {title}, {seconds:.2f} s.")
    about = [f"{note}." for note in notes(shape)]
    return plain(" ".join([*said, *remarks(shape), *about]))


def panel(axes, points: Sequence[dict], ideal_s: float) -> None:
    """Draw the cold and the warm time of each tool: bars are medians, dots are repeats."""
    bars = ((COLD, -0.19, BLUE, ""), (WARM, 0.19, ORANGE, "///"))
    for state, shift, color, hatch in bars:
        drawn = [
            (y + shift * point["has_warm"], point[state])
            for y, point in enumerate(points)
            if point[state]
        ]
        if not drawn:
            continue
        places = [y for y, _ in drawn]
        form = {"color": color, "hatch": hatch, "edgecolor": "white", "lw": 0.5, "alpha": 0.75}
        medians = [times.median for _, times in drawn]
        axes.barh(places, medians, height=0.36, label=state, **form)
        for place, (_, times) in zip(places, drawn, strict=True):
            axes.plot(times.values, [place] * times.n, "o", color=INK, ms=2.5, mew=0, zorder=3)
            where = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(f"{times.median:.2f}", (times.high, place), fontsize=8, **where)
    axes.axvline(ideal_s, color=INK, lw=1, ls="--", label="ideal")
    axes.set_yticks(range(len(points)), [plain(point["title"]) for point in points])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, None), xlabel="seconds (bars: medians; dots: repeats)")
    axes.margins(x=0.1)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
