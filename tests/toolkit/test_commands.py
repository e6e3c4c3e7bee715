"""A job class's own commands: their words, and how the others follow from them."""

import os
import shlex

import dask_jobqueue
import pytest

import dask_hpc
from dask_hpc import batch
from dask_hpc.batch import custom_commands
from dask_hpc.watchdog import registry

from .conftest import until

SLURM, CONDOR = batch.get("slurm"), batch.get("htcondor")
LIST = SLURM.list_command(["1", "2"])


@pytest.mark.parametrize(
    ("own", "cancel", "listed"),
    [
        ("", "scancel --quiet 1 2", "squeue"),
        ("scancel", "scancel --quiet 1 2", "squeue"),
        ("wrapper scancel", "wrapper scancel --quiet 1 2", "wrapper squeue"),
        ("sudo -u lab scancel --hurry", "sudo -u lab scancel --hurry --quiet 1 2", None),
        ("ssh login scancel", "ssh login scancel --quiet 1 2", "ssh login squeue"),
        ("ssh login /opt/bin/scancel", "ssh login /opt/bin/scancel --quiet 1 2", None),
        ("scancel -M east", "scancel -M east --quiet 1 2", "squeue --clusters=east"),
    ],
)
def test_words_before_and_after_the_program_are_kept(own, cancel, listed):
    words = custom_commands.split_command(own)
    assert custom_commands.cancel_commands(SLURM, ["1", "2"], words) == [cancel.split()]
    if listed:
        assert (
            custom_commands.list_command(SLURM, LIST, words)[: len(listed.split())]
            == listed.split()
        )


def test_a_program_that_is_not_known_is_called_for_each_job_as_dask_jobqueue_would():
    assert custom_commands.cancel_commands(SLURM, ["1", "2"], ["kill-job", "--now"]) == [
        ["kill-job", "--now", "1"],
        ["kill-job", "--now", "2"],
    ]
    assert custom_commands.list_command(SLURM, LIST, ["kill-job", "--now"]) == LIST


def test_what_goes_through_another_computers_shell_is_quoted():
    asked = custom_commands.list_command(SLURM, LIST, ["ssh", "login", "scancel"])
    assert asked[:3] == ["ssh", "login", "squeue"]
    assert shlex.split(" ".join(asked[2:])) == LIST


def test_a_programs_folder_is_the_others_too_if_they_are_there(tmp_path):
    scancel, squeue = tmp_path / "scancel", tmp_path / "squeue"
    scancel.touch()
    assert custom_commands.list_command(SLURM, LIST, [str(scancel)])[0] == "squeue"
    squeue.touch()
    assert custom_commands.list_command(SLURM, LIST, [str(scancel)])[0] == str(squeue)
    far = custom_commands.list_command(SLURM, LIST, ["ssh", "login", "/far/scancel"])
    assert far[:3] == ["ssh", "login", "/far/squeue"]


def test_a_relative_path_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert custom_commands.split_command("./wrapper scancel") == [f"{tmp_path}/wrapper", "scancel"]


def test_where_htcondors_jobs_are_is_told_to_every_command():
    own = ["condor_rm", "-forcex", "-name", "access2"]
    assert custom_commands.cancel_commands(CONDOR, ["1"], own) == [[*own, "1"]]
    for command in (CONDOR.list_command(["1"]), CONDOR.accounting_commands(["1"])[0]):
        asked = custom_commands.list_command(CONDOR, command, own)
        assert asked == [command[0], "-name", "access2", *command[1:]]


WRAPPER = '#!/bin/sh\necho "$@" >> {log}\nexec "$@"\n'


