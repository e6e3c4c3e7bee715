"""The cluster classes, with fakes of Slurm's commands: mostly what goes wrong around jobs."""

import asyncio
import re

import dask
import pytest
from dask.distributed import Client, LocalCluster
from distributed import SpecCluster

import dask_hpc
from dask_hpc.batch import JobState
from dask_hpc.cluster import submit_errors

from .conftest import NO_DASHBOARD, reported, until

REFUSAL = (
    "sbatch: error: Batch job submission failed: "
    "Invalid account or account/partition combination specified"
)


def test_bare_cluster_computes_and_leaves_no_job_behind(lab):
    with dask_hpc.get_cluster() as cluster, Client(cluster) as client:
        assert type(cluster) is dask_hpc.SLURMCluster
        cluster.scale(jobs=2)
        client.wait_for_workers(4, timeout=60)  # workers are processes: two of each job
        assert client.gather(client.map(abs, range(-9, 0))) == list(range(9, 0, -1))
        job_ids = sorted(cluster.job_ids)
        until(lambda: sum(e.state is JobState.RUNNING for e in cluster.watcher.events) == 2)
    assert job_ids == ["100", "101"]
    assert lab.all_gone()
    [cancelled] = lab.calls("scancel")  # one call for all
    assert sorted(cancelled) == ["--quiet", "100", "101"]
    assert cluster.job_ids == []
    states = [event.state for event in cluster.watcher.events if event.job == "100"]
    assert states == [JobState.SUBMITTED, JobState.RUNNING, JobState.CANCELLED]
    asked = [call[-1].removeprefix("--jobs=").split(",") for call in lab.calls("squeue")]
    # Of all at once, but for a first look while one is still being submitted.
    assert sorted(max(asked, key=len)) == ["100", "101"]
    assert len([ids for ids in asked if len(ids) < 2]) <= 1


def test_job_script_says_what_the_yaml_says(cluster, tmp_path):
    script = cluster.job_script()
    for line in ("-p short", "-A lab", "--cpus-per-task=2", "--mem=1G", "-t 00:10:00"):
        assert f"#SBATCH {line}\n" in script
    assert "--nthreads 1" in script
    assert "--nworkers 2" in script
    assert (tmp_path / "logs").is_dir()


def test_scale_counts_jobs_of_the_yaml(lab, cluster):
    lab.hold()
    cluster.scale(n=3)  # workers, rounded up to whole jobs of two
    until(lambda: len(cluster.job_ids) == 2)
    assert len(cluster.plan) == 4
    assert len(lab.calls("sbatch")) == 2


def test_scaling_down_cancels_the_jobs_that_are_too_many_with_one_call(lab, held):
    held.scale(0)
    until(lambda: not held.job_ids)
    [call] = lab.calls("scancel")
    assert sorted(call[1:]) == ["100", "101"]
    until(lambda: not len(held._control.tracker))
    assert reported(held) == []


def test_refused_job_is_told_at_wait_with_slurms_words_and_what_to_change(lab, cluster, capfd):
    lab.says("sbatch", REFUSAL)
    cluster.scale(jobs=2)
    with pytest.raises(dask_hpc.SubmitError) as error:
        cluster.wait_for_workers(2, timeout=60)
    assert str(error.value) == (
        "Slurm rejected the job: Batch job submission failed: Invalid account or "
        "account/partition combination specified. Check account and queue: "
        "`sacctmgr show associations user=$USER` lists yours."
    )
    assert cluster.job_ids == []
    assert cluster.plan == set()  # forgotten, not submitted again when something else changes
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


def test_refusal_of_workers_asked_for_in_the_constructor_is_told_too(lab):
    lab.says("sbatch", REFUSAL)
    with dask_hpc.SLURMCluster(n_workers=2) as cluster:
        with pytest.raises(dask_hpc.SubmitError, match="Invalid account"):
            cluster.wait_for_workers(2, timeout=60)


