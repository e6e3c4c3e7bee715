"""What identifies the points of records, so that those of two runs can be compared.

A row says what was measured (`slots`, `tasks`, ...) and what came of it (`makespan_s`, ...). A key
that is not known here is a result if its name ends with a unit, or if its number differs between
repeats of one point; otherwise, it is a setting.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .record import Record

# Results, and what a row says of its place in the run.
RESULTS = {"efficiency", "speedup", "speedup_bound", "slots_used", "hosts", "rounds", "status"}
RESULTS |= {"phases", "remarks", "tasks_twice", "workers_lost", "most_workers", "busy_at"}
RESULTS |= {"held_at"}
RESULTS |= {"kind", "error", "n_errors", "run", "repeat", "order", "started", "finished"}
UNITS = ("_s", "_ms", "_us", "_mib", "_gib", "_bytes", "_per_task", "_percent", "_at")
# How slots are made of jobs. Points that differ only in this are compared, and the difference is
# mentioned: it is what a lab may have changed.
LAYOUT = frozenset(("jobs", "processes", "threads"))
SETTINGS = frozenset(("workload", "backend", "mode", "slots", "tasks", "seconds"))


@dataclass
class Point:
    """Repeats of one point.

    Attributes
    ----------
    settings : dict
        What identifies it, without the layout.
    layout : dict
    rounds : int
        Of the loop of the workload ``gil``, which sets their number itself; otherwise 1.
    makespans : list of float
        Of each repeat, in seconds, for `rounds` rounds.
    """

    settings: dict[str, Any]
    layout: dict[str, Any]
    rounds: int = 1
    makespans: list[float] = field(default_factory=list)

    def fits(self, other: "Point") -> bool:
        """Return whether the settings agree. One that a record does not have fits any other."""
        common = self.settings.keys() & other.settings.keys()
        return all(self.settings[key] == other.settings[key] for key in common)


def points(records: Iterable[Record], results: Collection[str]) -> list[Point]:
    """Return the points of records in order, given the names of results among their keys."""
    found: dict[tuple, Point] = {}
    for record in records:
        for row in record.measured:
            makespan = row.get("makespan_s")
            if not isinstance(makespan, int | float) or makespan <= 0:
                continue
            row = {"workload": record.workload, **row}
            rounds = row.get("rounds") or 1
            if rounds != 1:
                row.pop("seconds", None)  # measured too: a share of the serial loop's time
            settings = {key: _plain(row[key]) for key in sorted(row) if _may_identify(key)}
            settings = {key: value for key, value in settings.items() if key not in results}
            layout = {key: settings.pop(key) for key in LAYOUT & settings.keys()}
            identity = tuple(settings.items()), tuple(sorted(layout.items()))
            point = found.setdefault(identity, Point(settings, layout, rounds))
            point.makespans.append(makespan * point.rounds / rounds)
    return list(found.values())


def results_among(records: Iterable[Record]) -> set[str]:
    """Return the keys of rows that turn out to be results: they differ between repeats."""
    found: set[str] = set()
    for record in records:
        for settings in (SETTINGS, _text_settings(record.measured)):
            groups: dict[tuple, list[dict]] = defaultdict(list)
            for row in record.measured:
                groups[tuple(_plain(row.get(key)) for key in sorted(settings))].append(row)
            for rows in groups.values():
                if _are_repeats(rows):
                    found |= {key for key in _others(rows, settings) if _differs(key, rows)}
    return found


def pairs(ours: Sequence[Point], theirs: Sequence[Point]) -> list[tuple[Point, Point]]:
    """Return the points that both have: with the same layout if possible, else with any."""
    fitting = [(a, b) for a in ours for b in theirs if a.fits(b)]
    same = [(a, b) for a, b in fitting if a.layout == b.layout]
    done = {id(point) for pair in same for point in pair}
    return [
        (a, b)
        for a, b in fitting
        if a.layout == b.layout or (id(a) not in done and id(b) not in done)
    ]


def _may_identify(key: str) -> bool:
    return key not in RESULTS and not key.endswith(UNITS)


def _plain(value: Any) -> Any:
    """Return a value that can be compared and be part of a dict's key."""
    is_plain = value is None or isinstance(value, str | int | float)
    return value if is_plain else json.dumps(value, sort_keys=True)


def _text_settings(rows: Iterable[dict]) -> frozenset[str]:
    texts = {key for row in rows for key, value in row.items() if isinstance(value, str)}
    return SETTINGS | {key for key in texts if _may_identify(key)}


def _are_repeats(rows: Sequence[dict]) -> bool:
    """Return whether rows are repeats of one point, by their numbers."""
    numbers = {row.get("repeat") for row in rows}
    return len(rows) > 1 and len(numbers) == len(rows)


def _others(rows: Iterable[dict], settings: Collection[str]) -> set[str]:
    return {key for row in rows for key in row if _may_identify(key)} - {*settings, *LAYOUT}


def _differs(key: str, rows: Iterable[dict]) -> bool:
    values = {_plain(row.get(key)) for row in rows}
    # Text is what somebody chose, since times and names of computers have keys that are known.
    return len(values) > 1 and not any(isinstance(row.get(key), str) for row in rows)
