"""Aggregate a record into rows of a table, for the terminal and the report."""

from collections.abc import Iterable

from . import metrics
from .record import PHASES, Record


def summarize(rows: Iterable[dict]) -> list[dict]:
    """Group one workload's measured rows by number of slots, for a table or a figure.

    Returns
    -------
    list of dict
        One dict per point, by ascending `slots`, with the keys `slots tasks seconds ideal_s bound
        n` and, as `Summary` objects, `makespan efficiency overhead speedup`.
    """
    by_slots: dict[int, list[dict]] = {}
    for row in rows:
        by_slots.setdefault(row["slots"], []).append(row)
    result = []
    for slots, group in sorted(by_slots.items()):
        first = group[0]
        point = {key: first[key] for key in ("slots", "tasks", "seconds", "ideal_s")}
        point |= {"n": len(group), "bound": metrics.speedup_bound(first["tasks"], slots)}
        for name in ("makespan_s", "efficiency", "overhead_s", "speedup"):
            summary = metrics.summary(row[name] for row in group)
            point[name.removesuffix("_s")] = summary
        result.append(point)
    return result


def gil_points(rows: Iterable[dict]) -> list[dict]:
    """Group rows of the workload ``gil`` by mode: `mode n cores bound makespan speedup`.

    Here, speedup is relative to the median of the serial loops. In a row, it is relative to the
    serial loop of the same repeat, so that a disturbance of that loop affects all other modes.
    """
    by_mode: dict[str, list[dict]] = {}
    for row in rows:
        by_mode.setdefault(row["mode"], []).append(row)
    serial = metrics.summary(row["makespan_s"] for row in by_mode["serial"]).median
    return [
        {
            "mode": mode,
            "n": len(group),
            "cores": group[0]["slots"],
            "bound": group[0]["speedup_bound"],
            "makespan": metrics.summary(row["makespan_s"] for row in group),
            "speedup": metrics.summary(serial / row["makespan_s"] for row in group),
        }
        for mode, group in by_mode.items()
    ]


def cold_starts(records: Iterable[Record]) -> list[dict]:
    """Return the cold starts, timed from the start of the command to its last result."""
    return [
        start
        for record in records
        for start in record.starts
        if start.get("first_of_command") and "cold_total_s" in start
    ]


def phase_rows(start: dict) -> list[tuple[str, float]]:
    """Return a start's phases in order: descriptions and seconds."""
    phases = start.get("phases", {})
    return [(PHASES[name], phases[name]) for name in PHASES if name in phases]
