"""A point of a measurement: how many tasks, of which length, on how many slots, in which way."""

from dataclasses import asdict, dataclass
from functools import partial

from . import metrics
from .tasks import sleep_task, uneven_length, uneven_task

# Ways to hand out tasks and to collect results.
HARNESS = "harness"  # results are fetched between waves; see `backends._dask`
GATHER = "gather"  # client.gather(client.map(...)), as users type it
SWEEP = "sweep"  # dask_hpc.sweep

EQUAL, UNEVEN = "equal", "uneven"  # lengths of the tasks
# Tasks that a worker holds per thread: 2.0 is one running and one queued; see `backends._dask`.
WORKER_SATURATION = 2.0
# Tasks so short, or so few of them, may be done before each slot has had one.
ALL_SLOTS_S, ALL_SLOTS_TASK_S = 0.1, 0.02


@dataclass(frozen=True)
class Point:
    """What a row measures.

    Attributes
    ----------
    slots : int
        N, the number of slots.
    tasks : int
        K, the number of tasks per repeat.
    seconds : float
        The length of a task, or the mean of uneven lengths; 0 for tasks that do nothing.
    repeats : int
    way : {"harness", "gather", "sweep"}
        How tasks are handed out and results are collected.
    lengths : {"equal", "uneven"}
    saturation : float
        Dask's ``worker-saturation``.
    """

    slots: int
    tasks: int
    seconds: float
    repeats: int
    way: str = HARNESS
    lengths: str = EQUAL
    saturation: float = WORKER_SATURATION

    @property
    def total_s(self) -> float:
        """The sum of the lengths: the time of a serial loop, in seconds."""
        if self.lengths == EQUAL:
            return self.tasks * self.seconds
        return sum(self._uneven_lengths())

    @property
    def ideal_s(self) -> float:
        """The shortest possible makespan, in seconds."""
        if self.lengths == EQUAL:
            return metrics.ideal_s(self.tasks, self.seconds, self.slots)
        return metrics.uneven_ideal_s(self._uneven_lengths(), self.slots)

    def _uneven_lengths(self) -> list[float]:
        return [uneven_length(n, self.seconds, self.tasks) for n in range(self.tasks)]

    def shortest_s(self) -> float:
        """Return the length of the shortest task, in seconds."""
        return self.seconds if self.lengths == EQUAL else min(self._uneven_lengths())

    def task(self, first: int) -> partial:
        """Return the function that workers run, for items that begin with `first`."""
        if self.lengths == EQUAL:
            return partial(sleep_task, seconds=self.seconds)
        return partial(uneven_task, seconds=self.seconds, first=first, tasks=self.tasks)

    def uses_all_slots(self) -> bool:
        """Return whether each slot has to get a task: quick ones may leave some without."""
        long_enough = self.ideal_s >= ALL_SLOTS_S and self.seconds >= ALL_SLOTS_TASK_S
        return self.tasks >= self.slots and long_enough

    def columns(self) -> dict:
        """Return what a row says of the point, which identifies it within a record."""
        columns = asdict(self)
        del columns["repeats"]
        return columns | {"ideal_s": self.ideal_s}