def test_missing_sbatch_is_told_and_closing_works(lab, cluster):
    (lab.folder / "bin" / "sbatch").unlink()
    cluster.scale(jobs=1)
    words = "sbatch not found: .* login node.* laptop, set `dask-hpc: {batch-system: none}`"
    with pytest.raises(dask_hpc.SubmitError, match=words):
        cluster.wait_for_workers(1, timeout=60)
    cluster.close()


def test_job_id_is_not_taken_from_a_sites_banner(lab, cluster):
    lab.hold()
    sbatch = lab.folder / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'Maintenance on 24 Dec.'\necho Submitted batch job 4711\n")
    cluster.scale(jobs=1)
    until(lambda: cluster.job_ids == ["4711"])


def test_answer_without_a_job_id_is_a_refusal(lab, cluster):
    (lab.folder / "bin" / "sbatch").write_text("#!/bin/sh\necho hello\n")
    cluster.scale(jobs=1)
    with pytest.raises(
        dask_hpc.SubmitError, match="no job id in the submit command's output, 'hello'"
    ):
        cluster.wait_for_workers(1, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"job_mem": 4000}, "#SBATCH --mem=4000"),
        ({"worker_extra_args": ["--resources", "GPU=1", "--nthreads", 2]}, "--nthreads 2"),
        ({"job_extra_directives": (f"--{x}" for x in ["exclusive"])}, "#SBATCH --exclusive"),
    ],
)
def test_what_dask_jobqueue_takes_is_taken(lab, arguments, line):
    with dask_hpc.SLURMCluster(**arguments) as cluster:
        assert line in cluster.job_script()


def test_variables_that_go_before_the_job_script_are_named(lab, cluster, monkeypatch):
    monkeypatch.setenv("SBATCH_ACCOUNT", "old")
    lab.says("sbatch", "Invalid account or account/partition combination specified")
    cluster.scale(jobs=1)
    words = r"SBATCH_ACCOUNT in the environment overrides the job script\.$"
    with pytest.raises(dask_hpc.SubmitError, match=words):
        cluster.wait_for_workers(1, timeout=60)


def test_a_refusal_says_which_keys_are_not_the_labs(lab, cluster, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__ACCOUNT", "old")
    lab.says("sbatch", "Invalid account or account/partition combination specified")
    cluster.scale(jobs=1)
    words = r"yours\. Currently, account is from the variable DASK_JOBQUEUE__SLURM__ACCOUNT\.$"
    with pytest.raises(dask_hpc.SubmitError, match=words):
        cluster.wait_for_workers(1, timeout=60)


def test_empty_answer_is_a_refusal(lab, cluster):
    (lab.folder / "bin" / "sbatch").write_text("#!/bin/sh\n")
    cluster.scale(jobs=1)
    with pytest.raises(
        dask_hpc.SubmitError, match=r"^sbatch printed nothing instead of a job id\. If"
    ):
        cluster.wait_for_workers(1, timeout=60)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [("#!/bin/sh\n", 0o644, "Permission denied"), ("\0\0", 0o755, "Exec format error")],
)
def test_command_that_can_not_be_run_is_named(lab, cluster, monkeypatch, content, mode, why):
    sbatch = lab.folder / "bin" / "sbatch"
    sbatch.write_text(content)
    sbatch.chmod(mode)
    monkeypatch.setenv("PATH", str(sbatch.parent))  # none to be found after this one
    cluster.scale(jobs=1)
    with pytest.raises(dask_hpc.SubmitError, match=rf"^Cannot run sbatch: {why}\.$"):
        cluster.wait_for_workers(1, timeout=60)


def test_timeout_says_that_the_jobs_can_not_be_asked_about(lab, cluster):
    lab.hold()
    cluster.scale(jobs=1)
    until(lambda: len(cluster.job_ids) == 1)
    lab.says("squeue", "squeue: error: Unable to contact slurm controller")
    with pytest.raises(
        dask_hpc.WorkerStartTimeoutError, match="squeue: Unable to contact slurm contr"
    ):
        cluster.wait_for_workers(1, timeout=0.5)


