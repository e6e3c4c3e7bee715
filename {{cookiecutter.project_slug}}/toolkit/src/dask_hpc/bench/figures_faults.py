"""Draw what workers that leave, are lost, or are only simulated cost; see `figures`."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from . import adapt_view
from .figures import BLUE, GRAY, INK, ORANGE, PALE, write_near


def losses_panel(axes, points: Sequence[dict]) -> None:
    """Draw for each loss how long the tasks took: ideal, undisturbed, and what the loss cost."""
    ideal = points[0]["ideal_s"]
    undisturbed = points[0]["makespan"].median
    for y, point in enumerate(points):
        total = point["makespan"]
        form = {"height": 0.5, "edgecolor": "white", "lw": 0.5}
        named = y == len(points) - 1
        parts = [(0.0, ideal, PALE, "", "ideal")]
        parts += [(ideal, min(undisturbed, total.median), BLUE, "", "undisturbed")]
        parts += [(undisturbed, total.median, ORANGE, "///", "lost")]
        for left, right, color, hatch, label in parts:
            width = max(0.0, right - left)
            axes.barh(
                y, width, left=left, color=color, hatch=hatch, label=label if named else "", **form
            )
        axes.plot(total.values, [y] * total.n, "o", color=INK, ms=4, mew=0, zorder=3)
        write_near(axes, f"{total.median:.1f} s", (total.high, y), (8, 0), va="center")
    names = {"nothing": "nothing", "worker": "a worker", "job": "a job", "node": "a node"}
    axes.set_yticks(range(len(points)), [names.get(p["loss"], p["loss"]) for p in points])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    most = max(point["makespan"].high for point in points)
    axes.set(xlim=(0, 1.15 * most), xlabel="seconds (bars: medians; dots: repeats)")
    axes.set_ylabel("lost in the middle")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3)


def adapt_panel(axes, rows: Sequence[dict]) -> None:
    """Draw workers and running tasks over time, for a repeat of each burst, side by side."""
    offset = 0.0
    for number, row in enumerate(rows):
        end = row["makespan_s"] + row["empty_s"]
        for key, color, label in (("held_at", PALE, "workers"), ("busy_at", BLUE, "busy")):
            at, count = adapt_view.steps(row[key])
            times = [offset + t for t in (*at, max(end, at[-1]))]
            values = [*count, count[-1]]
            name = label if number == 0 else ""
            axes.fill_between(times, values, step="post", color=color, lw=0, label=name)
            if color == PALE:
                axes.step(times, values, where="post", color=GRAY, lw=1)
        axes.axvline(offset, color=INK, lw=1, ls=":")
        write_near(axes, f"{row['tasks']} tasks", (offset, row["slots"] * 1.1), (4, 0), va="center")
        axes.axvline(offset + row["makespan_s"], color=ORANGE, lw=1.2, ls="--")
        if number == 0:
            axes.axvline(-1, color=ORANGE, lw=1.2, ls="--", label="last result")
        offset += end + 2.0
    axes.set(xlim=(0, offset), ylim=(0, rows[0]["slots"] * 1.2))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlabel="seconds", ylabel="workers of one thread")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)


def limit_panel(axes, rows: Sequence[dict]) -> None:
    """Draw tasks per second against the number of workers, with what they could do."""
    workers = [row["slots"] for row in rows]
    ideal = [row["tasks"] / row["ideal_s"] for row in rows]
    axes.plot(workers, ideal, "--", color=ORANGE, lw=1.4, label="what the workers could do")
    rates = [row["tasks_per_s"] for row in rows]
    axes.plot(workers, rates, "o-", color=BLUE, lw=1.4, ms=5, label="measured")
    for row in rows:
        place = row["slots"], row["tasks_per_s"]
        write_near(axes, f"{row['tasks_per_s']:,.0f}", place, (4, -13))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(workers, [f"{n:,}" for n in workers])
    axes.minorticks_off()
    axes.set(xlabel="simulated workers", ylabel="tasks per second")
    axes.legend(loc="upper left")
