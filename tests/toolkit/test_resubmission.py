"""Jobs that end unasked, with fakes of Slurm's commands: what is told, and what follows."""

import os
import signal
import time
from pathlib import Path

import dask
import pytest
from dask.distributed import Client

import dask_hpc
from dask_hpc.resilience import worker_loss

from . import conftest
from .conftest import reported


def until(condition, seconds=90):
    conftest.until(condition, seconds)


def end(lab, job, state, reason):
    """Kill a job's processes, and let Slurm say why."""
    lab.state(job, state, reason, "node1")
    os.killpg(int((lab.folder / f"{job}.pid").read_text()), signal.SIGKILL)


@pytest.fixture
def cluster(lab):
    with dask_hpc.SLURMCluster() as cluster:
        yield cluster


def submissions(lab):
    return len(lab.calls("sbatch"))


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("NODE_FAIL", "NodeDown", "Job 100 ended on node1, node-fail"),
        ("PREEMPTED", "None", "Job 100 ended on node1, preempted"),
        ("FAILED", "NonZeroExitCode", "Job 100 ended on node1, failed: its command failed"),
        ("TIMEOUT", "TimeLimit", "Job 100 ended on node1, timeout: its walltime was over"),
    ],
)
def test_a_job_that_ends_unasked_is_told_once_and_submitted_again(lab, held, state, reason, words):
    lab.state("100", state, reason, "node1")
    until(lambda: sorted(held.job_ids) == ["101", "102"])
    [said] = reported(held)
    assert said.startswith(words)
    assert said.endswith("It is submitted again in 1 s (1 of 5).")
    assert submissions(lab) == 3


def test_tasks_of_a_job_that_died_run_again_and_the_results_are_right(lab, cluster):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(4, timeout=90)
    with Client(cluster) as client:
        futures = client.map(lambda i: (time.sleep(0.2), i * i)[1], range(40))
        time.sleep(1)
        end(lab, "100", "NODE_FAIL", "NodeDown")
        assert client.gather(futures) == [i * i for i in range(40)]
        until(lambda: len(cluster.scheduler.workers) == 4)
    assert not [name for name in reported(cluster) if "101" in name]


def test_scaling_by_hand_asks_again_for_what_was_cancelled(lab, held):
    lab.state("100", "CANCELLED", "None", "node1")
    until(lambda: held._control.replacements.abandoned == 1)
    held.scale(jobs=2)
    until(lambda: sorted(held.job_ids) == ["101", "102"])


def test_out_of_memory_is_submitted_again_once_with_the_advice(lab, held):
    lab.state("100", "OUT_OF_MEMORY", "OutOfMemory", "node1")
    until(lambda: "102" in held.job_ids)
    assert (
        "submitted again once. Each worker had 512.00 MiB of its job's 1 GiB, shared by 2"
        in (reported(held)[0])
    )
    assert "give more memory, or fewer processes a job" in reported(held)[0]
    lab.state("102", "OUT_OF_MEMORY", "OutOfMemory", "node1")
    until(lambda: len(reported(held)) == 2)
    assert "It is not submitted again." in reported(held)[1]
    time.sleep(2)
    assert submissions(lab) == 3


@pytest.mark.parametrize("value", [-1, "often", 1.5, True])
def test_a_resubmit_that_is_no_number_is_refused(lab, value):
    with dask.config.set({"dask-hpc.max-resubmits": value}):
        with pytest.raises(dask_hpc.ConfigError, match=r"dask-hpc\.max-resubmits must be a whole"):
            dask_hpc.SLURMCluster()


def test_what_keeps_every_job_from_working_is_not_tried_again(lab):
    with dask_hpc.SLURMCluster(python="exit 3; #") as cluster:
        cluster.scale(jobs=2)
        with pytest.raises(dask_hpc.JobsEndedError):
            cluster.wait_for_workers(1, timeout=90)
    assert submissions(lab) == 2


def test_a_job_whose_workers_are_lost_is_given_up_although_slurm_takes_it_for_running(
    lab, cluster, monkeypatch
):
    monkeypatch.setattr(worker_loss, "WORKERS_LOST_AFTER_S", 1.0)
    cluster.scale(jobs=1)
    cluster.wait_for_workers(2, timeout=90)
    end(lab, "100", "RUNNING", "None")
    until(lambda: "101" in cluster.job_ids)
    [said] = reported(cluster)
    assert said.startswith("Job 100: nothing is heard from its workers any more, so it was")
    assert [call[1:] for call in lab.calls("scancel")] == [["100"]]


def test_a_silent_worker_is_noticed_soon_after_worker_ttl_and_left_without_complaint(lab, caplog):
    with dask.config.set({"distributed.scheduler.worker-ttl": "6s"}):
        with dask_hpc.SLURMCluster() as cluster:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(2, timeout=90)
            os.killpg(int((lab.folder / "100.pid").read_text()), signal.SIGSTOP)
            begun = time.monotonic()
            until(lambda: "101" in cluster.job_ids, seconds=40)
            assert time.monotonic() - begun < 6 + 20
    os.killpg(int((lab.folder / "100.pid").read_text()), signal.SIGKILL)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("cut", [True, False])
