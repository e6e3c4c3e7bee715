"""Convert the arguments of `scale` and `adapt` to numbers of jobs; choose which jobs to drop."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dask.utils import parse_bytes
from distributed import Scheduler

from ..config import validators
from ..resilience.tracking import JobTracker
from ..resilience.worker_identity import count_running


@dataclass(frozen=True)
class JobSize:
    """The size of one job: workers (processes), cores, and memory in bytes."""

    workers: int
    cores: float
    memory: int


def check_amounts(
    call: str, numbers: dict[str, Any], memory: dict[str, Any], unset: tuple[Any, ...] = (None,)
) -> None:
    """Raise ValueError if an argument of `scale` or `adapt` (`call`) is not an amount."""
    for name, value in numbers.items():
        if value not in unset and (line := validators.check_amount(value)):
            raise ValueError(f"{call}({name}=...) {line}")
    for name, value in memory.items():
        if value is not None and (line := validators.check_memory_amount(value)):
            raise ValueError(f"{call}({name}=...): {line}")


# Workers, jobs, cores, and memory, of which each may be left out.
Amounts = tuple[float | None, float | None, float | None, str | None]


def _in_jobs(size: JobSize, amounts: Amounts) -> list[float]:
    """Return the number of jobs that corresponds to each amount that is not None."""
    n, jobs, cores, memory = amounts
    bytes_ = None if memory is None else parse_bytes(validators.memory_text(memory))
    units = [(n, size.workers), (jobs, 1), (cores, size.cores), (bytes_, size.memory)]
    return [amount / unit for amount, unit in units if amount is not None]


def count_jobs(
    size: JobSize, n: float | None, jobs: float | None, memory: str | None, cores: float | None
) -> int:
    """Return the number of jobs for arguments of `scale`; `n` takes precedence over `jobs`."""
    return lower_bound(size, (n, jobs if n is None else None, cores, memory))


def lower_bound(size: JobSize, amounts: Amounts) -> int:
    """Return the smallest number of jobs that satisfies these minima of `adapt`."""
    return math.ceil(max(_in_jobs(size, amounts), default=0))


def upper_bound(size: JobSize, amounts: Amounts) -> float:
    """Return the largest number of jobs within these maxima of `adapt`, but at least one."""
    high = min(_in_jobs(size, amounts), default=math.inf)
    return high if math.isinf(high) else max(1, math.floor(high))


def choose_jobs_to_drop(
    names: Iterable[Any], number: int, tracker: JobTracker, scheduler: Scheduler | None
) -> list[Any]:
    """Return the names of the jobs to drop: those without workers first, then the youngest.

    Parameters
    ----------
    names : iterable
        The names of all jobs, oldest first.
    number : int
        Number of jobs to drop.
    tracker : JobTracker
    scheduler : distributed.Scheduler or None
    """

    def has_workers(name: Any) -> bool:
        if (job := tracker.by_name(name)) is None:
            return False
        # A worker that is not identified yet may belong to any running job.
        unknown = tracker.has_unidentified_workers and job.running_since is not None
        return unknown or count_running(scheduler, job.addresses) > 0

    youngest_first = list(names)[::-1]
    return sorted(youngest_first, key=has_workers)[: max(0, number)]
