"""Fit laws of scaling to measured times: Amdahl's law, and the universal scalability law.

What is fitted is the measured time over the ideal one, which has no staircase, against the number
of slots N; the serial loop, which takes the ideal time by construction, is N = 1:

* Amdahl's law, 1 + a·(N - 1): a is the serial share: the speedup is never more than 1/a.
* The universal scalability law (Gunther, 1993), 1 + a·(N - 1) + b·N·(N - 1): b is what each pair of
  slots costs: beyond its knee, sqrt((1 - a)/b) slots, the same work takes longer again.

The medians count, one for each number of slots, since repeats say nothing about whether a law fits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Numbers of slots that a fit needs: four more than it has parameters.
MIN_POINTS, MIN_POINTS_KNEE = 5, 6
MIN_SPAN = 4.0  # the largest number of slots over the smallest
LEVEL = 0.95
# A knee or a limit beyond so many times the largest number of slots is not taken for visible.
MAX_EXTRAPOLATION = 2.0
LAW, KNEE = "Amdahl's law", "the universal scalability law"


@dataclass(frozen=True)
class Interval:
    """A fitted number with its interval, which has a level of `LEVEL`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """A law that fits.

    Attributes
    ----------
    most : int
        The largest measured number of slots.
    serial, pairs : Interval
        `a` and `b`; `pairs` is zero in Amdahl's law.
    """

    most: int
    serial: Interval
    pairs: Interval

    @property
    def name(self) -> str:
        return KNEE if self.pairs.low > 0 else LAW

    def efficiency(self, slots: float) -> float:
        """Return the share of the ideal by this law."""
        loss = self.serial.value * (slots - 1) + self.pairs.value * slots * (slots - 1)
        return 1 / (1 + loss)

    def knee(self) -> Interval | None:
        """Return the number of slots from which on more of them cost time; None without one."""
        if self.pairs.low <= 0:
            return None
        # `a` is far below 1, so its own interval does not matter to that of the knee.
        ends = (math.sqrt(max(0.0, 1 - self.serial.value) / end) for end in _ends(self.pairs))
        return Interval(*ends)

    def limit(self) -> Interval | None:
        """Return the largest speedup by Amdahl's law; None if no serial share is visible."""
        if self.pairs.low > 0 or self.serial.low <= 0:
            return None
        return Interval(*(1 / end for end in _ends(self.serial)))


def _ends(interval: Interval) -> tuple[float, float, float]:
    """Return value, high, and low, the order in which an inverse has value, low, and high."""
    return interval.value, interval.high, interval.low


def problem(points: Sequence[tuple[int, float]]) -> str:
    """Return in words why no law can be fitted to these points, or nothing."""
    numbers = sorted({slots for slots, _ in points if slots > 1})
    if len(numbers) < MIN_POINTS:
        return (
            f"no law of scaling is fitted to {len(numbers)} "
            f"{'number' if len(numbers) == 1 else 'numbers'} of slots: measure {MIN_POINTS} of "
            f"them, or {MIN_POINTS_KNEE} to see a knee"
        )
    if numbers[-1] < MIN_SPAN * numbers[0]:
        return (
            f"no law of scaling is fitted to {numbers[0]} to {numbers[-1]} slots: the largest "
            f"number has to be {MIN_SPAN:g} times the smallest"
        )
    try:
        import scipy.optimize  # noqa: F401
    except ImportError:
        return 'no law of scaling is fitted, which needs scipy: pip install "scipy>=1.13"'
    return ""


def fit(points: Sequence[tuple[int, float]]) -> Fit | None:
    """Fit a law to numbers of slots and their efficiencies; None if `problem` says why not.

    The universal scalability law is taken if its `b` is larger than 0 beyond doubt.
    """
    if problem(points):
        return None
    points = [(slots, efficiency) for slots, efficiency in sorted(points) if slots > 1]
    most = points[-1][0]
    zero = Interval(0.0, 0.0, 0.0)
    if len(points) >= MIN_POINTS_KNEE:
        serial, pairs = _parameters(points, 2)
        if pairs.low > 0:
            return Fit(most, serial, pairs)
    return Fit(most, _parameters(points, 1)[0], zero)


def _parameters(points: Sequence[tuple[int, float]], number: int) -> list[Interval]:
    """Return `a`, or `a` and `b`, with their intervals."""
    import numpy as np
    from scipy.optimize import curve_fit
    from scipy.stats import t

    slots = np.array([float(slots) for slots, _ in points])
    ratios = np.array([1 / efficiency for _, efficiency in points])
    # As shares of the time on most slots, so that both parameters are numbers of the same size.
    units = np.array([slots[-1] - 1, slots[-1] * (slots[-1] - 1)])[:number]

    def law(slots, *shares):
        terms = (slots - 1, slots * (slots - 1))
        return 1 + sum(a * term / unit for a, term, unit in zip(shares, terms, units, strict=False))

    # Errors are shares of a time, whatever its length.
    found, covariance = curve_fit(law, slots, ratios, p0=[0.1] * number, sigma=ratios)
    factor = t.ppf((1 + LEVEL) / 2, len(points) - number)
    errors = factor * np.sqrt(np.diag(covariance))
    return [
        Interval(*(float(value) / unit for value in (share, share - error, share + error)))
        for share, error, unit in zip(found, errors, units, strict=True)
    ]


def words(points: Sequence[tuple[int, float]]) -> str:
    """Return what a fit says, and how far it holds, in whole sentences."""
    if why := problem(points):
        return f"{why[0].upper()}{why[1:]}."
    found = fit(points)
    assert found is not None
    most, count = found.most, len({slots for slots, _ in points if slots > 1})
    where = f"{found.name} fitted to the medians of {count} numbers of slots"
    if knee := found.knee():
        if knee.high <= MAX_EXTRAPOLATION * most:
            return (
                f"The knee is at {_range(knee, ' slots')}, by {where}: beyond it, more slots make "
                "the same work slower."
            )
        return (
            f"No knee is visible up to {most} slots: the one of {where}, {_range(knee, ' slots')}, "
            "is too far beyond what was measured to be known."
        )
    none = f"No knee is visible up to {most} slots"
    if count < MIN_POINTS_KNEE:
        none = f"Whether there is a knee cannot be said from {count} numbers of slots"
    if (limit := found.limit()) is None:
        return f"{none}, and no serial share: what is lost does not grow with slots ({where})."
    value, low, high = (f"{100 * share:.3g}" for share in _values(found.serial))
    share = f"{value} % ({low} to {high} %)"
    text = f"{none}. By {where}, {share} of the work is serial"
    if limit.high <= MAX_EXTRAPOLATION * most:
        return f"{text}, so no number of slots is more than {_range(limit, ' times')} faster."
    return (
        f"{text}. The largest speedup would be {_range(limit)}, but nothing is known about so many "
        "slots."
    )


def _range(interval: Interval, unit: str = "") -> str:
    value, low, high = (f"{float(f'{x:.3g}'):,.0f}" for x in _values(interval))
    return f"{value}{unit} ({100 * LEVEL:.0f} % interval {low} to {high})"


def _values(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
