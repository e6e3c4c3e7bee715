"""Aggregate a record into rows of a table, for the terminal and the report."""

import statistics
from collections.abc import Iterable

from . import metrics
from .points import EQUAL, GATHER, HARNESS, SWEEP, WORKER_SATURATION
from .record import PHASES, Record

# What a row says of its point. Records of earlier versions of the harness lack some of it.
POINT = {"slots": 0, "tasks": 0, "seconds": 0.0, "way": HARNESS, "lengths": EQUAL}
POINT |= {"saturation": WORKER_SATURATION}


def summarize(rows: Iterable[dict]) -> list[dict]:
    """Group one workload's measured rows by point, for a table or a figure.

    Returns
    -------
    list of dict
        One dict per point, by way, lengths, ascending `slots`, and descending `seconds`, with the
        keys of `POINT`, `ideal_s bound n`, and, as `Summary` objects, `makespan efficiency overhead
        speedup tasks_per_s first_result`.
    """
    by_point: dict[tuple, list[dict]] = {}
    for row in rows:
        identity = tuple(row.get(key, default) for key, default in POINT.items())
        by_point.setdefault(identity, []).append(row)
    result = []
    for identity, group in by_point.items():
        point = dict(zip(POINT, identity, strict=True))
        point |= {"n": len(group), "ideal_s": group[0]["ideal_s"]}
        bound = metrics.speedup_bound(point["tasks"], point["slots"])
        point["bound"] = group[0].get("speedup_bound", bound)
        for name in ("makespan_s", "efficiency", "overhead_s", "speedup"):
            point[name.removesuffix("_s")] = metrics.summary(row[name] for row in group)
        rates = [row["tasks"] / row["makespan_s"] for row in group]
        point["tasks_per_s"] = metrics.summary(rates)
        firsts = [row["first_result_s"] for row in group if "first_result_s" in row]
        point["first_result"] = metrics.summary(firsts) if firsts else None
        result.append(point)
    order = {way: number for number, way in enumerate((HARNESS, GATHER, SWEEP))}
    return sorted(
        result,
        key=lambda p: (p["lengths"], order[p["way"]], p["saturation"], p["slots"], -p["seconds"]),
    )


def granularity(points: Iterable[dict]) -> dict[str, dict[float, float | None]]:
    """Return METG, in seconds, at 50 and 90 % efficiency, for each way."""
    by_way: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        pair = point["seconds"], point["efficiency"].median
        by_way.setdefault(point["way"], []).append(pair)
    return {
        way: {share: metrics.metg(pairs, share) for share in (0.5, 0.9)}
        for way, pairs in by_way.items()
    }


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


def start_points(rows: Iterable[dict]) -> list[dict]:
    """Group rows of the workload ``cold-start``.

    Returns
    -------
    list of dict
        `jobs processes how n`, the medians of the `phases` in seconds, and, as `Summary` objects,
        `first_worker`, `all_workers` and `pss` (in MiB; None if it is not known).
    """
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["jobs"], row["processes"], row["how"]), []).append(row)
    found = []
    for (jobs, processes, how), group in sorted(groups.items()):
        names = [name for name in PHASES if name in group[0]["phases"]]
        sizes = [row["pss_mib"] for row in group if "pss_mib" in row]
        found.append(
            {
                "jobs": jobs,
                "processes": processes,
                "how": how,
                "n": len(group),
                "phases": {
                    name: statistics.median(row["phases"].get(name, 0.0) for row in group)
                    for name in names
                },
                "first_worker": metrics.summary(row["first_worker_s"] for row in group),
                "all_workers": metrics.summary(row["makespan_s"] for row in group),
                "pss": metrics.summary(sizes) if sizes else None,
            }
        )
    return found


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
