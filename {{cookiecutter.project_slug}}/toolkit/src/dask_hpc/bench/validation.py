"""Checks of what the tasks report, so that a benchmark that measures the wrong thing fails.

The usual mistakes: the same call made 500 times, which is one task to Dask, with one result handed
out 500 times; a result remembered from an earlier repeat; work that ran on fewer slots than the
figure claims.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import DaskHPCError


class TaskTrace(NamedTuple):
    """What one task says about itself; times in seconds since 1970 by the worker's clock."""

    item: int
    host: str
    pid: int
    thread: int
    start: float
    end: float
    value: object

    @property
    def slot(self) -> tuple[str, int, int]:
        """The thread that ran it."""
        return self.host, self.pid, self.thread


class MeasurementError(DaskHPCError):
    """The measurement does not show what it claims to show; its numbers must not be used."""


@dataclass(frozen=True)
class TraceSummary:
    """What the traces of one repeat show.

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
    items: Iterable[int],
    slots: int,
    seconds: float,
    makespan_s: float,
    ideal_s: float,
) -> TraceSummary:
    """Check a repeat's traces against what the repeat claims.

    Parameters
    ----------
    results : sequence of tuple
        What the tasks returned.
    items : iterable of int
        What was handed out: no two items are alike, and none was in an earlier repeat.
    slots : int
        Slots that the repeat claims to have used.
    seconds : float
        How long a task takes at least.
    makespan_s, ideal_s : float
        Measured, and the least that is possible.

    Raises
    ------
    MeasurementError
        Items are missing, repeated or of an earlier repeat; tasks are shorter than they can be;
        the number of slots used is not the claimed one; or the makespan is below the ideal.
    """
    asked = set(items)
    done = [TaskTrace(*result) for result in results]
    distinct = {task.item for task in done}
    if len(done) != len(asked) or distinct != asked:
        right = len(distinct & asked)
        raise MeasurementError(
            f"{len(asked)} different tasks were handed out, but the {len(done)} results are of "
            f"{right} of them: the backend merges equal calls or remembers old results"
        )
    # Two results of one execution share slot and time; real ones can't overlap on a slot.
    latest: dict[tuple, TaskTrace] = {}
    for task in sorted(done, key=lambda task: task.start):
        before = latest.get(task.slot)
        if before is not None and task.start < before.end - 0.001:
            raise MeasurementError(
                f"tasks {before.item} and {task.item} overlap in one thread "
                f"({task.host}, process {task.pid}): they were not run one by one"
            )
        latest[task.slot] = task
    # A clock that is set during the task may be off a little; a task that never ran is off a lot.
    short = [task for task in done if task.end - task.start < 0.9 * seconds - 0.001]
    if short:
        raise MeasurementError(
            f"{len(short)} of {len(done)} tasks took less than the {seconds:g} s each of them needs"
        )
    summary = examine(results)
    if summary.slots_used > slots:
        raise MeasurementError(
            f"tasks ran on {summary.slots_used} slots, but only {slots} were asked for"
        )
    if summary.slots_used < slots:
        raise MeasurementError(
            f"only {summary.slots_used} of {slots} slots got a task: "
            "more tasks or longer ones reach them all"
        )
    if makespan_s < ideal_s:
        raise MeasurementError(
            f"{makespan_s:.3f} s is below the {ideal_s:g} s that {slots} slots need at least: "
            "the clock or the number of slots is wrong"
        )
    return summary
