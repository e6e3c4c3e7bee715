"""Check the traces that tasks return, so that a benchmark that measures the wrong thing fails.

Typical mistakes: 500 equal calls, which are a single task in Dask, with its result returned 500
times; cached results of an earlier repeat; tasks that ran on fewer slots than the figure claims.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import DaskHPCError


class TaskTrace(NamedTuple):
    """The trace of one task; times in seconds since 1970, by the worker's clock."""

    item: int | str
    host: str
    pid: int
    thread: int
    start: float
    end: float
    value: Any

    @property
    def slot(self) -> tuple[str, int, int]:
        """The thread that ran the task."""
        return self.host, self.pid, self.thread


class MeasurementError(DaskHPCError):
    """The measurement is not valid; its numbers must not be used."""


@dataclass(frozen=True)
class TraceSummary:
    """A summary of the traces of one repeat.

    Attributes
    ----------
    slots_used, hosts : int
        Distinct slots and computers on which tasks ran.
    first_end, last_end : float
        When the first and the last task ended, seconds since 1970.
    """

    slots_used: int
    hosts: int
    first_end: float
    last_end: float


def examine(results: Sequence[tuple]) -> TraceSummary:
    """Count slots and computers in the tasks' traces."""
    traces = [TaskTrace(*result) for result in results]
    return TraceSummary(
        slots_used=len({task.slot for task in traces}),
        hosts=len({task.host for task in traces}),
        first_end=min(task.end for task in traces),
        last_end=max(task.end for task in traces),
    )


def check(
    results: Sequence[tuple],
    items: Iterable[int | str],
    slots: int,
    seconds: float,
    makespan_s: float,
    ideal_s: float,
    all_slots: bool = True,
) -> TraceSummary:
    """Check that the traces of a repeat agree with its numbers.

    Parameters
    ----------
    results : sequence of tuple
        The results of the tasks.
    items : iterable of int or str
        The items that were submitted: all different, and none from an earlier repeat.
    slots : int
        Number of slots that the repeat should have used.
    seconds : float
        Minimum length of a task.
    makespan_s, ideal_s : float
        The measured time, and the shortest possible one.
    all_slots : bool
        Whether each slot has to get a task.

    Raises
    ------
    MeasurementError
        Items are missing, duplicated, or from an earlier repeat; tasks are too short; the number of
        slots used is wrong; or the makespan is below the ideal.
    """
    asked = set(items)
    done = [TaskTrace(*result) for result in results]
    distinct = {task.item for task in done}
    if len(done) != len(asked) or distinct != asked:
        right = len(distinct & asked)
        raise MeasurementError(
            f"{len(asked)} different tasks were submitted, but the {len(done)} results are from "
            f"{right} of them: the backend merges equal calls or reuses old results"
        )
    # Duplicate results of one execution share slot and time; real ones cannot overlap on a slot.
    latest: dict[tuple, TaskTrace] = {}
    for task in sorted(done, key=lambda task: task.start):
        before = latest.get(task.slot)
        if before is not None and task.start < before.end - 0.001:
            raise MeasurementError(
                f"tasks {before.item} and {task.item} overlap in one thread "
                f"({task.host}, process {task.pid}): they were not executed separately"
            )
        latest[task.slot] = task
    # Allow for a clock that was adjusted during the task; a task that never ran is far shorter.
    short = [task for task in done if task.end - task.start < 0.9 * seconds - 0.001]
    if short:
        raise MeasurementError(
            f"{len(short)} of {len(done)} tasks took less than the {seconds:g} s that each needs"
        )
    summary = examine(results)
    if summary.slots_used > slots:
        raise MeasurementError(
            f"tasks ran on {summary.slots_used} slots, but only {slots} were requested"
        )
    if all_slots and summary.slots_used < slots:
        raise MeasurementError(
            f"only {summary.slots_used} of {slots} slots got a task: "
            "use more or longer tasks to reach all of them"
        )
    if makespan_s < ideal_s:
        raise MeasurementError(
            f"{makespan_s:.3f} s is below the minimum of {ideal_s:g} s on {slots} slots: "
            "the clock or the number of slots is wrong"
        )
    return summary
