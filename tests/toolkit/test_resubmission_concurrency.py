"""Jobs end, come and go while something else is still under way: nothing is lost or too much."""

import asyncio
import logging
import time

import dask
import pytest
from dask.distributed import Client, KilledWorker

import dask_hpc
import dask_hpc.cluster.adaptive
import dask_hpc.cluster.control
from dask_hpc.resilience.tracked_job import RestartHistory

from .conftest import reported
from .test_resubmission import submissions, until


@pytest.fixture
def slow(lab):
    """Make a command of the batch system take its time, before it does anything or after it."""

    def slow(command, before=0.0, after=0.0):
        path = lab.folder / "bin" / command
        first, rest = path.read_text().split("\n", 1)
        body = rest.replace("exec ", "") if after else rest
        path.write_text(
            f"{first}\nsleep {before}\n{body}\n" + (f"sleep {after}\n" if after else "")
        )

    return slow


@pytest.fixture
def cluster(lab):
    with dask.config.set({"jobqueue.slurm.walltime": "10:00:00"}):
        with dask_hpc.SLURMCluster() as cluster:
            yield cluster


def slowly(retire, seconds):
    """As `retire`, with results that take so long to move, one value for each call."""
    times = iter(seconds)

    async def slow_retire(*arguments):
        await asyncio.sleep(next(times, 0))
        return await retire(*arguments)

    return slow_retire


# --- submissions ----------------------------------------------------------------------------------


def test_a_cluster_that_closes_while_a_job_is_submitted_again_cancels_that_one_too(lab, held, slow):
    slow("sbatch", before=3)
    lab.state("100", "NODE_FAIL", "NodeDown", "node1")
    until(lambda: held._control.replacements.is_submitting)
    time.sleep(0.3)
    held.close(timeout=30)
    assert held.status.name == "closed"
    assert submissions(lab) == 3
    cancelled = {job for call in lab.calls("scancel") for job in call}
    assert {"101", "102"} <= cancelled


