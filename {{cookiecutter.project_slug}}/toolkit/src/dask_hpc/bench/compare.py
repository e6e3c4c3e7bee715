"""Compare the times of two runs, and tell differences from noise.

Two conditions make a difference: it must be unlikely to come from the spread of the repeats, and
large enough to matter, since the same code on the same machine is never equally fast twice.
docs/explanation/benchmarks.md says how often this errs, and how that was measured.
"""

import statistics
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from .._output.formatting import format_count
from ..errors import DaskHPCError
from . import identity, metrics
from .record import PHASES, Record, read_all, read_folder

# Confidence level of the intervals: of those of all makespans together, and of all times of starts.
LEVEL = 0.99
# Left out at both ends, so that one disturbed repeat of eight or more does not hide a difference.
TRIMMED = 1 / 8
# The smallest difference of makespans that matters, as a fraction; and for each wave, that is for
# each task that a slot runs, in seconds. Tasks may be so short that only the fraction makes sense.
MIN_DIFFERENCE, MIN_WAVE_S, MAX_THRESHOLD = 0.01, 0.010, 0.20
# The same for starts, whose times spread far more.
MIN_START_DIFFERENCE, MIN_START_S = 0.10, 0.5
MAX_SLOWDOWN = 10.0  # as far as intervals reach
MIN_REPEATS, ADVISED_REPEATS = 2, 5
START_PHASES = tuple(PHASES)[: list(PHASES).index("all_workers") + 1]


class CompareError(DaskHPCError):
    """Two runs cannot be compared."""


