"""An environment in an archive, which the lines of a job script unpack on a node, in each shell."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

import pytest
from dask.distributed import Client

import dask_hpc
from dask_hpc import batch
from dask_hpc.allocation import job_script
from dask_hpc.config import packed_environment
from dask_hpc.config.resolve import resolve
from dask_hpc.config.scratch import add_scratch

SHELLS = [["bash", "-eu"], ["dash", "-eu"], ["zsh", "-eu"], ["mksh"], ["ksh93"], ["tcsh", "-f"]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return an environment in which Dask is an empty module."""
    folder = tmp_path_factory.mktemp("env") / "env"
    venv.create(folder, symlinks=True)
    (library(folder) / "distributed.py").touch()
    return folder


def library(environment):
    return next(environment.glob("lib/python*/site-packages"))


def pack(folder, archive):
    """Pack an environment, as the page says."""
    new = archive.with_name(f"new-{archive.name}")
    subprocess.run(["tar", "-caf", new, "-C", folder, "."], check=True)
    new.replace(archive)


@pytest.fixture
def archive(environment, tmp_path):
    path = tmp_path / "lab.tar.gz"
    pack(environment, path)
    return path


class Node:
    """The local disk of a node, on which jobs start."""

    def __init__(self, archive, disk):
        self.archive, self.disk = archive, disk

    def start(self, shell=("bash",), one_line=False, **variables):
        """Start the lines of a job script that end with the workers' Python."""
        shebang = f"#!/usr/bin/env {'condor_submit' if one_line else shell[0]}"
        arguments = {"python": str(self.archive), "shebang": shebang}
        before = resolve(batch.get("slurm"), {**arguments, "local_directory": str(self.disk)})
        settings = packed_environment.add_packed_environment(add_scratch(before))
        assert settings.arguments["python"] == '"$dask_python"'
        lines = settings.arguments["job_script_prologue"]
        lines = [*lines[len(before.arguments.get("job_script_prologue") or []) :]]
        lines += ['echo "$dask_python"']
        script = ("; " if one_line else "\n").join(lines) + "\n"
        with tempfile.NamedTemporaryFile("w", dir=self.archive.parent, delete=False) as file:
            file.write(script)
        return subprocess.Popen(
            [*shell, file.name],
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, **variables):
        """Return the Python that the workers of a job get, and what the job's log says."""
        return self.end(self.start(*arguments, **variables))

    @staticmethod
    def end(job):
        said, log = job.communicate(timeout=60)
        assert job.returncode == 0, log
        return said.rstrip("\n"), log

    @property
    def home(self):
        return self.disk / f"dask-environments-{os.geteuid()}"

    @property
    def copies(self):
        return sorted(self.home.glob("*.??????"))