def test_a_replacement_refused_while_the_old_job_counts_is_taken_later(lab, held):
    lab.says("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
    for job in ("100", "101"):
        lab.row(job, "RUNNING|None|node1|9:58|0:06")
    refused = "QOSMaxSubmitJobPerUserLimit"
    until(lambda: any(refused in line for line in reported(held)), 60)
    lab.says("sbatch", None)
    until(lambda: {"102", "103"} <= set(held.job_ids), 60)
    assert len(held.worker_spec) == 2
    lines = [line for line in reported(held) if refused in line]
    assert all("Next try in 10 s." in line for line in lines)


def test_adapt_does_not_go_on_asking_where_jobs_are_refused_and_says_why(lab, cluster):
    lab.says("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
    cluster.adapt(minimum_jobs=4, maximum_jobs=4)
    time.sleep(9)
    assert submissions(lab) <= 4 * 3
    assert reported(cluster)
    assert all("QOSMaxSubmitJobPerUserLimit" in line for line in reported(cluster))
    lab.says("sbatch", None)
    until(lambda: len(cluster.job_ids) == 4, 40)


def test_two_that_return_at_once_keep_their_own_histories(lab, held, slow):
    slow("sbatch", before=1.5)
    lab.says("sbatch", "sbatch: error: Socket timed out")

    async def both():
        held.worker_spec.clear()
        for name in list(held.workers):
            await held.workers.pop(name).close()
        replacements = held._control.replacements
        replacements.schedule(0.1, [RestartHistory(failures=1)])
        replacements.schedule(0.8, [RestartHistory(failures=1)])

    held.sync(both)
    time.sleep(2)
    lab.says("sbatch", None)
    until(lambda: len(held.job_ids) == 2)
    time.sleep(4)
    assert len(held.job_ids) == len(held.worker_spec) == held._control.pool.target == 2
    assert all(member.history.failures >= 1 for member in held._control.tracker)


def test_what_was_given_up_does_not_keep_adapt_from_later_work(cluster):
    with Client(cluster) as client:
        cluster.adapt(maximum_jobs=2, interval="200ms")
        cluster._control.replacements.abandoned = 2  # while there was work
        until(lambda: cluster._control.replacements.abandoned == 0)
        assert client.submit(abs, -1, pure=False).result(timeout=60) == 1


# --- ends -----------------------------------------------------------------------------------------


def test_a_slow_cancel_at_close_is_nobody_elses(lab, held, slow):
    slow("scancel", after=4)
    held.close()
    assert reported(held) == []
    assert submissions(lab) == 2


def test_a_scale_that_nobody_waits_for_any_more_breaks_nothing(lab, monkeypatch):
    monkeypatch.setattr(
        dask_hpc.cluster.control, "retire", slowly(dask_hpc.cluster.control.retire, [3])
    )

    async def main():
        async with dask_hpc.SLURMCluster(asynchronous=True) as cluster:
            cluster.scale(jobs=2)
            await cluster.wait_for_workers(4, 60)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(cluster.scale(jobs=1)), 0.0)
            await asyncio.wait_for(cluster.scale(jobs=3), 20)
            await cluster.wait_for_workers(6, 60)
            return len(cluster.job_ids)

    assert asyncio.run(asyncio.wait_for(main(), 90)) >= 3


def test_scaling_down_again_while_results_still_move_loses_none(cluster, monkeypatch):
    cluster.scale(jobs=3)
    cluster.wait_for_workers(6, 90)
    with Client(cluster) as client:
        kept = client.scatter(list(range(60)), broadcast=False)
        retire = slowly(dask_hpc.cluster.control.retire, [2])
        monkeypatch.setattr(dask_hpc.cluster.control, "retire", retire)
        cluster.scale(jobs=2)
        time.sleep(0.7)
        cluster.scale(jobs=1)
        until(lambda: len(cluster.scheduler.workers) == 2)
        assert client.gather(kept) == list(range(60))


def test_adapt_lets_each_job_go_as_soon_as_its_own_results_have_moved(lab, cluster, monkeypatch):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(4, 60)
    for member in cluster._control.tracker:
        member.first_worker_at -= 100
    retire = slowly(dask_hpc.cluster.adaptive.retire, [0, 6])
    monkeypatch.setattr(dask_hpc.cluster.adaptive, "retire", retire)
    cluster.adapt(minimum=0, interval="300ms")
    until(lambda: not cluster.job_ids)
    assert reported(cluster) == []
    assert submissions(lab) == 2


# --- silence --------------------------------------------------------------------------------------


def test_a_process_that_was_held_up_itself_gives_no_worker_up(cluster):
    with dask.config.set({"distributed.scheduler.worker-ttl": "8s"}):
        with dask_hpc.SLURMCluster() as cluster, Client(cluster) as client:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(2, 60)
            kept = client.scatter(list(range(20)), broadcast=False)
            before = set(cluster.scheduler.workers)

            async def block():
                # What runs next is what was due meanwhile, as after Ctrl-Z and fg.
                time.sleep(7)

            cluster.sync(block)
            time.sleep(3)
            assert set(cluster.scheduler.workers) == before
            assert client.gather(kept) == list(range(20))
            assert reported(cluster) == []


def test_a_task_that_silences_its_workers_fails_in_the_end(lab, caplog):
    caplog.set_level(logging.CRITICAL, "distributed")

    def hog():
        """Hold Python's lock, so that the worker says nothing any more."""
        import ctypes

        ctypes.PyDLL(None).sleep(60)

    settings = {
        "distributed.scheduler.worker-ttl": "6s",
        "distributed.scheduler.allowed-failures": 0,
    }
    with dask.config.set(settings):
        with dask_hpc.SLURMCluster(cores=1, processes=1) as cluster, Client(cluster) as client:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(1, 60)
            with pytest.raises(KilledWorker):
                client.submit(hog).result(timeout=60)
