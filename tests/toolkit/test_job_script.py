"""The lines of a job script that run the worker, in each shell that is here."""

import contextlib
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import dask
import psutil
import pytest

import dask_hpc
from dask_hpc.cluster.job_script import WAITING, worker_module
from dask_hpc.config.shell import is_bourne

from ..marks import full
from .conftest import until

# Ends half a second after its first SIGTERM, with 7; a second one ends it at once.
CLOSES = """#!/bin/sh
trap 'trap - TERM; sleep 0.5; touch closed; exit 7' TERM
touch ready
while :; do sleep 0.05; done
"""
# What a Dask worker does that hangs while it closes.
HANGS = CLOSES.replace("sleep 0.5;", "while :; do sleep 0.05; done;")

SHELLS = [["bash"], ["bash", "-eu"], ["dash", "-eu"], ["zsh", "-eu"]]


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request):
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"there is no {request.param[0]} here")
    return request.param


@pytest.fixture
def job(shell, tmp_path):
    """Run a worker's command in a script, as a job; SIGINT is not ignored there."""
    started = []

    def run(command, begin="", end=""):
        worker = tmp_path / "worker"
        if command.startswith("#!"):
            worker.write_text(command)
            worker.chmod(0o755)
            command = str(worker)
        script = tmp_path / "script"
        waiting = WAITING.replace("seq 50", "seq 15").replace("exit ", f"{end}exit ")
        script.write_text(begin + command + waiting)
        process = subprocess.Popen(
            [*shell, script], cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE
        )
        started.append(process)
        if command == str(worker):
            until((tmp_path / "ready").exists)
            time.sleep(0.3)  # the shell, too, has come to wait
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("code", [0, 3])
def test_the_jobs_exit_code_is_the_workers(job, code):
    assert job(f"sh -c 'exit {code}'").wait(10) == code


def test_a_worker_that_is_killed_makes_the_job_fail_as_it_would_alone(job):
    assert job("sh -c 'kill -9 $$'").wait(10) == 128 + 9


def test_a_signal_to_the_whole_job_reaches_the_worker_once_and_the_shell_waits(job, tmp_path):
    process = job(CLOSES)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(4) == 7
    assert (tmp_path / "closed").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, *full(signal.SIGINT)], ids=lambda n: n.name)
def test_a_signal_to_the_shell_alone_is_passed_on(job, tmp_path, number):
    process = job(CLOSES)
    process.send_signal(number)
    assert process.wait(12) == 7
    assert (tmp_path / "closed").exists()


def test_a_worker_that_hangs_is_ended(job):
    process = job(HANGS)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(12) == 128 + signal.SIGTERM


def test_lines_may_follow_the_worker_also_after_a_signal(job, tmp_path):
    process = job(CLOSES, end="touch after; ")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(4) == 7
    assert (tmp_path / "after").exists()


def test_a_trap_on_exit_of_the_lab_still_runs(job, tmp_path):
    process = job(CLOSES, begin="trap 'touch tidied' EXIT\n")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(4) == 7
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize(
    ("shebang", "bourne"),
    [
        ("#!/bin/bash -leu", True),
        ("#!/usr/bin/env zsh", True),
        ("#!/usr/bin/env -S FOO=1 bash -l", True),
        ("#! /bin/sh", True),
        ("#!/usr/local/bin/ksh93", True),
        ("#!/bin/tcsh", False),
        ("#!/usr/bin/env fish", False),
        ("#!/usr/bin/env", False),
        ("", False),
        (None, False),
    ],
)
def test_a_bourne_shell_is_known_by_its_name(shebang, bourne):
    assert is_bourne(shebang) is bourne


def test_every_batch_system_has_the_lines(site):
    with dask_hpc.get_cluster() as cluster:
        script = cluster.job_script()
    assert script.count(WAITING) == (0 if site.batch.name == "htcondor" else 1)
    assert script.count("trap stop_worker INT TERM") == 1
    assert script.count("distributed.cli.dask_worker") == 1


