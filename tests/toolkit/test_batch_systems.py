"""Every batch system's cluster class, from the yaml to the last job cancelled, with fakes."""

import asyncio
import getpass
import re

import dask
import pytest
from dask.distributed import Client

import dask_hpc
from dask_hpc.batch import JobState, commands
from dask_hpc.cluster.submit_errors import submit_error

from ..marks import quick
from .conftest import until
from .fake_batch_system import FAKE_COMMANDS


def states(cluster, job):
    return [event.state for event in cluster.watcher.events if event.job == job]


@pytest.mark.parametrize("site", quick(FAKE_COMMANDS, "slurm", "sge", "htcondor"), indirect=True)
def test_a_cluster_computes_and_leaves_no_job_behind(site, tmp_path):
    submit, _, cancel = site.commands.commands
    arguments = {"processes": 1, "nanny": False}  # they start sooner
    arguments["local_directory"] = f"{tmp_path}/$USER/new one"
    with dask_hpc.get_cluster(**arguments) as cluster, Client(cluster) as client:
        assert type(cluster) is getattr(dask_hpc, site.batch.cluster_class)
        cluster.scale(jobs=2)
        cluster.wait_for_workers(2, timeout=60)
        assert client.submit(sum, [1, 2]).result() == 3
        for worker in cluster.scheduler.workers.values():
            assert worker.local_directory.startswith(f"{tmp_path}/{getpass.getuser()}/new one/")
            assert worker.memory_limit == int(921.6 * 2**20)  # nine tenths of the job's
        assert sorted(cluster.job_ids) == ["100", "101"]
        until(
            lambda: (
                len(cluster.watcher.jobs) == 2
                and all(job.state is JobState.RUNNING for job in cluster.watcher.jobs.values())
            )
        )
        assert {job.node for job in cluster.watcher.jobs.values()} == {"node1"}
    assert len(site.calls(submit)) == 2
    assert site.all_gone()
    [cancelled] = site.calls(cancel)  # one call for both
    assert [word for word in sorted(cancelled) if word.isdigit()] == ["100", "101"]
    assert states(cluster, "100")[-1] is JobState.CANCELLED


# One whose list tells the reason, and one whose list does not. test_batch_lists.py has all.
@pytest.mark.parametrize("site", quick(FAKE_COMMANDS, "slurm", "sge"), indirect=True)
def test_what_a_job_waits_for_is_told_as_far_as_the_list_says_it(site):
    site.hold()
    with dask_hpc.get_cluster() as cluster:
        cluster.scale(jobs=1)
        until(lambda: states(cluster, "100")[-1:] == [JobState.PENDING])
        with pytest.raises(dask_hpc.WorkerStartTimeoutError) as error:
            cluster.wait_for_workers(1, timeout=0.1)
    told = {
        "slurm": "higher-priority jobs are ahead in the queue (Priority)",
        "pbs": "higher-priority jobs are ahead in the queue (Not Running: Job would conflict with "
        "reservation or top job)",
        "sge": "pending (`qstat -j ID` shows why)",
        "oar": "start scheduled by OAR (scheduledStart 2026-11-25 10:00:00)",
        "lsf": "pending (`bjobs -p ID` shows why)",
        "htcondor": "pending (`condor_q -better-analyze ID` shows why)",
    }
    assert told[site.batch.name] in str(error.value)


# One that lists a job that is over, and one that does not.
@pytest.mark.parametrize("site", quick(FAKE_COMMANDS, "slurm", "pbs"), indirect=True)
def test_jobs_that_end_by_themselves_end_the_waiting_whatever_the_list_says_of_them(site):
    with dask_hpc.get_cluster(python="exit 3 #") as cluster:
        cluster.scale(jobs=2)
        with pytest.raises(dask_hpc.JobsEndedError, match=r"jobs 100, 101 (over|ended)") as error:
            cluster.wait_for_workers(4, timeout=60)
        assert cluster.job_ids == []
    assert ("/logs/" in str(error.value)) == bool(site.batch.log_key)
    assert not site.calls(site.commands.commands[2])