@pytest.fixture
def node(archive, lab, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    return Node(archive, tmp_path / "disk")


def is_unpacked(python, node):
    prefix = subprocess.check_output([python, "-c", "import sys; print(sys.prefix)"], text=True)
    assert python == f"{prefix.strip()}/bin/python"
    return Path(python).is_relative_to(node.home)


def falls_back(node, *words):
    """Check that workers start from this Python, and that one line says why."""
    python, log = node.run()
    assert python == sys.executable
    [line] = log.splitlines()
    assert line.startswith(f"argument python: on {os.uname().nodename}, "), line
    assert line.endswith(f"; workers start from {sys.executable} instead"), line
    assert all(word in line for word in words), line


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_the_workers_python_is_that_of_the_copy_in_each_shell(node, shell):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here")
    python, log = node.run(shell)
    assert log == ""
    assert is_unpacked(python, node)
    assert node.home.stat().st_mode & 0o777 == 0o700
    assert node.run(shell) == (python, "")  # and again


def test_the_same_in_one_line_for_htcondor(node):
    python, log = node.run(["sh"], one_line=True)
    assert log == ""
    assert is_unpacked(python, node)


def test_jobs_that_start_together_unpack_once(node):
    jobs = [node.start() for _ in range(4)]
    assert len({node.end(job) for job in jobs}) == 1
    assert len(node.copies) == 1


def test_what_a_killed_job_has_half_unpacked_is_not_used_and_goes(node):
    python, _ = node.run()
    [copy] = node.copies
    (copy / "complete").unlink()
    (copy / "env/bin/python").unlink()
    again, log = node.run()
    assert log == ""
    assert again != python
    assert is_unpacked(again, node)
    assert len(node.copies) == 2  # another job may be at work on it
    os.utime(copy, (time.time() - 7200,) * 2)
    os.utime(Path(again).parents[2] / "complete", (time.time() - 8 * DAY_S,) * 2)
    node.run()  # the other one is too old to be used, but not to be left there
    assert copy not in node.copies
    assert len(node.copies) == 2


def test_a_job_that_is_cancelled_while_it_unpacks_leaves_nothing(node, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tar").write_text('#!/bin/sh\ntouch "$0.began"; sleep 1\n')
    (tmp_path / "bin/tar").chmod(0o755)
    job = node.start(PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    while not (tmp_path / "bin/tar.began").exists():
        time.sleep(0.01)
    [copy] = node.copies
    children = subprocess.check_output(["pgrep", "-P", str(job.pid)], text=True).split()
    subprocess.run(["kill", *children], check=True)
    job.communicate(timeout=30)
    assert job.returncode == 1
    assert not copy.exists()


def test_a_changed_archive_is_unpacked_anew_and_what_nobody_uses_goes(node, environment):
    first, _ = node.run()
    [old] = node.copies
    (environment / "new").write_text("new\n")
    pack(environment, node.archive)
    (environment / "new").unlink()
    used = subprocess.Popen([first, "-c", "input()"], stdin=subprocess.PIPE)
    os.utime(old, (time.time() - 7200,) * 2)
    second, _ = node.run()
    assert (Path(second).parents[1] / "new").read_text() == "new\n"
    assert len(node.copies) == 2  # a worker runs from the first
    used.communicate(b"\n")
    shutil.rmtree(Path(second).parents[2])
    node.run()
    assert old not in node.copies


def test_a_copy_is_not_used_after_a_week(node):
    """Since nodes remove files from /tmp that nobody has read for ten days."""
    first, _ = node.run()
    complete = Path(first).parents[2] / "complete"
    os.utime(complete, (time.time() - 6 * DAY_S,) * 2)
    assert node.run()[0] == first
    os.utime(complete, (time.time() - 8 * DAY_S,) * 2)
    assert node.run()[0] != first


@as_root
@pytest.mark.parametrize("kind", ["folder", "link", "open"])
def test_what_another_user_has_put_there_is_not_used(node, environment, kind):
    """The disk is like /tmp. The job gets a copy in its own folder, which goes with it."""
    node.disk.chmod(0o1777)
    python, _ = node.run()
    theirs = node.disk / "theirs"
    node.home.rename(theirs)  # with a complete copy of the right name
    if kind == "folder":
        theirs.rename(node.home)
        subprocess.run(["chown", "-R", "65534:65534", node.home], check=True)
    elif kind == "link":
        node.home.symlink_to(theirs)
        os.lchown(node.home, 65534, 65534)
    else:
        theirs.rename(node.home)
        node.home.chmod(0o777)
    own, log = node.run()
    [line] = log.splitlines()
    assert f"not using {node.home}, which is not private: " in line
    assert own != python
    assert Path(own).is_relative_to(node.disk)
    assert Path(own).relative_to(node.disk).parts[0].startswith("dask-scratch-space-")


def test_a_full_disk_is_one_line(node, tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", node.disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        (node.disk / "full").write_bytes(bytes(8192))
        node.disk.chmod(0o700)
        (tmp_path / "env").mkdir()
        (tmp_path / "env/large").write_bytes(os.urandom(100_000))
        pack(tmp_path / "env", node.archive)
        falls_back(node, f"cannot unpack {node.archive} in {node.home}, where 0 MB are free: tar: ")
        assert node.copies == []
    finally:
        subprocess.run(["umount", node.disk], check=True)


def test_an_archive_that_is_no_environment_is_one_line(node, environment, tmp_path):
    node.archive.write_text("no archive")
    falls_back(node, f"cannot unpack {node.archive} in ")
    pack(environment.parent, node.archive)
    falls_back(node, f"{node.archive} has no bin/python that works here")
    # As where it was made from an environment whose Python is not on this node.
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").symlink_to("/nowhere/python3")
    pack(tmp_path / "env", node.archive)
    falls_back(node, f"{node.archive} has no bin/python that works here")
    # A Python that is not this environment's.
    (tmp_path / "env/bin/python").unlink()
    (tmp_path / "env/bin/python").symlink_to(sys.executable)
    pack(tmp_path / "env", node.archive)
    falls_back(node, f"the Python of {node.archive} does not work: ", "Error")
    assert node.copies == []


def test_an_archive_that_is_gone_when_the_job_starts_is_one_line(node):
    job = node.start(shell=["sh", "-c", 'sleep 0.5; exec bash "$1"', "sh"])
    node.archive.unlink()
    python, log = node.end(job)
    assert python == sys.executable
    assert f"there is no {node.archive}; workers start from" in log


@pytest.mark.parametrize("fails", [False, True])
def test_condas_own_program_runs_in_the_copy(node, environment, tmp_path, fails):
    shutil.copytree(environment, tmp_path / "env", symlinks=True)
    code = "import pathlib, sys\npathlib.Path(sys.prefix, 'fixed').write_text(__file__)\n"
    code = "raise SystemExit('no way')\n" if fails else code
    (tmp_path / "env/bin/conda-unpack").write_text(f"#!/usr/bin/env python\n{code}")
    pack(tmp_path / "env", node.archive)
    if fails:
        falls_back(node, "conda-unpack failed: no way")
        return
    python, log = node.run()
    assert log == ""
    prefix = Path(python).parents[1]
    assert (prefix / "fixed").read_text() == f"{prefix}/bin/conda-unpack"


def refused(python):
    with pytest.raises(dask_hpc.ConfigError) as error:
        dask_hpc.SLURMCluster(python=str(python))
    return str(error.value)


def test_an_archive_that_can_not_be_used_is_refused_when_the_cluster_is_made(lab, tmp_path):
    path = tmp_path / "lab.tar.gz"
    assert refused(path).startswith(f"argument python: there is no file {path}; ")
    assert refused("lab.tar.gz") == "argument python: lab.tar.gz is not an absolute path."
    path.touch()
    path.chmod(0o666)
    line = refused(path)
    assert line.startswith(f"argument python: not using {path}, which could run code as you: all ")
    assert f"run `chmod o-w {path}`" in line


@pytest.mark.parametrize("text", ["~/lab.tar.zst", "$LAB/lab.tar.zst"])
def test_names_are_filled_in_where_python_runs(lab, tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LAB", str(tmp_path))
    (tmp_path / "lab.tar.zst").touch()
    with dask_hpc.SLURMCluster(python=text) as cluster:
        assert f" {tmp_path}/lab.tar.zst {shlex.quote(sys.executable)} " in cluster.job_script()


def test_other_values_stay_as_they_are(lab):
    for python in ("/usr/bin/python3", "apptainer exec /lab.sif python3", "/a/my.tar.d/bin/python"):
        with dask_hpc.SLURMCluster(python=python) as cluster:
            assert f"\n{python} -P " in cluster.job_script()


def test_the_program_of_one_job_runs_from_this_environment(lab, archive):
    import dask

    with dask.config.set({"jobqueue.slurm.python": str(archive)}):
        script = job_script.script(["program.py"], nodes=2)
    assert f"exec {shlex.quote(sys.executable)} -u program.py" in script


def workers_run_from_the_copy(batch_system, environment, archive):
    paths = [sysconfig.get_path("purelib"), str(Path(dask_hpc.__file__).parents[1])]
    shutil.copytree(environment, archive.parent / "env", symlinks=True)
    packages = library(archive.parent / "env")
    (packages / "distributed.py").unlink()
    (packages / "behind.pth").write_text("\n".join(paths) + "\n")
    pack(archive.parent / "env", archive)
    with tempfile.TemporaryDirectory() as disk:
        arguments = {"python": str(archive), "local_directory": disk, "processes": 1}
        with dask_hpc.get_cluster(**arguments) as cluster, Client(cluster) as client:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(1, timeout=120)
            [prefix] = client.run(lambda: __import__("sys").prefix).values()
        assert prefix.startswith(f"{disk}/dask-environments-{os.geteuid()}/")
    assert batch_system.all_gone()


@pytest.mark.full  # the lines are tried by themselves above
def test_workers_run_from_the_copy(lab, environment, archive):
    workers_run_from_the_copy(lab, environment, archive)


@pytest.mark.full
def test_the_same_for_each_batch_system(site, environment, archive):
    workers_run_from_the_copy(site, environment, archive)
