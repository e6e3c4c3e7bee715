"""How many jobs the arguments of scale and adapt mean, and which ones go first."""

import math
from types import SimpleNamespace

import pytest
from distributed.core import Status

from dask_hpc.cluster import scaling

SIZE = scaling.JobSize(workers=2, cores=4, memory=2**30)


@pytest.mark.parametrize(
    ("n", "jobs", "memory", "cores", "expected"),
    [
        (None, 0, None, None, 0),
        (None, 3, None, None, 3),
        (3, 0, None, None, 2),
        (1, 5, None, None, 1),  # n takes precedence, as in dask-jobqueue
        (None, 0, "2.5 GiB", None, 3),
        (None, 0, None, 5, 2),
        (1, 0, "4 GiB", 5, 4),
    ],
)
def test_jobs_are_counted_up(n, jobs, memory, cores, expected):
    assert scaling.count_jobs(SIZE, n, jobs, memory, cores) == expected


@pytest.mark.parametrize(
    ("n", "jobs", "cores", "memory", "low", "high"),
    [
        (None, None, None, None, 0, math.inf),
        (3, None, None, None, 2, 1),
        (None, 2, None, None, 2, 2),
        (8, 3, 20, None, 5, 3),
        (None, None, None, "2.5 GiB", 3, 2),
        (0, None, None, None, 0, 1),
    ],
)
def test_the_narrowest_bound_counts(n, jobs, cores, memory, low, high):
    assert scaling.lower_bound(SIZE, (n, jobs, cores, memory)) == low
    assert scaling.upper_bound(SIZE, (n, jobs, cores, memory)) == high


def test_jobs_without_workers_go_first_then_the_youngest():
    jobs = {
        name: SimpleNamespace(addresses=set(addresses), running_since=1.0)
        for name, addresses in {"a": ["1"], "b": [], "c": ["2"], "d": []}.items()
    }
    tracker = SimpleNamespace(by_name=jobs.get, has_unidentified_workers=False)
    worker = SimpleNamespace(status=Status.running)
    scheduler = SimpleNamespace(workers={"1": worker, "2": worker})
    chosen = [scaling.choose_jobs_to_drop("abcd", n, tracker, scheduler) for n in (-1, 1, 3, 4)]
    assert chosen == [[], ["d"], ["d", "b", "c"], ["d", "b", "c", "a"]]
