"""The workloads: what each one measures, its bound, and its points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DaskHPCError
from .points import GATHER, SWEEP, UNEVEN, Point


class PlanError(DaskHPCError):
    """The numbers of a plan do not fit together."""


@dataclass(frozen=True)
class Numbers:
    """What the user has chosen instead of a workload's own numbers; None for the rest.

    Attributes
    ----------
    tasks, seconds
        Number and length of the tasks.
    slots : sequence of int
        One number for each point.
    repeats : sequence of int
        One number for all points, or one per number of slots.
    """

    tasks: int | None = None
    seconds: float | None = None
    slots: Sequence[int] | None = None
    repeats: Sequence[int] | None = None

    def repeats_at(self, defaults: dict[int, int], otherwise: int = 3) -> dict[int, int]:
        """Return the number of repeats at each number of slots, ascending."""
        slots = self.slots or tuple(defaults)
        repeats = self.repeats or [defaults.get(n, otherwise) for n in slots]
        if len(repeats) == 1:
            repeats = [*repeats] * len(slots)
        if len(repeats) != len(slots):
            raise PlanError(
                f"--repeats has {len(repeats)} numbers for {len(slots)} points: "
                "use one for all points, or one per number in --slots"
            )
        if len(set(slots)) < len(slots):
            raise PlanError("--slots has a duplicate: use --repeats to measure a point more often")
        return dict(sorted(zip(slots, repeats, strict=True)))

    def single(self, slots: int, repeats: int) -> tuple[int, int]:
        """Return the number of slots and of repeats of a workload on one cluster."""
        for name, given in (("slots", self.slots), ("repeats", self.repeats)):
            if given and len(given) > 1:
                raise PlanError(f"--{name}: this workload takes a single number")
        return (self.slots or [slots])[0], (self.repeats or [repeats])[0]


@dataclass(frozen=True)
class Workload:
    """A named benchmark.

    Attributes
    ----------
    name, summary : str
        For the command line.
    stresses : str
        What takes the time that it measures.
    bound : str
        The shortest possible time, as a formula, and where that comes from. K is the number of
        tasks, s their length, N the number of slots.
    points : callable
        Returns the points for what the user has chosen. None: it measures in a way of its own.
    options : tuple of str
        Numbers that the user may choose.
    """

    name: str
    summary: str
    stresses: str
    bound: str
    points: Callable[[Numbers], list[Point]] | None
    options: tuple[str, ...] = ("tasks", "seconds", "slots", "repeats")

    def check_options(self, given: Mapping[str, Any]) -> None:
        """Raise an error for a number that the user has given and may not choose here.

        Raises
        ------
        PlanError
            There is one.
        """
        for name, value in given.items():
            if value is not None and name not in self.options:
                raise PlanError(f"{self.name} sets its own {name}: omit --{name}")


def _on_slots(defaults: dict[int, int]) -> Callable[[Numbers], list[Point]]:
    """Return a function for equal tasks, 500 of one second, at these numbers of slots."""

    def points(chosen: Numbers) -> list[Point]:
        tasks, seconds = chosen.tasks or 500, chosen.seconds or 1.0
        return [Point(n, tasks, seconds, r) for n, r in chosen.repeats_at(defaults).items()]

    return points


TASKS_PER_SLOT = 5


def _weak_scaling(chosen: Numbers) -> list[Point]:
    seconds, each = chosen.seconds or 1.0, chosen.tasks or TASKS_PER_SLOT
    numbers = chosen.repeats_at({30: 3, 60: 3, 120: 3, 240: 3, 480: 3})
    return [
        Point(slots, each * slots, seconds, repeats, way)
        for slots, repeats in numbers.items()
        for way in (GATHER, SWEEP)
    ]


# Lengths of tasks, in seconds, for each way; plain Dask needs a millisecond of its own for a task.
GRANULARITY = {
    GATHER: (1.0, 0.3, 0.1, 0.05, 0.02, 0.01),
    SWEEP: (1.0, 0.3, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001),
}


def _granularity(chosen: Numbers) -> list[Point]:
    slots, repeats = chosen.single(slots=120, repeats=3)
    points = []
    for way, lengths in GRANULARITY.items():
        for seconds in lengths:
            # A sweep needs a moment to adapt, so it gets tasks for two seconds.
            each = max(10, min(round(2 / seconds), 1000)) if way == SWEEP else 10
            points.append(Point(slots, each * slots, seconds, repeats, way))
    return points


def _uneven(chosen: Numbers) -> list[Point]:
    slots, repeats = chosen.single(slots=120, repeats=3)
    tasks, seconds = chosen.tasks or 600, chosen.seconds or 1.0
    points = [
        Point(slots, tasks, seconds, repeats, GATHER, UNEVEN, saturation)
        for saturation in (1.0, 1.1, 2.0)
    ]
    return [*points, Point(slots, tasks, seconds, repeats, SWEEP, UNEVEN)]


def _tasks_per_second(chosen: Numbers) -> list[Point]:
    slots, repeats = chosen.single(slots=120, repeats=3)
    tasks = chosen.tasks or 10_000
    return [
        Point(slots, tasks, 0.0, repeats, GATHER),
        Point(slots, 10 * tasks, 0.0, repeats, SWEEP),
    ]


_EQUAL_BOUND = "⌈K/N⌉·s, since K equal tasks on N slots run in ⌈K/N⌉ waves"

_ALL = (
    Workload(
        "sleep",
        "500 sleeping tasks of 1 s on 120 slots, six times: the cost of distributing tasks",
        "handing out tasks and collecting results; a sleeping task needs no core",
        f"{_EQUAL_BOUND}: 5 s",
        _on_slots({120: 6}),
    ),
    Workload(
        "strong-scaling",
        "500 sleeping tasks of 1 s on 20, 50, 100, and 120 slots: how speedup grows with slots",
        "the same as sleep, with fewer and fewer tasks for each slot",
        f"{_EQUAL_BOUND}; a speedup of at most K/⌈K/N⌉",
        _on_slots({20: 1, 50: 2, 100: 3, 120: 6}),
    ),
    Workload(
        "weak-scaling",
        "5 tasks of 1 s for each slot, on 30 to 480 slots: where more slots stop to help",
        "the scheduler and the client, which handle all tasks in one process",
        f"{_EQUAL_BOUND}: 5 s for each number of slots",
        _weak_scaling,
    ),
    Workload(
        "granularity",
        "tasks of 1 s down to 1 ms on 120 slots: how short a task may be",
        "the time that Dask needs for a task, beside the task's own",
        f"{_EQUAL_BOUND}. METG(50 %) is the shortest length at which half of the time is the "
        "tasks' own (Task Bench, arXiv:1908.05790)",
        _granularity,
        options=("slots", "repeats"),
    ),
    Workload(
        "uneven",
        "600 tasks of unequal length and one straggler on 120 slots: what waits for whom",
        "which worker gets which task, and tasks that wait on a busy worker (worker-saturation)",
        "max(longest task, Σ/N): no slot can do more than its share, and the longest task cannot "
        "be divided (Graham, 1969)",
        _uneven,
    ),
    Workload(
        "tasks-per-second",
        "10,000 tasks that do nothing, and 100,000 in a sweep: how many Dask handles",
        "the scheduler and the client alone",
        "none; Dask's scheduler needs about 0.2 ms for a task, so its limit is 5,000 a second",
        _tasks_per_second,
        options=("tasks", "slots", "repeats"),
    ),
    Workload(
        "cold-start",
        "1, 4, and 4 x 8 processes in jobs: how soon workers are there, and their memory",
        "the batch system, Python's start and imports on each node, and the connections",
        "none; a process that loads Dask needs 0.3 to 1 s of a core",
        None,
        options=("shapes", "repeats"),
    ),
    Workload(
        "gil",
        "a pure-Python computation on this computer's cores: threads against processes",
        "Python's global interpreter lock",
        "the serial loop's time divided by the number of cores",
        None,
        options=("repeats",),
    ),
    Workload(
        "numpy",
        "NumPy and pure Python on real cores of workers: threads against processes",
        "the cores, and Python's global interpreter lock, which NumPy releases while it computes",
        "the time of the same tasks on one core in the same repeat, divided by N, since no core "
        "can do more than its share; N is at most the number of physical cores",
        None,
        options=("slots", "repeats"),
    ),
    Workload(
        "files",
        "300 files of 0.5 MB, CSV or NetCDF, read and reduced: a sweep against a plain loop",
        "the file system that the nodes share, reading text, and handing out short tasks",
        "max(D, L/N, U/C): D is the time to read only the bytes on all slots, L that of a plain "
        "loop in one worker, of which U is CPU time, and C the number of cores, all measured in "
        "the same repeat. The disk cannot be faster, and no slot or core can do more than its "
        "share (Graham, 1969)",
        None,
        options=("tasks", "slots", "repeats", "sizes", "format"),
    ),
    Workload(
        "data",
        "arrays of 0.1 to 100 MB, up to 100 MB at a time: to workers, back, and between them",
        "copying, encrypting, and the connections; scatter and gather also go through the "
        "scheduler unless direct=True",
        "the time of one plain TCP stream of as many bytes between the same two processes in the "
        "same repeat, without Dask and encryption",
        None,
        options=("repeats", "sizes"),
    ),
    Workload(
        "failure",
        "5 tasks of 1 s for each worker; in the middle, a worker or a job is lost: what it costs",
        "how soon the loss is noticed, the tasks that run twice, and how workers come back. A "
        "worker is killed (SIGKILL); a job is cancelled, and nothing replaces it, as if you had "
        "done it; a node can be lost only by those who may make one fail (--lose-node COMMAND), "
        "as benchmarks/lost_node.py of the template's repository does on its testbed. On a "
        "computer without a batch system, only a worker is lost",
        "⌈K/N⌉·s, as if nothing was lost; compared with an undisturbed repeat on the same workers",
        None,
        options=("tasks", "seconds", "shapes", "repeats", "lose-node"),
    ),
    Workload(
        "adapt",
        "20 tasks of 1 s, none, 60, none, on a cluster that adapts: what waiting costs, and waste",
        "how soon adapt() asks for jobs, their start, and how soon it gives them up",
        "⌈K/N⌉·s with all N workers there from the beginning; no waste: the cores that jobs hold "
        "are busy all the time",
        None,
        options=("seconds", "shapes", "repeats"),
    ),
    Workload(
        "scheduler-limit",
        "100 to 10,000 simulated workers on one scheduler: how many it holds",
        "the scheduler, a real one in one process with the client, and nothing else. The workers "
        "are simulated on this computer: each has an encrypted connection, registers, sends "
        "heartbeats, and receives and reports each task, but runs no function and keeps no "
        "result. It uses all cores of this computer for some minutes, and never the cluster",
        f"{_EQUAL_BOUND}; with 5 tasks of 1 s for each worker, 5 s for each number of workers",
        None,
        options=("tasks", "seconds", "slots"),
    ),
)
WORKLOADS = {workload.name: workload for workload in _ALL}
