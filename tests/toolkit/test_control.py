"""All that looks after a cluster's jobs, wired together, without a cluster."""

import asyncio
import gc
import itertools
from collections import deque
from types import SimpleNamespace

from distributed.core import Status

from dask_hpc import batch
from dask_hpc.batch import JobState
from dask_hpc.cluster.control import JobControl

from .fakes import FakeClock

JOB = SimpleNamespace(job_extra_directives=[], job_name="dask-worker", job_header="")


def control(clock):
    """Return the control of a cluster that has started, and has no job."""
    numbers = itertools.count()
    spec = {"cls": object, "options": {"processes": 2}}
    cluster = SimpleNamespace(
        batch=batch.get("slurm"),
        status=Status.running,
        scheduler=SimpleNamespace(workers={}),
        adapting=False,
        worker_spec={},
        workers={},
        new_spec=spec,
        new_worker_spec=lambda: {f"job-{next(numbers)}": spec},
    )
    settings = SimpleNamespace(cores=2, processes=2, memory="1 GiB", walltime=600, death_timeout=60)
    return JobControl(
        cluster,
        settings,
        max_resubmits=5,
        idle_timeout=None,
        correct_state=lambda: asyncio.sleep(0),
        any_job=lambda: JOB,
        end_itself=lambda: None,
        clock=clock,
    )


def count_kept(root) -> int:
    """Count what is kept: the objects that can be reached from one, in our classes and in lists."""
    seen, queue = {id(root)}, deque([root])
    while queue:
        for other in gc.get_referents(queue.popleft()):
            ours = type(other).__module__.startswith("dask_hpc") and not isinstance(other, type)
            plain = isinstance(other, (dict, list, set, deque, tuple, str))
            if (ours or plain) and id(other) not in seen:
                seen.add(id(other))
                queue.append(other)
    return len(seen)


def test_nothing_grows_for_the_life_of_a_cluster():
    clock = FakeClock()

    async def live():
        whole = control(clock)
        whole.tracker.any_worker_came = True
        kept = []
        for number in range(100):
            ids = [str(100 * number + job) for job in range(100)]
            for job_id in ids:
                whole.note_submitted(whole.pool.add(), job_id)
            # Some are ended by us, the others fail, each of its own words.
            whole.watcher.ended(ids[:20], JobState.CANCELLED, "by us")
            for job_id in ids[20:]:
                whole.watcher.ended([job_id], JobState.FAILED, f"reason {job_id}")
            for name in whole.pool.names[:20]:
                await whole.pool.remove(name)
            for _ in range(20):
                clock.now += 1
                await asyncio.sleep(0)
            assert not whole.pool.names
            assert not len(whole.tracker)
            if number in (70, 99):
                kept.append(count_kept(whole))
        await whole.watcher.stop()
        whole.stop()
        return kept

    # What is bounded is full after the first thousands of these 10,000 jobs.
    before, after = asyncio.run(live())
    assert after <= before * 1.01