class Verdict(StrEnum):
    """What the comparison of two sets of times shows."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "no difference"
    UNKNOWN = "not enough repeats"


class Times(NamedTuple):
    """The times of one point or start in both runs, in seconds.

    With `matched`, the n-th times of both belong together, as those of starts of equally many
    workers; otherwise, all are of the same kind. With `as_speeds`, their inverses are compared:
    noise adds time, and this way a repeat that took very long does not hide a difference.
    """

    name: str
    a: Sequence[float]
    b: Sequence[float]
    threshold: float  # as a fraction of A's time
    noun: str = "repeat"
    matched: bool = False
    as_speeds: bool = False


@dataclass(frozen=True)
class Comparison:
    """What two sets of times show.

    Attributes
    ----------
    times : Times
    verdict : Verdict
    difference : float or None
        By how much B is slower, as a fraction of A; None if there are not enough repeats.
    low, high : float or None
        The interval of the difference.
    level : float or None
        The confidence level of the interval.
    """

    times: Times
    verdict: Verdict
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None

    @property
    def is_difference(self) -> bool:
        """Whether there is a difference beyond noise."""
        return self.verdict in (Verdict.SLOWER, Verdict.FASTER)

    def words(self) -> str:
        """Return the verdict in plain English."""
        if self.difference is None or self.low is None or self.high is None:
            return f"{_counts(self.times, each=True)}: measure at least {ADVISED_REPEATS}"
        # Adding zero turns -0.0 into 0.0.
        change, low, high = (
            round(100 * value, 1) + 0.0 for value in (self.difference, self.low, self.high)
        )
        if self.verdict is Verdict.SLOWER:
            return f"slower by {change:.1f} % ({low:.1f} to {high:.1f} %): not noise"
        if self.verdict is Verdict.FASTER:
            return f"faster by {-change:.1f} % ({-high:.1f} to {-low:.1f} %): not noise"
        interval = f"({change:+.1f} %, {low:.1f} to {high:.1f} %)"
        if self.low > 0 or self.high < 0:
            return f"no difference that matters {interval}"
        return f"no difference that {_counts(self.times)} can show {interval}"


def load(path: Path) -> list[Record]:
    """Read a record, or all records in a folder.

    Raises
    ------
    RecordError, CompareError
        There is no record, or none with a measurement.
    """
    records = read_folder(path) if path.is_dir() else read_all(path)
    if not any(record.measured for record in records):
        raise CompareError(f"{path} has no measurement: all its runs failed")
    return records


def compare(a: Sequence[Record], b: Sequence[Record]) -> list[Comparison]:
    """Compare each point that both runs have, and the times to start workers.

    Raises
    ------
    CompareError
        A record is in both, or there is no point that both have.
    """
    both = {record.path.resolve() for record in a} & {record.path.resolve() for record in b}
    if both:
        raise CompareError(f"{min(both)} is on both sides: compare two different runs")
    results = identity.results_among([*a, *b])
    ours, theirs = identity.points(a, results), identity.points(b, results)
    pairs = identity.pairs(ours, theirs)
    if not pairs:
        raise CompareError(
            f"no point is in both: A has {_several(ours)}, and B has {_several(theirs)}"
        )
    varying = _varying([point for pair in pairs for point in pair])
    found = judge_all([_makespans(mine, other, varying) for mine, other in pairs])
    return found + _judge_starts(*_starts(a, b))


def judge_all(times: Sequence[Times]) -> list[Comparison]:
    """Return what several sets of times show, corrected for their number."""
    decided = sum(_are_enough(each) for each in times)
    return [judge(each, decided) for each in times]


def _judge_starts(whole: Times | None = None, *phases: Times) -> list[Comparison]:
    """Return what whole starts show, and the phases that have changed.

    The phases together have as much of the probability to err as the whole.
    """
    if whole is None:
        return []
    if len(phases) == 1:
        return [judge(whole)]
    judged = [judge(phase, 2 * len(phases)) for phase in phases]
    return [judge(whole, 2), *(phase for phase in judged if phase.is_difference)]


def judge(times: Times, comparisons: int = 1) -> Comparison:
    """Return what two sets of times show, if it is one of so many comparisons."""
    if not _are_enough(times):
        return Comparison(times, Verdict.UNKNOWN)
    level = 1 - (1 - LEVEL) / comparisons
    difference, low, high = _interval(times, level)
    verdict = Verdict.SAME
    if low > 0 and difference >= times.threshold:
        verdict = Verdict.SLOWER
    elif high < 0 and -difference >= times.threshold:
        verdict = Verdict.FASTER
    return Comparison(times, verdict, difference, low, high, level)


def _interval(times: Times, level: float) -> tuple[float, float, float]:
    """Return the difference of the means with its interval, as fractions of A's mean."""
    import numpy as np
    from scipy import stats

    a, b = np.array(times.a), np.array(times.b)
    if times.as_speeds:
        a, b = 1 / a, 1 / b
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # times that are all the same are as good as any
        if times.matched:
            base, change = a.mean(), (b - a).mean()
            test = stats.ttest_1samp(b - a, 0)
        else:
            base = stats.trim_mean(a, TRIMMED)
            change = stats.trim_mean(b, TRIMMED) - base
            test = stats.ttest_ind(b, a, trim=TRIMMED)
        interval = test.confidence_interval(level)
    found = [float(value / base) for value in (change, interval.low, interval.high)]
    if times.as_speeds:
        # Back to times: half the speed is twice the time. An interval may reach a speed of zero.
        change, high, low = (1 / max(1 + value, 1 / MAX_SLOWDOWN) - 1 for value in found)
        return change, low, high
    return found[0], found[1], found[2]


def _are_enough(times: Times) -> bool:
    return min(len(times.a), len(times.b)) >= MIN_REPEATS


def _counts(times: Times, each: bool = False) -> str:
    """Return how many times both have, in words."""
    a, b = len(times.a), len(times.b)
    if not each:
        numbers = str(a) if a == b else f"{a} and {b}"
        return f"{numbers} {times.noun}s"
    where = "each" if a == b else "in A" if a < b else "in B"
    return f"{format_count(min(a, b), times.noun)} {where}"


def _makespans(a: identity.Point, b: identity.Point, varying: Sequence[str]) -> Times:
    mean = statistics.fmean(a.makespans)
    tasks, slots = a.settings.get("tasks"), a.settings.get("slots")
    if not tasks:  # of the workload cold-start
        threshold = max(MIN_START_DIFFERENCE, MIN_START_S / mean)
        name = _name({**b.settings, **a.settings}, varying)
        return Times(name, a.makespans, b.makespans, threshold)
    waves = metrics.waves(tasks, slots) if slots else 1
    threshold = max(MIN_DIFFERENCE, min(MAX_THRESHOLD, MIN_WAVE_S * waves / mean))
    theirs = [makespan * a.rounds / b.rounds for makespan in b.makespans]
    name = _name({**b.settings, **a.settings}, varying)
    return Times(name, a.makespans, theirs, threshold, as_speeds=True)


