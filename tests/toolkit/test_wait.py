"""What is said while workers are awaited."""

import asyncio
from types import SimpleNamespace

import pytest
from distributed.core import Status

import dask_hpc
from dask_hpc import batch
from dask_hpc.batch import JobState, JobStatus, describe
from dask_hpc.batch.watcher import JobWatcher
from dask_hpc.cluster import wait

from .fakes import FakeClock, FakeCluster, fake_control, fake_worker, on_loop


class Waiting:
    """A cluster of two jobs of two workers each, and the wait for them; make it on a loop."""

    def __init__(self):
        self.cluster = FakeCluster()
        self.control = fake_control(FakeClock(), self.cluster)
        self.control.scale(2, asked=True)
        for number, name in enumerate(self.control.pool.names):
            self.control.note_submitted(name, str(100 + number))
        self.wait = wait.JobsWait(self.cluster, self.control).wait

    def workers(self, number):
        """Let both workers of a job register."""
        for worker in (fake_worker(f"tcp://{number}{i}", f"job-{number}-{i}") for i in "01"):
            self.cluster.scheduler.workers[worker.address] = worker
            self.cluster.scheduler_info["workers"][worker.address] = {}
            self.control.tracker.worker_added(worker)

    async def close(self):
        self.control.stop()
        await self.control.watcher.stop()


@pytest.fixture
def quickly(monkeypatch):
    """Let no batch system be asked, and a wait say from its beginning where it is."""

    async def poll(_):
        return True

    monkeypatch.setattr(JobWatcher, "poll", poll)
    monkeypatch.setattr(wait, "QUIET_START_S", 0.0)


@on_loop
async def test_wait_says_where_it_is_and_what_for(quickly, capsys):
    world = Waiting()
    world.workers(0)
    with pytest.raises(dask_hpc.WorkerStartTimeoutError):
        await world.wait(4, timeout=0.1)
    await world.close()
    assert capsys.readouterr().err.startswith("2 of 4 workers; job 101 submitted")


@on_loop
async def test_short_wait_says_nothing(quickly, monkeypatch, capsys):
    monkeypatch.setattr(wait, "QUIET_START_S", 2.0)
    world = Waiting()
    with pytest.raises(dask_hpc.WorkerStartTimeoutError):
        await world.wait(4, timeout=0.1)
    await world.close()
    assert capsys.readouterr().err == ""


@on_loop
async def test_wait_ends_where_a_job_was_abandoned_and_all_others_are_there(quickly):
    world = Waiting()
    world.workers(0)
    world.control.watcher.ended(["101"], JobState.CANCELLED)
    await world.control.pool.remove("job-1")
    world.control.replacements.abandoned = 1
    world.control.tasks.cancel()
    world.control.resubmitter._ended.clear()
    with pytest.raises(
        dask_hpc.JobsEndedError, match="2 of 4 workers connected, and no more will follow"
    ):
        await world.wait(4, timeout=60)
    await world.close()


def listing(**workers):
    """Return a cluster whose scheduler has worker "a", and that lists these."""
    return SimpleNamespace(
        scheduler=SimpleNamespace(workers={"a": None}),
        scheduler_info={"workers": workers},
        status=Status.running,
    )


@on_loop
async def test_workers_that_were_awaited_are_in_the_clusters_own_list():
    cluster = listing()
    asyncio.get_running_loop().call_later(0.1, cluster.scheduler_info["workers"].update, {"a": {}})
    await wait.wait_until_listed(cluster)
    assert "a" in cluster.scheduler_info["workers"]


@on_loop
async def test_cluster_whose_list_is_not_told_of_workers_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(wait, "INFO_LAG_S", 0.1)
    async with asyncio.timeout(10):
        await wait.wait_until_listed(listing())


@on_loop
async def test_wait_for_jobs_that_are_all_over_says_once_why(quickly):
    world = Waiting()
    world.control.diagnosis.finding = "Its log ends with: No module named 'lab'."
    for number in range(2):
        status = JobStatus(str(100 + number), JobState.FAILED, "NonZeroExitCode", f"node{number}")
        world.control.watcher._note(status)
        await world.control.pool.remove(f"job-{number}")
    world.control.tasks.cancel()
    world.control.resubmitter._ended.clear()
    world.control.replacements.abandoned = 2
    with pytest.raises(dask_hpc.JobsEndedError) as error:
        await world.wait(4, timeout=60)
    await world.close()
    text = str(error.value)
    assert text.startswith(
        "All jobs have ended, with 0 of 4 workers connected: job 100 ended on node0"
    )
    assert text.count("No module named 'lab'") == 1


def test_many_jobs_that_end_for_one_reason_are_one_phrase():
    ended = [
        JobStatus(str(job), JobState.FAILED, "NonZeroExitCode", f"node{job}") for job in range(5)
    ]
    text = describe.describe_ends(batch.get("slurm"), ended)
    assert text == "jobs 0, 1, 2, 3 and 1 more ended, failed: the command failed (NonZeroExitCode)"


def test_the_nodes_of_few_jobs_that_end_for_one_reason_are_named():
    ended = [
        JobStatus("7", JobState.FAILED, "NonZeroExitCode", "node1"),
        JobStatus("8", JobState.FAILED, "NonZeroExitCode", "node2"),
        JobStatus("9", JobState.PREEMPTED, "", "node3"),
    ]
    assert describe.describe_ends(batch.get("slurm"), ended) == (
        "job 7 ended on node1, failed: the command failed (NonZeroExitCode); "
        "job 8 ended on node2, failed: the command failed (NonZeroExitCode); "
        "job 9 ended on node3, preempted"
    )
