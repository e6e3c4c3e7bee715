"""What is shown of the workload ``failure``."""

import statistics
from collections.abc import Iterable, Sequence

from . import metrics
from .columns import Column, range_of
from .record import Record

NOTHING = "nothing"


def points(rows: Iterable[dict]) -> list[dict]:
    """Group measured rows by what was lost; first those in which nothing was.

    Returns
    -------
    list of dict
        `loss n ideal_s tasks seconds slots` and `came_back`, the number of repeats in which all
        workers came back before the last result; as `Summary` objects, `makespan`, `overhead`,
        `lost` (over the undisturbed repeat of the same start), `twice`; and the medians
        `workers_lost`, `noticed_s`, and `back_s` (None if unknown).
    """
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["loss"], []).append(row)
    return [
        {
            "loss": loss,
            "n": len(group),
            **{key: group[0][key] for key in ("ideal_s", "tasks", "seconds", "slots")},
            "makespan": metrics.summary(row["makespan_s"] for row in group),
            "overhead": metrics.summary(row["overhead_s"] for row in group),
            "lost": metrics.summary(row.get("lost_s", 0.0) for row in group),
            "twice": metrics.summary(row["tasks_twice"] for row in group),
            "came_back": len(_known(group, "back_s")),
            **{key: _median(group, key) for key in ("workers_lost", "noticed_s", "back_s")},
        }
        for loss, group in sorted(groups.items(), key=lambda item: item[0] != NOTHING)
    ]


def _known(rows: Sequence[dict], key: str) -> list[float]:
    return [row[key] for row in rows if row.get(key) is not None]


def _median(rows: Sequence[dict], key: str) -> float | None:
    values = _known(rows, key)
    return statistics.median(values) if values else None


def _number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)


def _back(point: dict) -> str:
    if point["loss"] == NOTHING:
        return ""
    if not point["came_back"]:
        return "no"
    often = "" if point["came_back"] == point["n"] else f" ({point['came_back']} of {point['n']})"
    return f"{point['back_s']:.2f}{often}"


COLUMNS = (
    Column("lost", lambda point: point["loss"]),
    Column("n", lambda point: str(point["n"])),
    Column("ideal s", lambda point: f"{point['ideal_s']:.4g}", is_wide=True),
    Column("median s", lambda point: f"{point['makespan'].median:.2f}"),
    Column("range s", lambda point: range_of(point["makespan"]), is_wide=True),
    Column("over ideal s", lambda point: f"{point['overhead'].median:.2f}"),
    Column(
        "lost s",
        lambda point: "" if point["loss"] == NOTHING else f"{point['lost'].median:.2f}",
    ),
    Column("run twice", lambda point: f"{point['twice'].median:g}"),
    Column("workers", lambda point: _number(point["workers_lost"], "g"), is_wide=True),
    Column("noticed s", lambda point: _number(point["noticed_s"]), is_wide=True),
    Column("back s", _back, is_wide=True),
)


def describe(row: dict) -> str:
    """Return a short description of a repeat."""
    back = row.get("back_s")
    workers = f"all workers back after {back:.1f} s" if back is not None else "workers not back"
    return (
        f"{row['makespan_s']:.2f} s (ideal {row['ideal_s']:.4g} s), {row['lost_s']:.2f} s more "
        f"than undisturbed; {row['tasks_twice']} tasks run twice; {workers}"
    )


def failures(record: Record) -> list[str]:
    """Return a line on each repeat that failed."""
    return [
        f"{row.get('loss')} lost, repeat {row.get('repeat')}: {row.get('status')}. "
        f"{row.get('error', '')}"
        for row in record.rows
        if row.get("status") != "ok"
    ]


def words(record: Record) -> str:
    """Return the result as a paragraph."""
    found = points(record.measured)
    first = found[0]
    parts = [
        f"a {p['loss']}, {p['lost'].median:.1f} s ({p['twice'].median:g} tasks ran twice)"
        for p in found
        if p["loss"] != NOTHING
    ]
    text = (
        f"{first['tasks']} tasks of {first['seconds']:g} s on {first['slots']} workers take at "
        f"least {first['ideal_s']:.4g} s, and {first['makespan'].median:.2f} s undisturbed (median "
        f"of {first['n']}). "
    )
    if parts:
        text += (
            "Half of that time after the beginning, something was lost. It cost, compared with the "
            f"undisturbed repeat on the same workers: {'; '.join(parts)}. A task runs again if it "
            "ran on what was lost, or if its result was there. "
        )
    return " ".join([text.strip(), *(f"Not measured: {line}" for line in failures(record))])
