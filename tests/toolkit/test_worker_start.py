"""How the workers of batch jobs start, and what the user's own words do about it."""

import os
import subprocess
import sys

import dask
import psutil
import pytest
from dask.distributed import Client
from distributed.utils import get_mp_context

import dask_hpc
from dask_hpc import ConfigError, batch
from dask_hpc.allocation import job_script
from dask_hpc.config.resolve import resolve
from dask_hpc.config.worker_start import METHOD_VARIABLE, add_worker_start, nanny_variables

from ..marks import full

SERVER = f"export {METHOD_VARIABLE}=forkserver"


def filled_in(**kwargs):
    """Return the options and the prologue that a cluster with these arguments has."""
    added = add_worker_start(resolve(batch.get("slurm"), kwargs)).arguments
    return added["worker_extra_args"], added["job_script_prologue"]


def in_the_job(lines, **environment):
    """Return the variables that a worker finds after these lines of its job script."""
    script = "\n".join([*lines, "env"])
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_a_job_script_says_how_its_workers_start(lab):
    with dask_hpc.SLURMCluster() as cluster:
        script = cluster.job_script()
    assert f"\n{SERVER}\n" in script
    assert " --no-dashboard" in next(line for line in script.splitlines() if "dask_worker" in line)


def test_by_keys_of_ours_each_worker_starts_as_with_dask_itself(lab):
    keys = {"dask-hpc.worker-start-method": "spawn", "dask-hpc.worker-dashboards": True}
    with dask.config.set(keys), dask_hpc.SLURMCluster() as cluster:
        script = cluster.job_script()
    assert METHOD_VARIABLE not in script
    assert "OMP_NUM_THREADS" not in script
    assert "dashboard" not in script
    assert "PYTHONUNBUFFERED" in script  # what tasks print is in the log either way


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("worker-start-method", "fork", "must be forkserver or spawn, not 'fork'"),
        ("worker-start-method", ["spawn"], r"must be forkserver or spawn, not \['spawn'\]"),
        ("worker-dashboards", "maybe", "must be true or false, not 'maybe'"),
        ("worker-dashboards", 1, "must be true or false, not 1"),
    ],
)
def test_another_value_is_an_error_of_one_line(lab, key, value, line):
    with dask.config.set({f"dask-hpc.{key}": value}):
        with pytest.raises(ConfigError, match=rf"^dask-hpc\.{key}: {line}\.$"):
            dask_hpc.SLURMCluster()


@pytest.mark.parametrize(
    "own",
    [
        ["--dashboard"],
        ["--no-dashboard"],
        ["--dashboard-address", ":9000"],
        ["--nthreads 1 --dashboard-address=:9000"],
        ["--dashboard-prefix", "x"],
    ],
)
def test_a_users_own_word_on_dashboards_counts(lab, own):
    assert filled_in(worker_extra_args=own)[0] == own
    with dask.config.set({"jobqueue.slurm.worker-extra-args": own}):
        assert filled_in()[0] == own


def test_a_users_other_options_are_kept_beside(lab):
    options, _ = filled_in(worker_extra_args=["--lifetime", "1h"])
    assert options == ["--no-dashboard", "--dashboard-address=127.0.0.1:0", "--lifetime", "1h"]


def test_another_command_than_dask_worker_keeps_its_options_and_start_method(lab):
    options, lines = filled_in(worker_command="dask_cuda.cli")
    assert options == []
    assert lines == ["export PYTHONUNBUFFERED=${PYTHONUNBUFFERED-1}"]


@pytest.mark.parametrize(
    "how", [{"nanny": False, "processes": 1}, {"worker_extra_args": ["--no-nanny"]}]
)
def test_without_a_nanny_there_is_nothing_to_start(lab, how):
    options, lines = filled_in(**how)
    assert "--no-dashboard" in options
    assert lines == ["export PYTHONUNBUFFERED=${PYTHONUNBUFFERED-1}"]


def test_a_bash_in_a_folder_of_another_name_is_bash(lab):
    assert len(filled_in(shebang="#!/home/mcsherry/bin/bash")[1]) > 1


def test_a_script_of_csh_is_left_as_it_is(lab):
    assert filled_in(shebang="#!/bin/tcsh", job_script_prologue=["setenv A 1"])[1] == ["setenv A 1"]


