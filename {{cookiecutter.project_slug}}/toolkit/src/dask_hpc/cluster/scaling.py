"""How many jobs the arguments of `scale` and `adapt` mean, and which jobs go first."""

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
    """What one job has: workers (processes), cores, and memory in bytes."""

    workers: int
    cores: float
    memory: int


def check_amounts(n: Any, jobs: Any, memory: Any, cores: Any) -> None:
    """Raise a ValueError unless the arguments of `scale` are amounts."""
    for name, value in {"n": n, "jobs": jobs, "cores": cores}.items():
        if value is not None and (line := validators.check_amount(value)):
            raise ValueError(f"scale({name}=...) {line}")
    if memory is not None and (line := validators.check_memory_amount(memory)):
        raise ValueError(f"scale(memory=...): {line}")


def count_jobs(
    size: JobSize, n: float | None, jobs: float | None, memory: str | None, cores: float | None
) -> int:
    """Return how many jobs the arguments of `scale` mean; `n` takes precedence over `jobs`."""
    target = math.ceil(n / size.workers) if n is not None else math.ceil(jobs or 0)
    if memory is not None:
        amount = parse_bytes(validators.memory_text(memory))
        target = max(target, math.ceil(amount / size.memory))
    if cores is not None:
        target = max(target, math.ceil(cores / size.cores))
    return target


def check_bounds(numbers: dict[str, Any], memory: dict[str, Any]) -> None:
    """Raise a ValueError unless the arguments of `adapt` are numbers and amounts of memory."""
    for name, value in numbers.items():
        if value not in (None, math.inf) and (line := validators.check_amount(value)):
            raise ValueError(f"adapt({name}=...) {line}")
    for name, value in memory.items():
        if value is not None and (line := validators.check_memory_amount(value)):
            raise ValueError(f"adapt({name}=...): {line}")


def lower_bound(
    size: JobSize, n: float | None, jobs: float | None, cores: float | None, memory: str | None
) -> int:
    """Return the least number of jobs that satisfies all minima of `adapt`."""
    bounds = [(n or 0) / size.workers, jobs or 0]
    bounds += [cores / size.cores] if cores is not None else []
    text = validators.memory_text(memory)
    bounds += [parse_bytes(text) / size.memory] if text else []
    return math.ceil(max(bounds))


def upper_bound(
    size: JobSize, n: float | None, jobs: float | None, cores: float | None, memory: str | None
) -> float:
    """Return the greatest number of jobs within all maxima of `adapt`, but one at least."""
    bounds = [(math.inf if n is None else n) / size.workers]
    bounds += [jobs] if jobs is not None else []
    bounds += [cores / size.cores] if cores is not None else []
    text = validators.memory_text(memory)
    bounds += [parse_bytes(text) / size.memory] if text else []
    high = min(bounds)
    return high if math.isinf(high) else max(1, math.floor(high))


def choose_jobs_to_drop(
    names: Iterable[Any], number: int, tracker: JobTracker, scheduler: Scheduler | None
) -> list[Any]:
    """Return the names of so many jobs: those without workers first, then the youngest.

    Parameters
    ----------
    names : iterable
        The names of all jobs, oldest first.
    number : int
    tracker : JobTracker
    scheduler : distributed.Scheduler or None
    """

    def has_workers(name: Any) -> bool:
        if (job := tracker.by_name(name)) is None:
            return False
        # One that is not known yet may be any running job's.
        unknown = tracker.has_unidentified_workers and job.running_since is not None
        return unknown or count_running(scheduler, job.addresses) > 0

    youngest_first = list(names)[::-1]
    return sorted(youngest_first, key=has_workers)[: max(0, number)]