def test_timeout_says_how_many_came_and_what_each_job_waits_for(lab, cluster):
    lab.hold()
    cluster.scale(jobs=2)
    until(lambda: len(cluster.job_ids) == 2)
    lab.state("100", "PENDING", "QOSMaxJobsPerUserLimit")
    lab.state("101", "PENDING", "Priority")
    with pytest.raises(TimeoutError) as error:
        cluster.wait_for_workers(6, timeout=0.1)
    assert isinstance(error.value, dask_hpc.WorkerStartTimeoutError)
    assert (error.value.available_workers, error.value.expected_workers) == (0, 6)
    assert str(error.value) == (
        "0 of 6 workers connected within 0.1 s: job 100 pending: your limit of running jobs is "
        "reached until another of your jobs ends (QOSMaxJobsPerUserLimit); "
        "job 101 pending: higher-priority jobs are ahead in the queue (Priority) "
        "(the cluster is scaled to 4 workers)."
    )


def test_timeout_may_be_text(lab, cluster):
    lab.hold()
    with pytest.raises(dask_hpc.WorkerStartTimeoutError, match=r"within 0\.2 s"):
        cluster.wait_for_workers(1, timeout="200ms")


def test_waiting_ends_when_all_jobs_are_over(lab, cluster):
    lab.hold()
    cluster.scale(jobs=2)
    until(lambda: len(cluster.job_ids) == 2)
    for job in cluster.job_ids:
        lab.state(job, "FAILED", "NonZeroExitCode", "node1")
    with pytest.raises(dask_hpc.JobsEndedError) as error:
        cluster.wait_for_workers(4, timeout=60)
    assert "jobs 100, 101 ended on node1, failed: the command failed" in str(error.value)
    assert re.search(r"There is no log at \S+/logs/", str(error.value))


@pytest.mark.parametrize("number", [0, -1, 1.5, None])
def test_a_number_of_workers_that_is_none_is_refused(cluster, number):
    with pytest.raises(ValueError, match="positive integer"):
        cluster.wait_for_workers(number)


def test_wrong_interface_is_one_line_with_those_there_are(lab):
    with pytest.raises(
        dask_hpc.ConfigError, match=r"no network interface ib9 \(it has: \w"
    ) as error:
        dask_hpc.SLURMCluster(interface="ib9")
    assert "jobqueue.slurm" in str(error.value)


def test_jobs_are_cancelled_although_closing_fails_otherwise(lab, monkeypatch):
    cluster = dask_hpc.SLURMCluster()
    lab.hold()
    cluster.scale(jobs=2)
    until(lambda: len(cluster.job_ids) == 2)

    async def broken(**_):
        raise OSError("the scheduler is gone")

    monkeypatch.setattr(cluster.scheduler_comm, "retire_workers", broken, raising=False)
    with pytest.raises(OSError, match="the scheduler is gone"):
        cluster.close()
    assert [sorted(call[1:]) for call in lab.calls("scancel")] == [["100", "101"]]
    monkeypatch.undo()


def test_cancelling_is_tried_again_and_what_is_left_is_named(lab, held, monkeypatch, caplog):
    real = asyncio.sleep
    quicker = "dask_hpc.batch.canceller.asyncio.sleep"
    monkeypatch.setattr(quicker, lambda seconds: real(seconds / 100))
    lab.says("scancel", "scancel: error: Unable to contact slurm controller")
    held.close()
    assert len(lab.calls("scancel")) == 3
    said = [record.getMessage() for record in caplog.records if "cancel" in record.getMessage()]
    assert [line.partition(":")[0] for line in said] == [
        "Cannot cancel jobs at the moment, retrying",
        "Could not cancel jobs",
    ]
    assert re.search("scancel --quiet (100 101|101 100)", said[1])


