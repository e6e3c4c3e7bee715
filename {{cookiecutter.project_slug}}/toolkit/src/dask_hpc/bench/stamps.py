"""Find in the traces of a repeat what makes its numbers doubtful, though the tasks were right.

A clock that differs between computers, and a worker that was not there all the time: both show in
when tasks started and ended, by the workers' clocks. The repeat is kept, with a remark.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .validation import TaskTrace

# A task may seem to start before it was submitted, or to end after its result was there, by this:
# clocks of computers in a cluster agree to a few milliseconds.
CLOCK_TOLERANCE_S = 0.05
# All workers get their first task within a fraction of this, and their last one, too.
ABSENCE_S = 0.5
MAX_NAMED = 3


@dataclass(frozen=True)
class Findings:
    """What the traces show.

    Attributes
    ----------
    clock_skew_s : float
        By how much, at least, a clock differs from this computer's; negative if it is behind.
    late_s : float
        How long after the first worker the last one got its first task.
    remarks : list of str
        A line on each thing that makes numbers doubtful.
    """

    clock_skew_s: float = 0.0
    late_s: float = 0.0
    remarks: list[str] = field(default_factory=list)

    def columns(self) -> dict:
        """Return what a row says of it."""
        found: dict = {"clock_skew_s": self.clock_skew_s, "late_s": self.late_s}
        return found | ({"remarks": self.remarks} if self.remarks else {})


def examine(
    results: Sequence[tuple],
    began: float,
    ended: float,
    *,
    all_at_once: bool = True,
    one_by_one: bool = True,
) -> Findings:
    """Examine the traces of one repeat.

    Parameters
    ----------
    results : sequence of tuple
        The results of the tasks, at least one.
    began, ended : float
        When the tasks were submitted and when the last result was there, by this computer's clock,
        in seconds since 1970.
    all_at_once : bool
        Whether there are enough tasks, long enough, for each worker to get one at the beginning.
    one_by_one : bool
        Whether each task is handed out when a slot is free, so that none waits for long on one
        worker while another is idle.
    """
    tasks = [TaskTrace(*result) for result in results]
    skews = _clock_skews(tasks, began, ended)
    wrong = {host: skew for host, skew in skews.items() if abs(skew) > CLOCK_TOLERANCE_S}
    first: dict[tuple[str, int], float] = {}
    last: dict[tuple[str, int], float] = {}
    for task in tasks:
        if task.host not in wrong:
            worker = task.host, task.pid
            first[worker] = min(task.start, first.get(worker, task.start))
            last[worker] = max(task.end, last.get(worker, task.end))
    remarks = []
    if wrong:
        words = [
            f"{host}'s by {abs(skew):.2f} s or more {'ahead' if skew > 0 else 'behind'}"
            for host, skew in wrong.items()
        ]
        remarks.append(
            f"clocks differ from this computer's, {_listed(words)}: the makespan is right, but the "
            "times to the first result and for collecting results are not"
        )
    late_s = max(first.values()) - min(first.values()) if first else 0.0
    if all_at_once and first:
        begin = min(first.values())
        late = {worker: at - begin for worker, at in first.items() if at - begin > ABSENCE_S}
        if late:
            words = [f"{_name(worker)} {seconds:.2f} s" for worker, seconds in late.items()]
            remarks.append(
                f"{_workers(late)} joined late, {_listed(words)} after the first one (or the clock "
                "there is ahead): for that time, there were fewer slots than the row says"
            )
        longest = max(task.end - task.start for task in tasks)
        newest = max(task.start for task in tasks if task.host not in wrong)
        idle = {worker: newest - at for worker, at in last.items()}
        gone = {worker: at for worker, at in idle.items() if at > longest + ABSENCE_S}
        if gone and one_by_one:
            words = [f"{_name(worker)} {seconds:.2f} s" for worker, seconds in gone.items()]
            remarks.append(
                f"{_workers(gone)} had no task for the last part of the repeat, {_listed(words)} "
                "before the last task started: lost, or out of reach"
            )
    skew = max(skews.values(), key=abs, default=0.0)
    return Findings(skew, late_s, remarks)


def _clock_skews(tasks: Sequence[TaskTrace], began: float, ended: float) -> dict[str, float]:
    """Return by how much each computer's clock is ahead at least; negative if it is behind."""
    skews: dict[str, float] = {}
    for host in dict.fromkeys(task.host for task in tasks):
        own = [task for task in tasks if task.host == host]
        behind = max(0.0, began - min(task.start for task in own))
        ahead = max(0.0, max(task.end for task in own) - ended)
        skews[host] = -behind if behind > ahead else ahead
    return skews


def _workers(found: dict) -> str:
    return "a worker" if len(found) == 1 else f"{len(found)} workers"


def _name(worker: tuple[str, int]) -> str:
    return f"process {worker[1]} on {worker[0]}"


def _listed(words: Sequence[str]) -> str:
    more = len(words) - MAX_NAMED
    return ", ".join(words[:MAX_NAMED]) + (f", and {more} more" if more > 0 else "")
