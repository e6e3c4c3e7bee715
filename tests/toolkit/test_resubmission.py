"""Jobs that end unasked or are let go, with fakes of Slurm's commands and real workers.

What is decided, and when, is tested without them: test_restart_policy.py, test_policies.py,
test_adaptive.py.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

import dask
import pytest
from dask.distributed import Client, KilledWorker

import dask_hpc
from dask_hpc.cluster import control
from dask_hpc.resilience import worker_loss

from ..marks import full
from .conftest import reported, submissions, until


def test_ended_job_is_reported_and_submitted_again(lab, held):
    lab.state("100", "NODE_FAIL", "NodeDown", "node1")
    until(lambda: sorted(held.job_ids) == ["101", "102"])
    [said] = reported(held)
    assert said.startswith("Job 100 ended on node1, node-fail")
    assert said.endswith("Resubmitting in 1 s (1 of 5).")
    assert submissions(lab) == 3


def test_tasks_of_a_job_that_died_run_again(lab, cluster):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(4, timeout=90)
    with Client(cluster) as client:
        futures = client.map(lambda i: (time.sleep(0.1), i * i)[1], range(40))
        until(lambda: any(future.done() for future in futures))
        lab.kill("100", "NODE_FAIL", "NodeDown")
        assert client.gather(futures) == [i * i for i in range(40)]
        until(lambda: "102" in cluster.job_ids)
    assert not [name for name in reported(cluster) if "101" in name]


@pytest.mark.parametrize("value", [-1, "often", 1.5, True])
def test_max_resubmits_must_be_a_whole_number(lab, value):
    with dask.config.set({"dask-hpc.max-resubmits": value}):
        with pytest.raises(
            dask_hpc.ConfigError, match=r"dask-hpc\.max-resubmits: must be an integer"
        ):
            dask_hpc.SLURMCluster()


@pytest.mark.full  # test_policies.py has the decision, and tests/comparison the whole on Slurm
def test_lost_workers_cancel_running_job(lab, cluster, monkeypatch):
    """Its node is left out, since another one has workers."""
    monkeypatch.setattr(worker_loss, "WORKERS_LOST_AFTER_S", 1.0)
    cluster.scale(jobs=2)
    until(lambda: sorted(cluster.job_ids) == ["100", "101"])
    lab.state("100", "RUNNING", "None", "bad")
    lab.state("101", "RUNNING", "None", "good")
    cluster.wait_for_workers(4, timeout=90)
    until(lambda: {status.node for status in cluster.watcher.jobs.values()} == {"bad", "good"})
    os.killpg(lab.pid("100"), signal.SIGKILL)
    until(lambda: "102" in cluster.job_ids)
    [said] = reported(cluster)
    assert said.startswith("Job 100: its workers stopped responding, so it was")
    assert [call[1:] for call in lab.calls("scancel")] == [["100"]]
    excluded = ["--exclude=bad" in call for call in lab.calls("sbatch")]
    assert excluded == [False, False, True]


@pytest.mark.full
def test_silent_worker_leaves_without_complaint(lab, caplog):
    with dask.config.set({"distributed.scheduler.worker-ttl": "6s"}):
        with dask_hpc.SLURMCluster() as cluster:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(2, timeout=90)
            os.killpg(lab.pid("100"), signal.SIGSTOP)
            begun = time.monotonic()
            until(lambda: "101" in cluster.job_ids, seconds=40)
            assert time.monotonic() - begun < 6 + 20
    os.killpg(lab.pid("100"), signal.SIGKILL)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.full
def test_process_that_was_held_up_removes_no_worker(lab):
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


@pytest.mark.full
def test_task_that_silences_its_workers_fails(lab):
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


@pytest.mark.full
def test_task_that_kills_its_workers_does_not_take_their_jobs_along(lab, cluster):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(4, timeout=90)
    with Client(cluster) as client:
        # All slots are busy for long: as Dask has it, the task would begin again where it was.
        others = client.map(lambda i: time.sleep(6) or i, range(8), pure=False)
        bad = client.submit(os._exit, 1, priority=1)
        with pytest.raises(KilledWorker):
            bad.result(timeout=90)
        assert client.gather(others) == list(range(8))
    assert sorted(cluster.job_ids) == ["100", "101"]
    assert reported(cluster) == []


# --- results, when jobs go ------------------------------------------------------------------------


def counting(folder):
    """Return a task that leaves a mark each time it runs; it goes to workers by value."""

    def counted(i):
        (Path(folder) / f"{i}-{time.monotonic_ns()}").touch()
        return i * i

    return counted


@pytest.mark.parametrize("how", ["scale", *full("adapt")])
def test_going_down_loses_no_result(lab, cluster, tmp_path, monkeypatch, how):
    """None is computed again, either."""
    marks = tmp_path / "marks"
    marks.mkdir()
    cluster.scale(jobs=2)
    cluster.wait_for_workers(4, timeout=90)
    with Client(cluster) as client:
        futures = client.map(counting(str(marks)), range(60))
        until(lambda: all(future.done() for future in futures))
        if how == "scale":
            cluster.scale(jobs=1)
        else:
            cluster.adapt(minimum_jobs=1, maximum_jobs=3, interval="200ms", wait_count=2)
        until(lambda: len(cluster.job_ids) == 1)
        assert client.gather(futures) == [i * i for i in range(60)]
    assert len(list(marks.iterdir())) == 60
    assert reported(cluster) == []
    assert submissions(lab) == 2


@pytest.mark.full
def test_going_down_again_while_results_move_loses_none(cluster, monkeypatch):
    cluster.scale(jobs=3)
    cluster.wait_for_workers(6, 90)
    retire, first = control.retire, iter([True])

    async def slow_retire(*arguments):
        await asyncio.sleep(2 * next(first, False))
        return await retire(*arguments)

    monkeypatch.setattr(control, "retire", slow_retire)
    with Client(cluster) as client:
        kept = client.scatter(list(range(60)), broadcast=False)
        cluster.scale(jobs=2)
        time.sleep(0.7)
        cluster.scale(jobs=1)
        until(lambda: len(cluster.scheduler.workers) == 2)
        assert client.gather(kept) == list(range(60))


def test_adapt_adds_whole_jobs_and_ends_them(lab, cluster):
    cluster.adapt(minimum=0, maximum=4, interval="200ms", wait_count=2)
    with Client(cluster) as client:
        assert client.submit(sum, [1, 2]).result(timeout=90) == 3
        until(lambda: len(cluster.scheduler.workers) % 2 == 0)
        until(lambda: not cluster.job_ids)


def test_adapt_takes_bounds_in_jobs(cluster):
    adaptive = cluster.adapt(minimum_jobs=2, maximum_jobs=5)
    assert (adaptive.minimum, adaptive.maximum) == (4, 10)


# --- the end of the walltime ----------------------------------------------------------------------


@pytest.mark.full
def test_workers_leave_before_their_job_ends(lab, cluster):
    cluster.scale(jobs=1)
    cluster.wait_for_workers(2, timeout=90)
    with Client(cluster) as client:
        futures = client.map(lambda i: i * i, range(10))
        client.gather(futures)
        lab.row("100", "RUNNING|None|node1|9:30|0:15")
        until(lambda: cluster.job_ids == ["101"])
        assert client.gather(futures) == [i * i for i in range(10)]
        names = [str(worker.name) for worker in cluster.scheduler.workers.values()]
        assert not any(name.startswith("SLURMCluster-0") for name in names)
    assert [e.reason for e in cluster.watcher.events if e.job == "100"][-1] == "by us"
    assert reported(cluster) == []
