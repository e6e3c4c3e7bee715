"""The metrics of a benchmark, as pure functions of counts and seconds.

K tasks of s seconds each on N slots (a slot is one worker thread: it runs one task at a time). The
tasks run in waves; the last wave may leave slots idle, but it takes as long as the others.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


def waves(tasks: int, slots: int) -> int:
    """Return the number of waves that `tasks` tasks on `slots` slots need: ⌈K/N⌉."""
    return -(-tasks // slots)


def ideal_s(tasks: int, seconds: float, slots: int) -> float:
    """Return the shortest possible makespan of equal tasks, in seconds: ⌈K/N⌉·s."""
    return waves(tasks, slots) * seconds


def speedup_bound(tasks: int, slots: int) -> float:
    """Return the largest possible speedup of equal tasks: K/⌈K/N⌉, a staircase below y = N."""
    return tasks / waves(tasks, slots)


def uneven_ideal_s(lengths: Sequence[float], slots: int) -> float:
    """Return a lower bound of the makespan of unequal tasks, in seconds: max(longest, Σ/N)."""
    return max(*lengths, sum(lengths) / slots)


def of_makespan(total_s: float, ideal_s: float, makespan_s: float) -> dict[str, Any]:
    """Return what a row of the record says of one makespan.

    The speedup is over the serial loop, which takes `total_s`, the sum of the tasks' lengths, by
    construction. The efficiency is the share of the ideal that was reached, where 1 is perfect;
    unlike speedup/N, it does not blame the scheduler for slots that the last wave leaves idle.
    """
    return {
        "makespan_s": makespan_s,
        "ideal_s": ideal_s,
        "overhead_s": makespan_s - ideal_s,
        "efficiency": ideal_s / makespan_s,
        "speedup": total_s / makespan_s,
        "speedup_bound": total_s / ideal_s if ideal_s else 0.0,
    }


def metg(points: Iterable[tuple[float, float]], threshold: float = 0.5) -> float | None:
    """Return METG, the minimum effective task granularity (Task Bench, Slaughter et al., SC20).

    It is the shortest length of tasks whose efficiency reaches the threshold, as that of all longer
    ones does; between two measured lengths, efficiency is linear in the logarithm of the length.

    Parameters
    ----------
    points : iterable of pairs
        Lengths of tasks, and their efficiency.

    Returns
    -------
    float or None
        The shortest measured length if all reach the threshold; None if the longest does not.
    """
    found = None
    for length, value in sorted(points, reverse=True):
        if value >= threshold:
            found = length, value
            continue
        if found is None:
            return None
        share = (found[1] - threshold) / (found[1] - value)
        return found[0] * (length / found[0]) ** share
    return found and found[0]


@dataclass(frozen=True)
class Summary:
    """The median of n repeats and their range.

    Attributes
    ----------
    values : sequence of float
        Of each repeat, ascending.
    median, low, high : float
        Median, smallest and largest value.
    n : int
        Number of repeats.
    """

    values: Sequence[float]
    median: float
    low: float
    high: float

    @property
    def n(self) -> int:
        return len(self.values)


def summary(values: Iterable[float]) -> Summary:
    """Return the median and the range of at least one value.

    Raises
    ------
    ValueError
        There is no value.
    """
    values = sorted(values)
    return Summary(values, statistics.median(values), values[0], values[-1])
