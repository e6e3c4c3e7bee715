"""What will be measured: points, their order, and about how long it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DaskHPCError
from . import metrics
from .workloads import WORKLOADS, Workload

# Seconds that a start of workers, their warm-up and their end take, for the forecast only.
START_ALLOWANCE_S = 4.0
# Share of the ideal that the measuring itself takes on top, for the forecast only.
OVERHEAD_ALLOWANCE = 0.05


class PlanError(DaskHPCError):
    """Numbers that can't be measured. One line: which, and what would work."""


@dataclass(frozen=True)
class Session:
    """Workers are started once with `slots` slots, and `repeats` repeats measured on them."""

    slots: int
    repeats: int


@dataclass(frozen=True)
class Plan:
    """A workload with its numbers, checked.

    Attributes
    ----------
    workload : Workload
    tasks : int
        K, tasks a repeat.
    seconds : float
        s, how long a task takes.
    slots, repeats : tuple of int
        The points, ascending, and how often each is measured; of equal length.
    """

    workload: Workload
    tasks: int
    seconds: float
    slots: tuple[int, ...]
    repeats: tuple[int, ...]

    def sessions(self) -> list[Session]:
        """Return the sessions in order: down from the most slots and up, half the repeats each way.

        If the machine is slower for some minutes, it then slows more than one point; and if it is
        slower at the end than at the start, this shows as a spread of a point's repeats, not as a
        slope of the curve. The first start, which is timed from the command on, is the largest.
        The turning point, the fewest slots, has one session.
        """
        points = list(zip(self.slots, self.repeats, strict=True))
        up = [Session(slots, repeats // 2) for slots, repeats in points[1:]]
        down = [Session(slots, repeats - repeats // 2) for slots, repeats in reversed(points[1:])]
        order = [*down, Session(*points[0]), *up]
        return [session for session in order if session.repeats]

    def measuring_s(self) -> float:
        """Return the seconds of pure task time: the sum of the ideals."""
        return sum(
            repeats * metrics.ideal_s(self.tasks, self.seconds, slots)
            for slots, repeats in zip(self.slots, self.repeats, strict=True)
        )

    def forecast_s(self) -> float:
        """Return about how long the run takes, in seconds, without waiting in a queue."""
        return self.measuring_s() * (1 + OVERHEAD_ALLOWANCE) + START_ALLOWANCE_S * len(
            self.sessions()
        )


def make(
    name: str,
    tasks: int = 500,
    seconds: float = 1.0,
    slots: Sequence[int] | None = None,
    repeats: Sequence[int] | None = None,
) -> Plan:
    """Check whether the numbers, all of them positive, go together, and make a plan of them.

    Parameters
    ----------
    name : str
        A workload of `WORKLOADS` that runs on slots.
    tasks : int
        Tasks a repeat; at least as many as the most slots, so that every slot gets one.
    seconds : float
        How long a task takes, above 0.
    slots : sequence of int, optional
        Points; the workload's own if not given.
    repeats : sequence of int, optional
        One number for all points, or one each. Not given: the workload's own where the point is one
        of its own, otherwise 3.

    Raises
    ------
    PlanError
        The numbers can't be measured together.
    """
    workload = WORKLOADS[name]
    usual = dict(zip(workload.slots, workload.repeats, strict=True))
    chosen = tuple(slots) if slots else workload.slots
    if not repeats:
        counts = tuple(usual.get(n, 3) for n in chosen)
    elif len(repeats) == 1:
        counts = tuple(repeats) * len(chosen)
    elif len(repeats) == len(chosen):
        counts = tuple(repeats)
    else:
        raise PlanError(
            f"--repeats has {len(repeats)} numbers for {len(chosen)} points: "
            "give one for all points, or one for each number in --slots"
        )
    if len(set(chosen)) < len(chosen):
        raise PlanError("--slots names a number twice: use --repeats to measure a point more often")
    if tasks < max(chosen):
        raise PlanError(
            f"{tasks} tasks can't use {max(chosen)} slots: "
            f"give --tasks {max(chosen)} or more, or fewer --slots"
        )
    ordered = sorted(zip(chosen, counts, strict=True))
    return Plan(
        workload,
        tasks,
        float(seconds),
        tuple(n for n, _ in ordered),
        tuple(count for _, count in ordered),
    )


@dataclass(frozen=True)
class JobLayout:
    """How slots are made of jobs (or processes, on one computer), all alike.

    Attributes
    ----------
    jobs : int
        Jobs, each with one worker process.
    threads : int
        Threads of each worker.
    """

    jobs: int
    threads: int


def layout(slots: int, job_cores: int) -> JobLayout:
    """Return the fewest equal jobs of at most `job_cores` cores that have `slots` slots in all.

    Examples
    --------
    >>> layout(100, 30)
    JobLayout(jobs=4, threads=25)
    """
    jobs = -(-slots // job_cores)
    while slots % jobs:
        jobs += 1
    return JobLayout(jobs, slots // jobs)
