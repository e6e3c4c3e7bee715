"""Plan a measurement: its points, their order, and its approximate duration."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DaskHPCError
from . import metrics
from .workloads import WORKLOADS, Workload

# Time to start, warm up, and end workers; only for the forecast.
START_ALLOWANCE_S = 4.0
# Overhead as a fraction of the ideal; only for the forecast.
OVERHEAD_ALLOWANCE = 0.05


class PlanError(DaskHPCError):
    """The numbers of a plan do not fit together."""


@dataclass(frozen=True)
class Session:
    """One start of workers with `slots` slots, on which `repeats` repeats are measured."""

    slots: int
    repeats: int


@dataclass(frozen=True)
class Plan:
    """A workload with valid numbers.

    Attributes
    ----------
    workload : Workload
    tasks : int
        K, the number of tasks per repeat.
    seconds : float
        s, the length of a task.
    points : dict of int to int
        The number of repeats at each number of slots, ascending.
    """

    workload: Workload
    tasks: int
    seconds: float
    points: dict[int, int]

    def sessions(self) -> list[Session]:
        """Return the sessions in order: from most slots down and up again, half the repeats each.

        If the machine is slower for a few minutes, this affects more than one point; and if it is
        slower at the end than at the start, this shows as a spread of each point's repeats instead
        of a slope of the curve. The first start, which is timed as the cold start, is the largest.
        The turning point, with the fewest slots, has one session.
        """
        turn, *others = self.points.items()
        up = [Session(slots, repeats // 2) for slots, repeats in others]
        down = [Session(slots, repeats - repeats // 2) for slots, repeats in reversed(others)]
        order = [*down, Session(*turn), *up]
        return [session for session in order if session.repeats]

    def measuring_s(self) -> float:
        """Return the sum of the ideal makespans, in seconds."""
        return sum(
            repeats * metrics.ideal_s(self.tasks, self.seconds, slots)
            for slots, repeats in self.points.items()
        )

    def forecast_s(self) -> float:
        """Return the approximate duration of the run, in seconds, not including time in a queue."""
        starting_s = START_ALLOWANCE_S * len(self.sessions())
        return self.measuring_s() * (1 + OVERHEAD_ALLOWANCE) + starting_s


def make(
    name: str,
    tasks: int = 500,
    seconds: float = 1.0,
    slots: Sequence[int] | None = None,
    repeats: Sequence[int] | None = None,
) -> Plan:
    """Make a plan, after checking that the numbers, all of them positive, fit together.

    Parameters
    ----------
    name : str
        A workload in `WORKLOADS` that runs on slots.
    tasks : int
        Number of tasks per repeat; at least the largest number of slots, so that each slot gets
        one.
    seconds : float
        Length of a task, above 0.
    slots : sequence of int, optional
        Points; by default, those of the workload.
    repeats : sequence of int, optional
        One number for all points, or one per point. By default, the workload's own for its own
        points, otherwise 3.

    Raises
    ------
    PlanError
        The numbers do not fit together.
    """
    workload = WORKLOADS[name]
    chosen = slots or tuple(workload.points)
    if not repeats:
        repeats = [workload.points.get(n, 3) for n in chosen]
    elif len(repeats) == 1:
        repeats = [*repeats] * len(chosen)
    if len(repeats) != len(chosen):
        raise PlanError(
            f"--repeats has {len(repeats)} numbers for {len(chosen)} points: "
            "use one for all points, or one per number in --slots"
        )
    if len(set(chosen)) < len(chosen):
        raise PlanError("--slots has a duplicate: use --repeats to measure a point more often")
    if tasks < max(chosen):
        raise PlanError(
            f"{tasks} tasks cannot use {max(chosen)} slots: "
            f"use --tasks {max(chosen)} or more, or fewer --slots"
        )
    points = dict(sorted(zip(chosen, repeats, strict=True)))
    return Plan(workload, tasks, float(seconds), points)


@dataclass(frozen=True)
class JobLayout:
    """The division of slots into equal jobs (or, on one computer, processes).

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
    """Return the smallest number of equal jobs, of at most `job_cores` cores, for `slots` slots.

    Examples
    --------
    >>> layout(100, 30)
    JobLayout(jobs=4, threads=25)
    """
    jobs = -(-slots // job_cores)
    while slots % jobs:
        jobs += 1
    return JobLayout(jobs, slots // jobs)