def test_asynchronous_use(lab):
    async def life():
        async with dask_hpc.SLURMCluster(processes=1, nanny=False, asynchronous=True) as cluster:
            cluster.scale(jobs=2)
            await cluster.wait_for_workers(2, timeout=60)
            async with Client(cluster, asynchronous=True) as client:
                return await client.submit(sum, [1, 2])

    assert asyncio.run(life()) == 3
    assert lab.all_gone()


def test_dask_jobqueues_own_arguments_stay(lab):
    with dask_hpc.SLURMCluster(cores=4, processes=1, queue="long") as cluster:
        assert "#SBATCH -p long\n" in cluster.job_script()
        assert "--cpus-per-task=4" in cluster.job_script()
        assert "slurm" in repr(type(cluster).job_cls).lower()


def test_private_parts_of_dask_that_are_used_here_are_still_there():
    # Behavior above depends on them; this test says which, when Dask changes them.
    from dask_jobqueue.core import Job, JobQueueCluster
    from distributed.deploy.spec import ProcessInterface, SpecCluster

    used = {
        SpecCluster: ["_correct_state_internal", "_close"],
        Job: ["_call", "_submit_job", "_job_id_from_submit_output", "job_id_regexp"],
        ProcessInterface: ["start", "close"],
        JobQueueCluster: ["job_script", "scale", "_dummy_job"],
    }
    missing = [
        f"{c.__name__}.{name}"
        for c, names in used.items()
        for name in names
        if not hasattr(c, name)
    ]
    assert not missing


def test_without_a_batch_system_get_cluster_is_a_local_one():
    with dask.config.set({"dask-hpc.batch-system": None}):
        arguments = {**NO_DASHBOARD, "walltime": "1:00:00", "queue": "short"}
        with dask_hpc.get_cluster(cores=2, processes=1, memory="1 GiB", **arguments) as cluster:
            assert isinstance(cluster, LocalCluster)
            with Client(cluster) as client:
                cluster.scale(jobs=4)  # one computer is one job
                assert len(cluster.plan) == 1
                client.wait_for_workers(1, timeout=60)
                [worker] = client.scheduler_info()["workers"].values()
                assert worker["nthreads"] == 2
                assert worker["memory_limit"] == 2**30
                with pytest.raises(dask_hpc.WorkerStartTimeoutError, match="1 of 3 workers"):
                    cluster.wait_for_workers(3, timeout=0.1)


def test_after_adapt_is_stopped_scaling_is_by_hand_again(lab, cluster):
    cluster.adapt(maximum_jobs=1).stop()
    lab.says("sbatch", REFUSAL)
    cluster.scale(jobs=1)
    until(lambda: cluster._control.pool.submit_errors.last)
    with pytest.raises(dask_hpc.SubmitError, match="Invalid account"):
        cluster.scale(jobs=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"jobs": -1}, r"scale\(jobs=...\) must be a number, 0 or more, not -1"),
        ({"jobs": "two"}, r"scale\(jobs=...\) must be a number"),
        ({"cores": "many"}, r"scale\(cores=...\) must be a number"),
        ({"memory": "much"}, r"scale\(memory=...\): 'much' is not an amount of memory"),
    ],
)
def test_an_impossible_scale_is_refused_in_one_line(cluster, arguments, words):
    with pytest.raises(ValueError, match=words):
        cluster.scale(**arguments)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"maximum_jobs": "x"}, r"adapt\(maximum_jobs=...\) must be a number"),
        ({"minimum": 5, "maximum": 2}, r"the minimum \(3 jobs\) is above the maximum \(1\)"),
        ({"maximum_memory": 4}, "4 has no unit"),
    ],
)
def test_impossible_bounds_are_refused_in_one_line(cluster, bounds, words):
    with pytest.raises(ValueError, match=words):
        cluster.adapt(**bounds)


def test_a_refusal_that_nobody_asks_for_is_told(lab, cluster, monkeypatch):
    monkeypatch.setattr(submit_errors, "REPORT_AFTER_S", 0.1)
    lab.says("sbatch", REFUSAL)
    cluster.scale(jobs=1)
    until(lambda: reported(cluster))
    [said] = reported(cluster)
    assert said.startswith("Slurm rejected the job: ")
    with pytest.raises(dask_hpc.SubmitError, match="Invalid account"):
        cluster.scale(jobs=1)


