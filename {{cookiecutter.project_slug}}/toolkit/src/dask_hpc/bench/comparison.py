"""Show the comparison of two runs in the terminal, or as data."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .compare import Comparison, Verdict
from .record import Record

# Of the settings of a start, those that are worth a mention.
SETTINGS = ("jobs", "threads", "processes", "nanny", "batch_system", "queue", "worker_saturation")
BUSY = 1.0  # load per core from which on a computer is busy


def show(found: Sequence[Comparison], a: Sequence[Record], b: Sequence[Record]) -> None:
    """Print what differs between the runs, in one line, and a table of their times."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # Values of records are text, whatever they contain.
    console = Console(highlight=False, markup=False)
    if line := differences(a, b):
        console.print(line, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("what")
    for heading in ("n", "A s", "B s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("B, compared with A")
    for each in found:
        times = each.times
        medians = (f"{statistics.median(side):.2f}" for side in (times.a, times.b))
        table.add_row(times.name, f"{len(times.a)}, {len(times.b)}", *medians, each.words())
    if not console.is_terminal:  # nothing is cut or wrapped in a file or a pipe
        needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
        console.width = max(console.width, needed)
    console.print()
    console.print(table)
    console.print(f"\n{summary(found)}", soft_wrap=True)


def summary(found: Iterable[Comparison]) -> str:
    """Return the result in one line."""
    found = list(found)
    slower = sum(each.verdict is Verdict.SLOWER for each in found)
    faster = sum(each.verdict is Verdict.FASTER for each in found)
    unknown = sum(each.verdict is Verdict.UNKNOWN for each in found)
    line = f"Of {len(found)} times, B is slower in {slower} and faster in {faster}, beyond noise"
    return f"{line}; {unknown} cannot be compared." if unknown else f"{line}."


def as_data(found: Iterable[Comparison], a: Sequence[Record], b: Sequence[Record]) -> dict:
    """Return the comparison for JSON; differences are fractions of A's time."""
    return {
        "differences": differences(a, b),
        "times": [
            {
                "name": each.times.name,
                "a_s": list(each.times.a),
                "b_s": list(each.times.b),
                "verdict": str(each.verdict),
                "difference": each.difference,
                "low": each.low,
                "high": each.high,
                "level": each.level,
                "threshold": each.times.threshold,
                "words": each.words(),
            }
            for each in found
        ],
    }


def differences(a: Iterable[Record], b: Iterable[Record]) -> str:
    """Return in one line how machines, versions, and settings differ; empty if they do not."""
    ours, theirs = _describe(a), _describe(b)
    names = [name for name, values in ours.items() if theirs.get(name, values) != values]
    parts = [f"{name} {_either(ours[name])} in A, {_either(theirs[name])} in B" for name in names]
    line = f"Not the same: {'; '.join(parts)}." if parts else ""
    if {"host", "cores", "usable cores", "architecture"} & set(names):
        line += " Across machines, a comparison means little."
    busy = [side for side, records in (("A", a), ("B", b)) if any(map(_was_busy, records))]
    if busy:
        line += f" The computer was busy before {' and '.join(busy)}: measure on an idle one."
    return line.strip()


def _either(values: Iterable[str]) -> str:
    return " or ".join(sorted(values))


def _describe(records: Iterable[Record]) -> dict[str, set[str]]:
    """Return what can differ between runs, each with its values in all records."""
    found: dict[str, set[str]] = {}

    def add(name: str, value: Any) -> None:
        if value is not None:
            found.setdefault(name, set()).add(" ".join(str(value).split()))

    for record in records:
        machine = record.header.get("machine", {})
        for key in ("host", "cores", "usable_cores", "architecture", "system"):
            add(key.replace("_", " "), machine.get(key))
        for name, version in record.header.get("versions", {}).items():
            add(name, version)
        for name, version in record.environment.get("system_packages", {}).items():
            add(name, version)
        digest = record.environment.get("digest")
        add("environment", digest and digest[:15])
        for start in record.starts:
            for key in SETTINGS:
                add(f"{key.replace('_', ' ')} at {start.get('slots')} slots", start.get(key))
            for name, value in (start.get("settings") or {}).items():
                add(name, value)
    return found


def _was_busy(record: Record) -> bool:
    machine = record.header.get("machine", {})
    load, cores = machine.get("load_1min"), machine.get("usable_cores")
    return bool(load and cores and load > BUSY * cores)
