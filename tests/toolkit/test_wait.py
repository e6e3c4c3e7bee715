"""What is said while workers are awaited."""

import asyncio

import dask
import pytest
from distributed.deploy.cluster import Cluster

import dask_hpc
from dask_hpc import batch
from dask_hpc.batch import JobState, JobStatus, describe
from dask_hpc.cluster import wait

from .conftest import until


@pytest.fixture
def said_of_a_wait(lab, capfd):
    """Return a function that waits for a pending job's two workers and returns what is said."""

    def said(seconds):
        lab.hold()
        with dask_hpc.SLURMCluster() as cluster:
            cluster.scale(jobs=1)
            with pytest.raises(dask_hpc.WorkerStartTimeoutError):
                cluster.wait_for_workers(2, timeout=seconds)
        return capfd.readouterr().err

    return said


def test_a_wait_says_where_it_is_and_what_for(said_of_a_wait):
    assert "0 of 2 workers; job 100 " in said_of_a_wait(5)


def test_a_short_wait_says_nothing(said_of_a_wait):
    assert " of 2 workers" not in said_of_a_wait(0.5)


def test_a_wait_ends_where_a_job_was_given_up_and_all_others_are_there(lab):
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=90)
        lab.hold()
        cluster.scale(jobs=2)
        until(lambda: len(cluster.job_ids) == 2)
        lab.state("101", "CANCELLED", "None", "")
        with pytest.raises(
            dask_hpc.JobsEndedError, match=r"2 of 4 workers are there, and no more come"
        ):
            cluster.wait_for_workers(4, timeout=60)


def test_workers_that_were_awaited_are_in_the_clusters_own_list(lab, monkeypatch):
    tell = Cluster._update_worker_status

    def later(self, *message):
        asyncio.get_running_loop().call_later(0.5, tell, self, *message)

    monkeypatch.setattr(Cluster, "_update_worker_status", later)
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=90)
        assert len(cluster.scheduler_info["workers"]) == 2


def test_a_cluster_whose_list_is_not_told_of_workers_does_not_wait_for_ever(lab, monkeypatch):
    monkeypatch.setattr(Cluster, "_update_worker_status", lambda self, *message: None)
    monkeypatch.setattr(wait, "INFO_LAG_S", 1.0)
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=90)
        assert len(cluster.scheduler.workers) == 2


def test_many_jobs_that_end_for_one_reason_are_one_phrase_with_what_their_logs_say(lab, tmp_path):
    lab.hold()
    with dask.config.set({"dask-hpc.max-resubmits": 0}), dask_hpc.SLURMCluster() as cluster:
        cluster._control.tracker.any_worker_came = True  # as if workers had come on other nodes
        cluster.scale(jobs=5)
        until(lambda: len(cluster.job_ids) == 5)
        for job in cluster.job_ids:
            log = tmp_path / "logs" / f"dask-worker-{job}.err"
            log.write_text("ModuleNotFoundError: No module named 'distributed'\n")
            lab.state(job, "FAILED", "NonZeroExitCode", f"node{job}")
        with pytest.raises(dask_hpc.JobsEndedError) as error:
            cluster.wait_for_workers(2, timeout=60)
    text = str(error.value)
    assert "jobs 100, 101, 102, 103 and 1 more ended, failed: its command failed" in text
    assert text.count("NonZeroExitCode") == 1
    assert text.count("ModuleNotFoundError: No module named 'distributed'") == 1


def test_the_nodes_of_few_jobs_that_end_for_one_reason_are_named():
    ended = [
        JobStatus("7", JobState.FAILED, "NonZeroExitCode", "node1"),
        JobStatus("8", JobState.FAILED, "NonZeroExitCode", "node2"),
        JobStatus("9", JobState.PREEMPTED, "", "node3"),
    ]
    assert describe.describe_ends(batch.get("slurm"), ended) == (
        "job 7 ended on node1, failed: its command failed (NonZeroExitCode); "
        "job 8 ended on node2, failed: its command failed (NonZeroExitCode); "
        "job 9 ended on node3, preempted"
    )