def test_tasks_that_wait_for_jobs_which_are_all_over_are_told(lab, cluster):
    lab.hold()
    cluster.scale(jobs=1)
    until(lambda: cluster.job_ids == ["100"])
    with Client(cluster) as client:
        futures = client.map(abs, range(3))
        lab.state("100", "CANCELLED")
        until(lambda: len(reported(cluster)) == 2, 30)
        assert reported(cluster)[1] == (
            "No jobs left, but 3 tasks are still queued: call cluster.scale(jobs=...) to continue."
        )
        del futures


def test_a_profile_without_its_arguments_name_is_explained(lab):
    with pytest.raises(TypeError, match="config_name='gpu'"):
        dask_hpc.get_cluster("gpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"memory": 4}, "argument memory: 4 has no unit; use a form such as"),
        (
            {"death_timeout": "soon"},
            "argument death_timeout: must be a time in seconds, not 'soon'",
        ),
        ({"worker_extra_args": "--nanny"}, "argument worker_extra_args: must be a list"),
        ({"cores": "four"}, "argument cores: must be an integer"),
        ({"log_directory": 5}, "argument log_directory: must be the name of a folder, not 5"),
        (
            {"scheduler_options": {"dashboard-address": ":0"}},
            r"argument scheduler_options: dashboard-address: .* \(did you mean dashboard_address\?",
        ),
    ],
)
def test_an_impossible_argument_is_refused_by_its_name(lab, arguments, words):
    with pytest.raises(dask_hpc.ConfigError, match=words):
        dask_hpc.SLURMCluster(**arguments)


def test_processes_that_leave_cores_idle_are_told_of(lab):
    with pytest.warns(
        dask_hpc.ConfigWarning, match="argument processes: does not divide cores: 1 of 4"
    ):
        dask_hpc.SLURMCluster(cores=4, processes=3).close()


def test_a_death_timeout_may_be_written_in_words(lab):
    with dask_hpc.SLURMCluster(death_timeout="2 minutes") as cluster:
        assert "--death-timeout 120 " in cluster.job_script()


def test_adapt_refuses_unknown_argument(lab):
    with dask_hpc.SLURMCluster() as cluster:
        with pytest.raises(
            TypeError,
            match=r"adapt\(maximum_jbos=...\): unknown argument; "
            r"did you mean maximum_jobs\?",
        ):
            cluster.adapt(maximum_jbos=4)
        cluster.adapt(maximum_jobs=4, interval="1s", wait_count=2)


def test_help_of_a_class_has_its_own_arguments_and_no_default_of_upstreams():
    for name in ("SLURMCluster", "HTCondorCluster"):
        text = getattr(dask_hpc, name).__doc__
        assert "\nParameters\n----------\nn_workers : int, optional\n    Number of workers" in text
        assert f"from dask_hpc import {name}" in text
        for argument in ("cores : int", "idle_timeout : ", "scheduler_options : dict"):
            assert argument in text
        assert "sqrt(cores)" not in text
    assert "disk : " in dask_hpc.HTCondorCluster.__doc__
    assert "account : " not in dask_hpc.HTCondorCluster.__doc__


def test_completion_shows_what_a_user_needs(lab):
    with dask_hpc.SLURMCluster() as cluster:
        own = {name for name in dir(cluster) if not name.startswith("_")}
        upstream = {name for name in dir(SpecCluster) if not name.startswith("_")}
    assert {"scale", "adapt", "wait_for_workers", "job_ids", "usage", "watcher", "close"} <= own
    # Those, what SpecCluster and dask-jobqueue keep on each cluster, and nothing else of ours.
    ours = own - upstream - set(vars(cluster))
    assert ours == {
        *("adapting", "batch", "job_header", "job_ids", "job_name", "job_script"),
        *("usage", "watcher"),
    }