# What the submit command says, as the systems answered (LSF: as others have published it), and what
# is then shown.
REFUSALS = {
    "slurm": (
        "sbatch: error: invalid partition specified: nowhere",
        "Slurm rejected the job: invalid partition specified: nowhere. Check queue: "
        "`sinfo` lists the partitions.",
    ),
    "pbs": (
        "qsub: Unknown queue",
        "PBS rejected the job: Unknown queue. Check queue: `qstat -Q` lists them.",
    ),
    "sge": (
        'Unable to run job: job rejected: the requested project "none" does not exist\nExiting.',
        'SGE rejected the job: Unable to run job: job rejected: the requested project "none" '
        "does not exist; Exiting. Check project: `qconf -sprjl` lists them.",
    ),
    "oar": (
        "There are not enough resources for your request\n"
        "[ERROR] Oarsub failed, please verify your request syntax.",
        "OAR rejected the job: There are not enough resources for your request; Oarsub "
        "failed, please verify your request syntax. The site has no such nodes: check cores, "
        "memory, and resource-spec.",
    ),
    "lsf": (
        "nowhere: No such queue. Job not submitted.",
        "LSF rejected the job: nowhere: No such queue. Job not submitted. Check queue: "
        "`bqueues` lists them.",
    ),
    "htcondor": (
        "\nERROR: Can't find address of local schedd",
        "HTCondor rejected the job: Can't find address of local schedd. HTCondor "
        "does not respond here: submit jobs from an access point.",
    ),
}


def test_refusal_is_one_line_of_its_words_and_of_what_to_change(site):
    words, line = REFUSALS[site.batch.name]
    site.says(site.batch.submit, words)
    with pytest.raises(commands.CommandError) as error:
        asyncio.run(commands.run([site.batch.submit]))
    assert str(submit_error(site.batch, error.value)) == line


def test_cancelling_what_is_over_is_no_error(site, caplog):
    site.hold()
    with dask_hpc.get_cluster() as cluster:
        cluster.scale(jobs=2)
        until(lambda: len(cluster.job_ids) == 2)
        words = {
            "slurm": "scancel: error: Kill job error on job id {}: Invalid job id specified",
            "pbs": "qdel: Unknown Job Id {}.pbs.site.org",
            "sge": 'denied: job "{}" does not exist',
            "oar": "Cannot frag {} ; This job was already killed.",
            "lsf": "Job <{}>: Job has already finished",
            "htcondor": "Couldn't find/remove all jobs in cluster {}",
        }[site.batch.name]
        site.says(site.batch.cancel, "\n".join(words.format(job) for job in cluster.job_ids))
    assert len(site.calls(site.batch.cancel)) == 1
    assert not [
        record for record in caplog.records if "Could not cancel jobs" in record.getMessage()
    ]


def test_what_people_type_is_what_is_called_here(site):
    submit, listing, cancel = site.commands.commands
    assert (site.batch.submit, site.batch.cancel) == (submit, cancel)
    assert site.batch.jobs_command_hint.split()[0] == listing
    assert site.batch.list_command(["1"])[0] == listing
    assert site.batch.cancel_command(["1"])[0] == cancel


# --- The job script ------------------------------------------------------------------------------