def test_scripts_of_csh_start_a_shell_for_them(lab):
    with dask.config.set({"jobqueue.slurm.shebang": "#!/bin/csh"}):
        with dask_hpc.SLURMCluster() as cluster:
            [line] = [it for it in cluster.job_script().splitlines() if "trap" in it]
    [*begin, code] = shlex.split(line)
    assert begin == ["exec", "sh", "-c"]
    assert " distributed.cli.dask_worker tls://" in code
    assert "%%" not in code


def test_a_script_is_submitted_from_a_private_folder_whatever_the_umask(site, tmp_path):
    """In /tmp, under a name that is free for a moment, it could be another user's script."""
    with dask_hpc.get_cluster() as cluster:
        before = os.umask(0)
        try:
            with cluster._dummy_job.job_file() as script:
                folder = Path(script).parent
                assert Path(script).read_text() == cluster.job_script()
                status = folder.stat()
                assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, os.geteuid())
        finally:
            os.umask(before)
    assert not folder.exists()


@pytest.mark.parametrize("append", [True, False])
@pytest.mark.parametrize("options", ["", *full("-S")])  # -S: there is no toolkit
def test_worker_module_is_run_as_with_m(append, options, tmp_path):
    folder = tmp_path / "environment"
    folder.mkdir()
    (folder / "probe.py").write_text(
        "import sys; print(__name__, sys.argv[1:], sys.path[-1] == sys.argv[-1])"
    )
    command = f"{sys.executable} -P {options} {worker_module(append)} probe a {tmp_path}"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    output = subprocess.check_output(["sh", "-c", command], cwd=tmp_path, env=env, text=True)
    assert output == f"__main__ {['a', str(tmp_path)]} {append}\n"


SERVER = """
import multiprocessing, os, pathlib, sys
from dask_hpc.cluster import worker_server
from dask_hpc.security import openssl


def command(process):
    return pathlib.Path(f"/proc/{process}/cmdline").read_text()


def outer():
    print(command(os.getppid()) == command("self"), os.getppid())
    print("distributed.http.health" in sys.modules, openssl.initialize.cache_info().currsize)
    print([path for path in pathlib.Path("/proc/self/fd").iterdir() if path.exists() and
           path.resolve().name == "held"])
    # Through the same server, whose lock its copy would otherwise keep for ever.
    inner = multiprocessing.get_context("forkserver").Process(target=print, args=["inner"])
    inner.start()
    inner.join()


if __name__ == "__main__":
    with open("held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        worker_server.start(["--tls-key", "key"])
        process = multiprocessing.get_context("forkserver").Process(target=outer)
        process.start()
        process.join()
"""


def test_the_server_of_workers_is_a_copy_of_the_jobs_process_and_ends_with_it(tmp_path):
    (tmp_path / "program.py").write_text(SERVER)
    method = {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver"}
    command = [sys.executable, "program.py"]
    output = subprocess.check_output(
        command, cwd=tmp_path, env={**os.environ, **method}, text=True, timeout=60
    )
    is_copy, server, *others = output.split()
    assert is_copy == "True"
    assert others == ["True", "1", "[]", "inner"]
    until(lambda: not psutil.pid_exists(int(server)))


def test_a_job_that_hangs_leaves_no_process(lab, tmp_path):
    """As on the testbed, where the worker's shell died of SIGTERM and the worker did not."""
    hangs = tmp_path / "hangs"
    hangs.write_text(HANGS.replace("touch ready", f"touch {tmp_path}/ready"))
    hangs.chmod(0o755)
    with dask_hpc.SLURMCluster(python=str(hangs)) as cluster:
        cluster.scale(jobs=1)
        until((tmp_path / "ready").exists)
        pids = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if str(hangs) in _read(path)
        ]
        assert pids
    assert lab.all_gone(12)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""
