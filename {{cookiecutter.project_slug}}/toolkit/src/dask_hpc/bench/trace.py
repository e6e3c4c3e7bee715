"""Which task ran on which slot, and when: one repeat of a record, for a Gantt chart."""

from collections.abc import Iterable, Sequence
from typing import Any

from .points import Point
from .validation import TaskTrace

# More tasks than this are not readable in a figure, and would be most of a record.
MAX_TASKS = 1500


def chosen(points: Iterable[Point]) -> Point | None:
    """Return the point of which a repeat is kept: the one with the most slots and longest tasks."""
    fitting = [point for point in points if point.tasks <= MAX_TASKS and point.seconds]
    return max(fitting, key=lambda point: (point.slots, point.seconds), default=None)


def columns(results: Sequence[tuple], begin: float) -> dict[str, Any]:
    """Return what a record keeps of the traces of a repeat.

    Parameters
    ----------
    results : sequence of tuple
        Traces as tasks return them (`dask_hpc.bench.tasks`).
    begin : float
        When the repeat began, in seconds since 1970.

    Returns
    -------
    dict
        ``slot_hosts`` and ``slot_workers``, of each slot its computer and the number of its
        process; and of each task, in the order of their starts, ``task_slots``, ``starts_ms``, and
        ``ends_ms``. Times count from `begin`, by the workers' clocks.
    """
    tasks = sorted((TaskTrace(*result) for result in results), key=lambda task: task.start)
    slots = sorted({task.slot for task in tasks})
    slot_numbers = {slot: number for number, slot in enumerate(slots)}
    processes = list(dict.fromkeys((host, pid) for host, pid, _ in slots))
    return {
        "slot_hosts": [host for host, _, _ in slots],
        "slot_workers": [processes.index((host, pid)) for host, pid, _ in slots],
        "task_slots": [slot_numbers[task.slot] for task in tasks],
        "starts_ms": [round(1000 * (task.start - begin), 1) for task in tasks],
        "ends_ms": [round(1000 * (task.end - begin), 1) for task in tasks],
    }