# Options of a job script that its batch system documents: man qsub (OpenPBS), man qsub (Grid
# Engine), man oarsub, bsub's reference, man sbatch. dask-jobqueue's own, and what the yaml adds.
DOCUMENTED = {
    # -N is said by dask-jobqueue's main.
    "slurm": {"-J", "-e", "-o", "-p", "-A", "-n", "-N", "--cpus-per-task", "--mem", "-t"},
    "pbs": {"-N", "-q", "-A", "-l", "-e", "-o"},
    "sge": {"-N", "-q", "-P", "-l", "-e", "-o", "-cwd", "-j", "-pe"},
    "oar": {"-n", "-q", "--project", "-l", "-p"},
    "lsf": {"-J", "-e", "-o", "-q", "-P", "-n", "-R", "-M", "-W"},
}
SAYS = {
    "slurm": ["-p short", "-A lab", "--cpus-per-task=2", "--mem=1G", "-t 00:10:00"],
    "pbs": ["-q short", "-A lab", "-l select=1:ncpus=2:mem=1024MB", "-l walltime=00:10:00"],
    "sge": ["-q short", "-P lab", "-l h_vmem=512M", "-l h_rt=00:10:00", "-pe smp 2"],
    "oar": [
        "-q short",
        "--project lab",
        "-l /nodes=1/core=2,walltime=00:10:00",
        "-p memcore>=512",
    ],
    "lsf": ["-q short", '-P "lab"', "-n 2", '-R "span[hosts=1]"', "-M 1073742", "-W 00:10"],
    "htcondor": [
        "RequestCpus = MY.DaskWorkerCores",
        "MY.DaskWorkerCores = 2",
        "MY.DaskWorkerMemory = 1073741824",
        "MY.DaskWorkerDisk = 1073741824",
        '+Group = "lab"',
    ],
}


def test_the_job_script_says_what_the_yaml_says_in_options_that_are_documented(site, recwarn):
    with dask_hpc.get_cluster() as cluster:
        script = cluster.job_script()
    prefix = site.batch.directive
    lines = script.splitlines()
    for said in SAYS[site.batch.name]:
        assert f"{prefix} {said}".strip() in lines
    assert "--nthreads 1" in script
    assert "--nworkers 2" in script
    if prefix:
        options = [line.removeprefix(prefix).split() for line in lines if line.startswith(prefix)]
        assert {words[0].split("=")[0] for words in options} <= DOCUMENTED[site.batch.name]
    else:
        # condor_submit reads keys and values, and takes its work from the last line.
        assert lines[-1] == "Queue"
        assert all(re.fullmatch(r"[\w.+]+ = .+", line) for line in lines[1:-1] if line)
    assert not [w for w in recwarn if issubclass(w.category, (FutureWarning, UserWarning))]


def test_the_summary_of_the_configuration_speaks_the_batch_systems_language(site, monkeypatch):
    from dask_hpc.config import summary

    monkeypatch.setattr(dask.config, "refresh", lambda: None)  # what is in force here is no file
    lines = "\n".join(summary.describe())
    assert f"{site.batch.cluster_class}() now submits {site.batch.label} jobs with" in lines
    own = {site.batch.account_key, site.batch.queue_key, site.batch.walltime_key} - {None}
    named = set(re.findall(r"(?m)^  (\S+) ", lines))
    assert named >= own | {"cores", "processes", "memory", *site.batch.required}


@pytest.mark.parametrize("site", ["htcondor"], indirect=True)
def test_jobs_on_another_access_point_are_submitted_listed_and_cancelled_there(site):
    site.hold()
    there = ["-name", "access2.site.org"]
    arguments = {"submit_command_extra": there, "cancel_command_extra": [*there, "-reason", "over"]}
    with dask_hpc.HTCondorCluster(**arguments) as cluster:
        cluster.scale(jobs=1)
        until(lambda: site.calls("condor_q"))
    assert site.calls("condor_submit")[0][:2] == there
    assert site.calls("condor_q")[0][:3] == [*there, "100"]
    assert site.calls("condor_rm") == [[*there, "-reason", "over", "100"]]


@pytest.mark.parametrize("site", ["lsf"], indirect=True)
def test_bsub_may_be_given_a_file_instead(site):
    site.hold()
    with dask.config.set({"jobqueue.lsf.use-stdin": False}), dask_hpc.LSFCluster() as cluster:
        cluster.scale(jobs=1)
        until(lambda: site.calls("bsub"))
    [[script]] = site.calls("bsub")
    assert script.endswith(".sh")