def _starts(a: Iterable[Record], b: Iterable[Record]) -> list[Times]:
    """Return the times of starts until all workers are connected, whole and by phase.

    If there are starts of several kinds, each is matched with one of its own kind.
    """
    ours, theirs = _starts_by_kind(a), _starts_by_kind(b)
    kinds = [kind for kind in ours if kind in theirs]
    several = len(kinds) > 1
    mine: list[dict] = []
    others: list[dict] = []
    for kind in kinds:
        most = min(len(ours[kind]), len(theirs[kind])) if several else None
        mine += ours[kind][:most]
        others += theirs[kind][:most]
    if not kinds:
        return []
    base = statistics.fmean(map(_whole_start, mine))
    slots = sorted({kind[1] for kind in kinds})
    words = f"{slots[0]} slots" if len(slots) == 1 else f"{slots[0]} to {slots[-1]} slots"
    whole = Times(
        f"start of {words}: until all workers are connected",
        [_whole_start(phases) for phases in mine],
        [_whole_start(phases) for phases in others],
        max(MIN_START_DIFFERENCE, MIN_START_S / base),
        "start",
        matched=several,
    )
    return [whole, *(each for name in START_PHASES if (each := _phase(name, mine, others, whole)))]


def _phase(name: str, mine: list[dict], others: list[dict], whole: Times) -> Times | None:
    """Return the times of a phase, if it is part of the starts."""
    if whole.matched:
        found = [
            (a[name], b[name]) for a, b in zip(mine, others, strict=True) if name in a and name in b
        ]
        a, b = [pair[0] for pair in found], [pair[1] for pair in found]
    else:
        a, b = ([phases[name] for phases in side if name in phases] for side in (mine, others))
    if not a or not b or not any(a):
        return None
    threshold = max(MIN_START_DIFFERENCE, MIN_START_S / statistics.fmean(a))
    return whole._replace(name=f"of that: {PHASES[name]}", a=a, b=b, threshold=threshold)


def _whole_start(phases: dict) -> float:
    return sum(phases.get(name, 0.0) for name in START_PHASES)


def _starts_by_kind(records: Iterable[Record]) -> dict[tuple, list[dict]]:
    """Return the phases of starts, by backend, slots, and what else makes them differ.

    The first start of a command includes loading Dask.
    """
    found: dict[tuple, list[dict]] = defaultdict(list)
    for record in records:
        for start in record.starts:
            if "all_workers" in start.get("phases", {}):
                kind = start.get("backend"), start["slots"], bool(start.get("first_of_command"))
                found[kind].append(start["phases"])
        for row in record.measured:
            if "all_workers" in row.get("phases", {}):  # of the workload cold-start
                found[row.get("backend"), row["slots"], row.get("how")].append(row["phases"])
    return found


def _varying(points: Sequence[identity.Point]) -> list[str]:
    """Return the keys that tell points apart, beyond those that are always named."""
    keys = {key for point in points for key in point.settings}
    named = {"workload", "slots", "tasks", "seconds"}
    return sorted(k for k in keys - named if len({p.settings.get(k) for p in points}) > 1)


def _name(settings: Mapping[str, Any], varying: Sequence[str] = ()) -> str:
    """Return a point in words, such as "sleep: 500 tasks of 1 s on 120 slots"."""
    words = f"{settings['workload']}:"
    if "tasks" in settings:
        words += f" {settings['tasks']:,} tasks"
    if "seconds" in settings:
        words += f" of {settings['seconds']:g} s"
    if "slots" in settings:
        words += f" on {settings['slots']} slots"
    return ", ".join([words, *(f"{key} {settings[key]}" for key in varying if key in settings)])


def _several(points: Sequence[identity.Point]) -> str:
    names = [_name(point.settings, _varying(points)) for point in points]
    return "; ".join(names[:2]) + (f"; and {len(names) - 2} more" if len(names) > 2 else "")