def test_a_start_method_in_dasks_own_configuration_counts(lab, monkeypatch):
    with dask.config.set({"distributed.worker.multiprocessing-method": "fork"}):
        assert SERVER not in filled_in()[1]
    monkeypatch.setenv(METHOD_VARIABLE, "spawn")  # as Dask's own; workers have it from the shell
    assert SERVER not in filled_in()[1]


def test_a_start_method_in_one_of_dasks_files_counts(tmp_path):
    program = (
        "import dask_hpc.cluster.mixin\n"
        "from dask_hpc.config.worker_start import is_chosen_elsewhere\n"
        "print(is_chosen_elsewhere())"
    )

    def chosen():
        environment = {**os.environ, "DASK_CONFIG": str(tmp_path)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert chosen() == "False"
    text = "distributed: {worker: {multiprocessing-method: spawn}}"
    (tmp_path / "distributed.yaml").write_text(text)
    assert chosen() == "True"


def test_a_start_method_in_the_prologue_counts(lab):
    prologue = ["module load x", f"export {METHOD_VARIABLE}=spawn"]
    assert filled_in(job_script_prologue=prologue)[1][:2] == prologue
    assert SERVER not in filled_in(job_script_prologue=prologue)[1]


def test_variables_that_a_nanny_would_set_too_late_are_set_in_the_job(lab):
    keys = {
        "distributed.nanny.environ": {"OMP_NUM_THREADS": 3, "NUMBA_CACHE": "$HOME/it's {x}"},
        "distributed.nanny.pre-spawn-environ.MKL_NUM_THREADS": None,
    }
    with dask.config.set(keys):
        found = in_the_job(filled_in()[1])
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["NUMBA_CACHE"] == "$HOME/it's {x}"
    assert found["OPENBLAS_NUM_THREADS"] == "1"
    assert found["MALLOC_TRIM_THRESHOLD_"] == "65536"
    assert "MKL_NUM_THREADS" not in found


def test_variables_that_the_shell_or_the_prologue_sets_stay(lab):
    _, lines = filled_in(job_script_prologue=["export MKL_NUM_THREADS=8"])
    found = in_the_job(lines, OMP_NUM_THREADS="4", OPENBLAS_NUM_THREADS="", PYTHONUNBUFFERED="x")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONUNBUFFERED")
    assert [found[name] for name in names] == ["4", "8", "", "x"]


@pytest.mark.parametrize("name", ["A B", "1A", "A;reboot", "Ä"])
def test_what_is_no_variable_of_a_shell_is_left_to_the_nanny(lab, name):
    with dask.config.set({"distributed.nanny.environ": {name: "1", "B": "two\nlines", "C": 1}}):
        found = nanny_variables()
    assert found["C"] == 1
    assert not {name, "B"} & set(found)


def test_old_names_of_the_labs_prologue_and_options_are_kept(lab):
    old = {"extra": ["--lifetime", "1h"], "env-extra": ["module load x"]}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in old.items()}):
        options, lines = filled_in()
    assert options[-2:] == ["--lifetime", "1h"]
    assert lines[0] == "module load x"


def test_the_program_of_dask_hpc_run_is_not_a_worker(lab):
    script = job_script.script(["program.py"], 1)
    assert METHOD_VARIABLE not in script
    assert "OMP_NUM_THREADS" not in script


def test_dask_reads_the_variable_and_has_imported_numpy_in_the_server():
    # The reason for nanny_variables: what NumPy reads when it is imported is read then.
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        context = get_mp_context()
    assert context.get_start_method() == "forkserver"
    from multiprocessing.forkserver import _forkserver

    assert "numpy" in _forkserver._preload_modules


# With HTCondor the lines are joined into one.
@pytest.mark.parametrize("site", ["slurm", *full("htcondor")], indirect=True)
def test_workers_come_from_a_server_with_what_their_nanny_would_set(site):
    def look():
        import numpy

        # The server is a copy of the job's process, from which it has its command.
        server = psutil.Process(os.getppid())
        is_copy = server.cmdline() == server.parent().cmdline()
        found = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "PYTHONUNBUFFERED")]
        return is_copy, hash("dask"), numpy.random.random(), found

    cls = getattr(dask_hpc, site.batch.cluster_class)
    with cls() as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=180)
        servers, hashes, numbers, variables = zip(*client.run(look).values(), strict=True)
    assert servers == (True, True)
    assert len(set(hashes)) == 1  # all workers hash a task's key alike
    assert len(set(numbers)) == 2  # and draw numbers of their own
    assert variables == (["1", "1"],) * 2
