"""What is shown of the workload ``adapt``."""

from collections.abc import Iterable, Sequence

from . import metrics
from .columns import Column
from .record import Record

SUMMARIES = {
    "makespan": "makespan_s",
    "first_worker": "first_worker_s",
    "empty": "empty_s",
    "held": "held_core_s",
    "busy": "busy_core_s",
    "wasted": "wasted_core_s",
    "workers": "most_workers",
}


def points(rows: Iterable[dict]) -> list[dict]:
    """Group measured rows by burst: `tasks n ideal_s seconds slots`, and `SUMMARIES`."""
    groups: dict[int, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["tasks"], []).append(row)
    return [
        {
            "tasks": tasks,
            "n": len(group),
            **{key: group[0][key] for key in ("ideal_s", "seconds", "slots")},
            **{name: metrics.summary(row[key] for row in group) for name, key in SUMMARIES.items()},
        }
        for tasks, group in sorted(groups.items())
    ]


def _seconds(name: str):
    return lambda point: f"{point[name].median:.2f}"


COLUMNS = (
    Column("tasks", lambda point: str(point["tasks"])),
    Column("n", lambda point: str(point["n"])),
    Column("ideal s", lambda point: f"{point['ideal_s']:.4g}", is_wide=True),
    Column("first worker s", _seconds("first_worker")),
    Column("all done s", _seconds("makespan")),
    Column("most workers", lambda point: f"{point['workers'].median:g}", is_wide=True),
    Column("given up s", _seconds("empty"), is_wide=True),
    Column("core-s held", lambda point: f"{point['held'].median:.0f}", is_wide=True),
    Column("busy", lambda point: f"{point['busy'].median:.0f}", is_wide=True),
    Column("wasted", lambda point: f"{point['wasted'].median:.0f}"),
)


def describe(row: dict) -> str:
    """Return a short description of a burst."""
    return (
        f"first worker after {row['first_worker_s']:.1f} s, all done after "
        f"{row['makespan_s']:.1f} s (ideal {row['ideal_s']:.4g} s), workers given up "
        f"{row['empty_s']:.1f} s later; {row['wasted_core_s']:.0f} of {row['held_core_s']:.0f} "
        "core-seconds wasted"
    )


def words(record: Record) -> str:
    """Return the result as a paragraph."""
    found = points(record.measured)
    parts = [
        f"{p['tasks']} tasks of {p['seconds']:g} s are done after {p['makespan'].median:.1f} s "
        f"({p['ideal_s']:.4g} s if all {p['slots']} workers were there), the first worker is there "
        f"after {p['first_worker'].median:.1f} s, and {p['wasted'].median:.0f} of "
        f"{p['held'].median:.0f} core-seconds are wasted"
        for p in found
    ]
    return (
        f"A cluster that adapts, from no workers to at most {found[0]['slots']} and back (medians "
        f"of {found[0]['n']}). {'; '.join(parts)}. Wasted are the cores that are held while no "
        "task runs on them: while workers start, while there are fewer tasks than workers, and "
        "until the cluster gives the workers up."
    )


def steps(pairs: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return times and values of a line of steps that begins with 0."""
    return [0.0, *(at for at, _ in pairs)], [0.0, *(value for _, value in pairs)]
