"""Plan a measurement: its points, their order, and its approximate duration."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .points import GATHER, Point
from .workloads import WORKLOADS, Numbers, PlanError, Workload

# Time to start, warm up, and end workers; only for the forecast.
START_ALLOWANCE_S = 4.0
# Overhead as a fraction of the ideal, and for each task; only for the forecast.
OVERHEAD_ALLOWANCE = 0.05
TASK_ALLOWANCE_S = {GATHER: 0.001}
SHORT_TASK_ALLOWANCE_S = 0.0001


@dataclass(frozen=True)
class Session:
    """One start of workers, on which points with the same slots and settings are measured.

    Attributes
    ----------
    turns : tuple of Point
        A point for each measurement, in order.
    """

    turns: tuple[Point, ...]

    @property
    def slots(self) -> int:
        return self.turns[0].slots

    @property
    def saturation(self) -> float:
        return self.turns[0].saturation


@dataclass(frozen=True)
class Plan:
    """A workload with valid numbers.

    Attributes
    ----------
    workload : Workload
    points : list of Point
    """

    workload: Workload
    points: list[Point]

    def sessions(self) -> list[Session]:
        """Return the sessions in order: from most slots down and up again, half the repeats each.

        If the machine is slower for a few minutes, this affects more than one point; and if it is
        slower at the end than at the start, this shows as a spread of each point's repeats instead
        of a slope of the curve. The first start, which is timed as the cold start, is the largest.
        The turning point, with the fewest slots, has one session.

        Points that share workers are measured in turns within a session.
        """
        groups: dict[tuple[int, float], list[Point]] = {}
        for point in sorted(self.points, key=lambda point: point.slots):
            groups.setdefault((point.slots, point.saturation), []).append(point)
        turn, *others = groups.values()
        up = [_in_turns(group, lambda repeats: repeats // 2) for group in others]
        down = [_in_turns(group, lambda repeats: repeats - repeats // 2) for group in others[::-1]]
        order = [*down, _in_turns(turn, int), *up]
        return [Session(turns) for turns in order if turns]

    def measuring_s(self) -> float:
        """Return the sum of the ideal makespans, in seconds."""
        return sum(point.repeats * point.ideal_s for point in self.points)

    def forecast_s(self) -> float:
        """Return the approximate duration of the run, in seconds, not including time in a queue."""
        starting_s = START_ALLOWANCE_S * len(self.sessions())
        tasks_s = sum(
            point.repeats * point.tasks * TASK_ALLOWANCE_S.get(point.way, SHORT_TASK_ALLOWANCE_S)
            for point in self.points
            if point.seconds < 1
        )
        return self.measuring_s() * (1 + OVERHEAD_ALLOWANCE) + tasks_s + starting_s

    def describe(self, where: str = "") -> str:
        """Return the points in words, with where they are measured."""
        lengths = sorted({point.seconds for point in self.points})
        tasks = sorted({point.tasks for point in self.points})
        counts = Counter[int]()
        for point in self.points:
            counts[point.slots] += point.repeats
        slots = ", ".join(f"{slots} slots ({n}x)" for slots, n in counts.items())
        on = f" on {where}" if where else ""
        return f"{_range(tasks, '{:,}')} tasks of {_range(lengths, '{:g}')} s{on}: {slots}"


def _range(values: list, form: str) -> str:
    ends = dict.fromkeys([values[0], values[-1]])
    return " to ".join(form.format(value) for value in ends)


def _in_turns(points: Iterable[Point], count) -> tuple[Point, ...]:
    """Return each point as often as it is to be repeated, the points alternating."""
    counts = {point: count(point.repeats) for point in points}
    rounds = range(max(counts.values()))
    return tuple(point for n in rounds for point, repeats in counts.items() if n < repeats)


def make(name: str, **numbers) -> Plan:
    """Make a plan, after checking that the numbers, all of them positive, fit together.

    Parameters
    ----------
    name : str
        A workload in `WORKLOADS` that has points.
    **numbers
        What the user has chosen (`workloads.Numbers`).

    Raises
    ------
    PlanError
        The numbers do not fit together.
    """
    workload = WORKLOADS[name]
    assert workload.points is not None
    workload.check_options(numbers)
    points = workload.points(Numbers(**numbers))
    for point in points:
        if point.tasks < point.slots:
            raise PlanError(
                f"{point.tasks} tasks cannot use {point.slots} slots: "
                f"use --tasks {point.slots} or more, or fewer --slots"
            )
    return Plan(workload, points)


@dataclass(frozen=True)
class JobLayout:
    """The division of slots into equal jobs (or, on one computer, processes).

    Attributes
    ----------
    jobs : int
    threads : int
        Threads of each worker.
    processes : int
        Workers of each job.
    """

    jobs: int
    threads: int
    processes: int = 1

    @property
    def workers(self) -> int:
        return self.jobs * self.processes

    def as_processes(self) -> "JobLayout":
        """Return the same slots with a worker process for each of them."""
        return JobLayout(self.jobs, 1, self.processes * self.threads)


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
