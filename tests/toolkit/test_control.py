"""All that looks after a cluster's jobs, wired together, without a cluster."""

import asyncio
import gc
from collections import deque

import pytest

from dask_hpc._output import messages
from dask_hpc.batch import JobState
from dask_hpc.batch import watcher as batch_watcher
from dask_hpc.cluster import submit_errors
from dask_hpc.cluster.control import describe_memory
from dask_hpc.cluster.submit_errors import SubmitErrors
from dask_hpc.errors import SubmitError
from dask_hpc.resilience.interface import JobPool

from .fakes import FakeClock, FakePool, fake_control, on_loop


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


def test_nothing_grows_for_the_life_of_a_cluster(monkeypatch):
    monkeypatch.setattr(batch_watcher, "MAX_ENDED_JOBS", 50)
    monkeypatch.setattr(batch_watcher, "MAX_EVENTS", 200)
    monkeypatch.setattr(messages, "MAX_RECENT", 10)
    clock = FakeClock()

    async def live():
        whole = fake_control(clock)
        whole.tracker.any_worker_came = True
        kept = []
        for number in range(30):
            ids = [str(100 * number + job) for job in range(40)]
            for job_id in ids:
                whole.note_submitted(whole.pool.add(), job_id)
            # Some are ended by us, the others fail, each of its own words.
            whole.watcher.ended(ids[:10], JobState.CANCELLED, "by us")
            for job_id in ids[10:]:
                whole.watcher.ended([job_id], JobState.FAILED, f"reason {job_id}")
            for name in whole.pool.names[:10]:
                await whole.pool.remove(name)
            for _ in range(20):
                clock.now += 1
                await asyncio.sleep(0)
            assert not whole.pool.names
            assert not len(whole.tracker)
            if number in (20, 29):
                kept.append(count_kept(whole))
        await whole.watcher.stop()
        whole.stop()
        return kept

    # What is bounded is full after the first hundreds of these 1,200 jobs.
    before, after = asyncio.run(live())
    assert after <= before * 1.01


def test_pools_have_what_policies_use():
    names = {name for name in vars(JobPool) if not name.startswith("_")}
    names |= JobPool.__annotations__.keys()
    for pool in (fake_control(FakeClock()).pool, FakePool(FakeClock())):
        assert names <= set(dir(pool))


@pytest.mark.parametrize(
    ("workers", "words"),
    [(1, "all of its job's 1 GiB"), (2, "512.00 MiB of its job's 1 GiB, shared by 2")],
)
def test_describe_memory(workers, words):
    assert describe_memory("1 GiB", workers) == words


@on_loop
async def test_scaling_by_hand_asks_again_for_what_was_abandoned():
    whole = fake_control(FakeClock())
    whole.scale(2, asked=True)
    await whole.pool.remove("job-0")
    whole.replacements.abandoned = whole.pool.target = 1
    whole.scale(2, asked=True)
    assert whole.pool.names == ["job-1", "job-2"]
    assert whole.replacements.abandoned == 0


@on_loop
async def test_refusal_is_raised_at_the_next_scale_which_then_tries_again():
    whole = fake_control(FakeClock())
    whole.pool.note_refused(SubmitError("Slurm rejected the job."), 0)
    with pytest.raises(SubmitError):
        whole.scale(1, asked=True)
    whole.scale(1, asked=True)
    assert whole.pool.names == ["job-0"]


def test_refusal_that_nobody_asks_about_is_overdue_once(monkeypatch):
    clock, errors = FakeClock(), SubmitErrors()
    monkeypatch.setattr(submit_errors, "time", clock)
    errors.record(SubmitError("Slurm rejected the job."))
    assert errors.overdue() is None
    clock.now += submit_errors.REPORT_AFTER_S + 1
    assert errors.overdue() is errors.last
    assert errors.overdue() is None


@pytest.mark.parametrize("told", [SubmitErrors.leave_to_adapt, SubmitErrors.clear])
def test_refusal_that_is_told_otherwise_is_not_overdue(monkeypatch, told):
    clock, errors = FakeClock(), SubmitErrors()
    monkeypatch.setattr(submit_errors, "time", clock)
    errors.record(SubmitError("Slurm rejected the job."))
    told(errors)
    clock.now += submit_errors.REPORT_AFTER_S + 1
    assert errors.overdue() is None


@on_loop
async def test_cluster_that_closes_does_not_follow_the_ends_of_its_jobs():
    """As where `scancel` is slow, and the list of jobs says first that they are cancelled."""
    clock = FakeClock()
    whole = fake_control(clock)
    whole.scale(1, asked=True)
    whole.note_submitted("job-0", "100")
    whole.stop()
    whole.watcher.ended(["100"], JobState.CANCELLED)
    await clock.advance(5)
    assert not whole.messages.recent
    assert whole.resubmitter.replacements.scheduled == 0
    await whole.watcher.stop()