def test_a_silent_worker_is_given_up_early_only_if_its_node_does_not_answer(
    lab, cluster, monkeypatch, cut
):
    cluster.scale(jobs=1)
    cluster.wait_for_workers(2, timeout=90)
    monkeypatch.setattr(worker_loss, "unanswered", lambda *_: 60.0 if cut else 0.1)
    with dask.config.set({"distributed.comm.timeouts.tcp": "1s"}):
        os.killpg(int((lab.folder / "100.pid").read_text()), signal.SIGSTOP)
        if cut:
            until(lambda: not cluster.scheduler.workers)
        else:
            time.sleep(4)  # four looks
            assert len(cluster.scheduler.workers) == 2


def test_what_we_end_ourselves_is_not_told(lab, held):
    held.scale(jobs=1)
    until(lambda: len(held.job_ids) == 1)
    held.scale(0)
    until(lambda: not held.job_ids)
    time.sleep(1)
    assert reported(held) == []


# --- results, when jobs go ------------------------------------------------------------------------


def counting(folder):
    """Return a task that leaves a mark each time it runs; it goes to workers by value."""

    def counted(i):
        (Path(folder) / f"{i}-{time.monotonic_ns()}").touch()
        time.sleep(0.05)
        return i * i

    return counted


@pytest.mark.parametrize("how", ["scale", "adapt"])
def test_going_down_loses_no_result_and_computes_none_again(lab, cluster, tmp_path, how):
    marks = tmp_path / "marks"
    marks.mkdir()
    cluster.scale(jobs=3)
    cluster.wait_for_workers(6, timeout=90)
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


def test_adapt_adds_whole_jobs_and_ends_them_when_there_is_no_more_work(lab, cluster):
    cluster.adapt(minimum=0, maximum=4, interval="200ms", wait_count=2)
    with Client(cluster) as client:
        assert client.submit(sum, [1, 2]).result(timeout=90) == 3
        until(lambda: len(cluster.scheduler.workers) % 2 == 0)
        until(lambda: not cluster.job_ids)


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        ({"minimum_jobs": 2, "maximum_jobs": 5}, 4, 10),
        ({"minimum": 1, "maximum": 5}, 2, 4),
        ({"minimum_cores": 3, "maximum_cores": 7}, 4, 6),
        ({"minimum_memory": "1.5 GiB", "maximum_memory": "4 GiB"}, 4, 8),
        ({"maximum": 1}, 0, 2),
        ({"maximum_jobs": 4, "maximum_cores": 4}, 0, 4),
        ({}, 0, float("inf")),
    ],
)
def test_bounds_of_adapt_are_whole_jobs(cluster, bounds, low, high):
    adaptive = cluster.adapt(**bounds)
    assert (adaptive.minimum, adaptive.maximum) == (low, high)


def test_adapt_does_not_ask_again_for_jobs_that_somebody_cancelled(lab, cluster):
    lab.hold()
    cluster.adapt(minimum_jobs=2, maximum_jobs=2, interval="200ms")
    until(lambda: len(cluster.job_ids) == 2)
    lab.state("100", "CANCELLED", "None", "node1")
    until(lambda: reported(cluster))
    time.sleep(2)
    assert submissions(lab) == 2


# --- the end of the walltime ----------------------------------------------------------------------


def test_workers_leave_before_their_jobs_end_and_others_come(lab, cluster, monkeypatch):
    cluster.scale(jobs=1)
    cluster.wait_for_workers(2, timeout=90)
    with Client(cluster) as client:
        futures = client.map(lambda i: i * i, range(10))
        client.gather(futures)
        lab.row("100", "RUNNING|None|node1|9:30|0:15")
        until(lambda: not {"100"} & set(cluster.job_ids))
        assert "101" in cluster.job_ids
        assert client.gather(futures) == [i * i for i in range(10)]
        assert not any(worker.startswith("SLURMCluster-0") for worker in names(cluster))
    assert [e.reason for e in cluster.watcher.events if e.job == "100"][-1] == "by us"
    assert reported(cluster) == []


def names(cluster):
    return [str(worker.name) for worker in cluster.scheduler.workers.values()]


def test_a_task_that_is_longer_than_its_jobs_is_stopped_three_times_and_then_fails(lab, cluster):
    cluster.scale(jobs=1)
    cluster.wait_for_workers(2, timeout=90)
    with Client(cluster) as client:
        future = client.submit(time.sleep, 300, key="long")

        def stop():
            task = cluster.scheduler.tasks.get("long")
            if task is None or task.state != "processing":
                return False
            cluster._control.walltime.interruptions.stopped([task], "a job runs for 5 min")
            return True

        for _ in range(3):
            until(lambda: client.cluster.sync(asynchronous(stop)))
        with pytest.raises(dask_hpc.TaskExceedsWalltimeError) as error:
            future.result(timeout=30)
    assert str(error.value) == (
        "Task 'long' was stopped 3 times by the end of its job (a job runs for 5 min), so it is "
        "not begun again: ask for a longer walltime, or split it into shorter tasks."
    )


def asynchronous(function):
    async def run():
        return function()

    return run
