"""Draw which task ran on which slot and when, and say what the slots waited for."""

import statistics
from collections.abc import Iterable
from itertools import groupby, pairwise

from .figures import BLUE, GRAY, INK, ORANGE, SKY
from .record import Record

# Lines between workers are drawn, and their computers named, up to so many.
MAX_WORKERS = 16


def newest(records: Iterable[Record]) -> dict | None:
    """Return the trace of the newest record that has one, with the record's file."""
    found = [(record, trace) for record in records for trace in record.traces]
    return {**found[-1][1], "file": found[-1][0].path.name} if found else None


def height(trace: dict) -> float:
    """Return how high the figure should be, in inches, for its slots to be told apart."""
    return 1.2 + min(7.0, max(1.2, 0.05 * len(trace["slot_workers"])))


def panel(axes, trace: dict) -> None:
    """Draw each task as a bar: a row for each slot, the shade by the task's turn on its slot."""
    by_turn: dict[int, list[tuple[int, float, float]]] = {}
    for tasks in _by_slot(trace).values():
        for turn, task in enumerate(tasks):
            by_turn.setdefault(turn % 2, []).append(task)
    for turn, tasks in sorted(by_turn.items()):
        slots, starts, ends = zip(*tasks, strict=True)
        widths = [end - start for start, end in zip(starts, ends, strict=True)]
        label = "a slot's first, third, … task" if turn == 0 else "its second, fourth, … task"
        color = SKY if turn else BLUE
        axes.barh(slots, widths, left=starts, height=0.8, color=color, lw=0, label=label)
    workers = trace["slot_workers"]
    if len(set(workers)) <= MAX_WORKERS:
        for slot, (one, other) in enumerate(pairwise(workers)):
            if one != other:
                axes.axhline(slot + 0.5, color=GRAY, lw=0.6)
        axes.set_yticks(*_names(trace))
        axes.tick_params(axis="y", length=0)
    end = trace["makespan_s"]
    axes.axvline(trace["ideal_s"], color=ORANGE, lw=1.4, label=f"ideal: {trace['ideal_s']:.4g} s")
    axes.axvline(end, color=INK, lw=1.2, ls="--", label=f"all results are back: {end:.2f} s")
    axes.set(xlim=(0, 1.02 * end), ylim=(len(workers) - 0.4, -0.6))
    axes.set(xlabel="seconds since the map began", ylabel="slots, by worker")
    axes.figure.legend(loc="outside lower center", ncols=2)


def words(trace: dict) -> str:
    """Return what the trace shows: how long slots waited, and for what."""
    slots = _by_slot(trace)
    first = [tasks[0][1] for tasks in slots.values()]
    gaps = [later[1] - before[2] for tasks in slots.values() for before, later in pairwise(tasks)]
    last = max(tasks[-1][2] for tasks in slots.values())
    text = (
        f"Repeat {trace.get('repeat', 1)} of {trace['tasks']} tasks on {trace['slots']} slots. "
        f"The first task begins after {1000 * min(first):.0f} ms, and all slots have one after "
        f"{1000 * max(first):.0f} ms. "
    )
    if gaps:
        text += (
            f"Between two tasks a slot waits for {1000 * statistics.median(gaps):.0f} ms (median; "
            f"at most {1000 * max(gaps):.0f} ms). "
        )
    tail = max(0.0, trace["makespan_s"] - last)
    return f"{text}The last result is back {1000 * tail:.0f} ms after the last task has ended."


def _by_slot(trace: dict) -> dict[int, list[tuple[int, float, float]]]:
    """Return the tasks of each slot, in order: slot, start, and end, in seconds."""
    columns = zip(trace["task_slots"], trace["starts_ms"], trace["ends_ms"], strict=True)
    found: dict[int, list[tuple[int, float, float]]] = {}
    for slot, start, end in sorted(columns):
        found.setdefault(slot, []).append((slot, start / 1000, end / 1000))
    return found


def _names(trace: dict) -> tuple[list[float], list[str]]:
    """Return where the names of workers go, and the names: their computers, if known."""
    positions, names = [], []
    hosts = trace.get("slot_hosts") or [""] * len(trace["slot_workers"])
    for worker, group in groupby(enumerate(trace["slot_workers"]), key=lambda pair: pair[1]):
        slots = [slot for slot, _ in group]
        positions.append(statistics.fmean(slots))
        names.append(f"{hosts[slots[0]] or f'worker {worker + 1}'}: {len(slots)}")
    return positions, names