def test_a_class_of_ones_own_submits_lists_and_cancels_through_its_program(
    lab, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # no other cluster's file
    log, wrapper = tmp_path / "log", tmp_path / "wrapper"
    wrapper.write_text(WRAPPER.format(log=log))
    wrapper.chmod(0o755)

    class Job(dask_jobqueue.slurm.SLURMJob):
        submit_command = f"{wrapper} sbatch"
        cancel_command = f"{wrapper} scancel"

    lab.hold()
    with dask_hpc.SLURMCluster(job_cls=Job, job_extra_directives=["-J arena"]) as cluster:
        cluster.scale(jobs=1)
        until(lambda: "100" in cluster.job_ids)
        until(lambda: lab.calls("squeue"))
        until(registry.entries)
        [entry] = registry.entries()
        assert entry.cancel == (str(wrapper), "scancel")
        assert entry.other_names == ("arena",)
    names = [line.split()[0] for line in log.read_text().splitlines()]
    assert names[0] == "sbatch"
    assert names[-1] == "scancel"
    assert "squeue" in names
    assert lab.calls("scancel") == [["--quiet", "100"]]


def test_the_job_id_is_found_by_a_job_classs_own_pattern(lab, tmp_path):
    program = tmp_path / "send"
    program.write_text("#!/bin/sh\nsbatch \"$@\" | sed 's/.* /queue 7 has taken no. /'\n")
    program.chmod(0o755)

    class Job(dask_jobqueue.slurm.SLURMJob):
        submit_command = str(program)
        job_id_regexp = r"taken no\. (?P<job_id>\d+)"

    lab.hold()
    with dask_hpc.SLURMCluster(job_cls=Job) as cluster:
        cluster.scale(jobs=1)
        until(lambda: cluster.job_ids == ["100"])
    assert lab.calls("scancel") == [["--quiet", "100"]]


def test_a_cancel_program_of_ones_own_gets_each_job_alone(lab, tmp_path):
    log, program = tmp_path / "log", tmp_path / "end-job"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec scancel "$1"\n')
    program.chmod(0o755)

    class Job(dask_jobqueue.slurm.SLURMJob):
        cancel_command = str(program)

    lab.hold()
    with dask_hpc.SLURMCluster(job_cls=Job) as cluster:
        cluster.scale(jobs=2)
        until(lambda: len(cluster.job_ids) == 2)
    assert sorted(log.read_text().split()) == ["100", "101"]


@pytest.mark.parametrize(
    ("submit", "directives", "variables", "where"),
    [
        ("sbatch", [], {}, []),
        ("sbatch", ["-M east"], {}, ["--clusters=east"]),
        (
            "sbatch",
            ["--qos=x", "--clusters=east"],
            {"SBATCH_CLUSTERS": "west"},
            ["--clusters=west"],
        ),
        ("sbatch", ["-M", "east"], {"SLURM_CLUSTERS": "west"}, ["--clusters=west"]),
        ("sbatch -Mnorth", ["-M east"], {"SLURM_CLUSTERS": "west"}, ["--clusters=north"]),
        ("sbatch", ["--comment=a-M"], {}, []),
    ],
)
def test_jobs_are_listed_and_cancelled_on_the_cluster_that_they_are_submitted_to(
    submit, directives, variables, where
):
    assert SLURM.where(submit.split(), directives, variables) == where


def test_the_cluster_of_the_directives_is_told_to_every_command(lab):
    lab.hold()
    with dask_hpc.SLURMCluster(job_extra_directives=["-M east"]) as cluster:
        cluster.scale(jobs=1)
        until(lambda: lab.calls("squeue"))
    assert lab.calls("squeue")[0][0] == "--clusters=east"
    assert lab.calls("scancel") == [["--clusters=east", "--quiet", "100"]]


IN_A_JOB = {
    "SLURM_JOB_ID": "7",
    "SLURM_MEM_PER_CPU": "500",
    "SLURM_GPUS_PER_TASK": "1",
    "SLURM_TRES_PER_TASK": "cpu=3",
    "SLURM_CPU_BIND": "quiet,mask_cpu:0x3",
    "SLURM_EXPORT_ENV": "NONE",
    "SLURMD_NODENAME": "node1",
}
THE_USERS = {
    "SBATCH_PARTITION": "long",
    "SLURM_CONF": "/etc/slurm.conf",
    "SLURM_CLUSTERS": "east",
    "SQUEUE_FORMAT": "%i",
    "SLURM_EXACT": "1",
    "LANG": "de_DE.UTF-8",
    "OMP_NUM_THREADS": "1",
}


def test_a_submission_has_what_its_user_has_set_and_nothing_of_a_job_around_it():
    assert SLURM.submitting(IN_A_JOB | THE_USERS) == THE_USERS
    # Outside of a job whatever is set is the user's own will.
    outside = {name: value for name, value in IN_A_JOB.items() if name != "SLURM_JOB_ID"}
    assert SLURM.submitting(outside) == outside


def test_a_submission_lacks_what_moves_the_output_or_waits_for_the_job():
    moved = {"SBATCH_OUTPUT": "elsewhere", "SBATCH_ERROR": "elsewhere", "SBATCH_WAIT": "1"}
    assert SLURM.submitting(moved | THE_USERS) == THE_USERS


def test_jobs_are_submitted_without_the_variables_of_the_job_around(lab, tmp_path, monkeypatch):
    sbatch = lab.folder / "bin" / "sbatch"
    lines = sbatch.read_text().splitlines()
    sbatch.write_text("\n".join([lines[0], f"env > {tmp_path}/env", *lines[1:]]) + "\n")
    for name, value in IN_A_JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SBATCH_PARTITION", "long")
    lab.hold()
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        until(lambda: "100" in cluster.job_ids)
    found = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert found.keys().isdisjoint(IN_A_JOB)
    assert found["SBATCH_PARTITION"] == "long"
    assert os.environ["SLURM_JOB_ID"] == "7"
