"""The private folder of each job on its node, in each shell that is here."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import dask
import pytest
from dask.distributed import Client

import dask_hpc
from dask_hpc import batch
from dask_hpc.cluster.local import LocalCluster
from dask_hpc.config import trust
from dask_hpc.config.resolve import resolve
from dask_hpc.config.scratch import add_scratch

from ..marks import full, quick
from .conftest import NO_DASHBOARD, until
from .fake_batch_system import FAKE_COMMANDS

SHELLS = [["bash", "-eu"], ["dash", "-eu"], ["zsh", "-eu"], ["mksh"], ["ksh93"], ["tcsh", "-f"]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def shell(request):
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"there is no {request.param[0]} here")
    return request.param


@pytest.fixture
def on_a_node(shell, lab, tmp_path):
    """Run the lines of a job script that make the folder; return what they say, and its name."""

    def run(folder=None, environment=None, joined=False):
        shebang = f"#!/usr/bin/env {'condor_submit' if joined else shell[0]}"
        arguments = {"shebang": shebang, "local_directory": folder}
        before = resolve(batch.get("slurm"), arguments).arguments["job_script_prologue"]
        lines = add_scratch(resolve(batch.get("slurm"), arguments)).arguments["job_script_prologue"]
        script = [*lines[len(before) :], 'echo "$dask_scratch"']
        (tmp_path / "script").write_text(("; " if joined else "\n").join(script) + "\n")
        return subprocess.run(
            [*shell, tmp_path / "script"],
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def made(done, parent):
    """Check that a private folder was made, in `parent`; remove it."""
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(done.stdout.rstrip("\n"))
    status = folder.lstat()
    assert (status.st_mode & ~stat.S_ISGID, status.st_uid) == (stat.S_IFDIR | 0o700, os.geteuid())
    assert str(folder.parent) == os.path.realpath(parent)
    folder.rmdir()


def refused(done, *words):
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert all(word in line for word in words), line


@pytest.mark.parametrize("joined", [False, True], ids=["script", "one line"])
def test_a_job_has_a_folder_of_its_own_in_the_place_for_temporary_files(
    on_a_node, shell, tmp_path, joined
):
    if joined and shell[0] == "tcsh":
        pytest.skip("one line is HTCondor's, for sh")
    made(on_a_node(joined=joined), "/tmp")
    made(on_a_node(environment={"TMPDIR": str(tmp_path)}, joined=joined), tmp_path)
    # As inherited from the login node.
    made(on_a_node(environment={"TMPDIR": f"{tmp_path}/none"}, joined=joined), "/tmp")
    made(on_a_node(f"{tmp_path}/new/er", joined=joined), tmp_path / "new/er")


def test_dasks_own_key_for_temporary_files_counts(on_a_node, tmp_path):
    with dask.config.set({"temporary-directory": str(tmp_path / "dasks")}):
        made(on_a_node(), tmp_path / "dasks")
        made(on_a_node(str(tmp_path / "ours")), tmp_path / "ours")


def test_a_folder_that_others_may_write_to_is_refused(on_a_node, tmp_path):
    (tmp_path / "way" / "inner").mkdir(parents=True)
    for folder in (tmp_path / "way", tmp_path / "way" / "inner"):
        folder.chmod(0o777)
        words = f"argument local_directory: {tmp_path}/way/inner is not safe on ", f"{folder}"
        refused(on_a_node(f"{tmp_path}/way/inner"), *words)
        refused(on_a_node(environment={"TMPDIR": f"{tmp_path}/way/inner"}), words[1])
        folder.chmod(0o1777)
    made(on_a_node(f"{tmp_path}/way/inner"), tmp_path / "way/inner")


@as_root
def test_a_folder_that_another_user_made_before_is_refused(on_a_node, tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    for mode in (0o777, 0o1777, 0o755):
        (tmp_path / "theirs").chmod(mode)
        refused(on_a_node(f"{tmp_path}/theirs/dask"), "is not safe", f" {tmp_path}/theirs")


@as_root
def test_htcondors_own_folder_is_used(on_a_node, tmp_path):
    """Its daemons, as user condor, make a job's folder in theirs and give it to the job's user."""
    (tmp_path / "execute" / "dir_810").mkdir(parents=True)
    os.chown(tmp_path / "execute", 65534, 65534)
    scratch = f"{tmp_path}/execute/dir_810"
    refused(on_a_node(environment={"TMPDIR": scratch}), "is not safe", f"{tmp_path}/execute")
    condor = {"TMPDIR": scratch, "_CONDOR_SCRATCH_DIR": scratch}
    made(on_a_node(environment=condor), scratch)
    (tmp_path / "execute").chmod(0o777)
    refused(on_a_node(environment=condor), "is not safe", f"{tmp_path}/execute")


@as_root
def test_a_trusted_group_may_write(on_a_node, tmp_path, monkeypatch):
    (tmp_path / "labs").mkdir()
    os.chown(tmp_path / "labs", 0, 65534)
    (tmp_path / "labs").chmod(0o2775)
    refused(on_a_node(f"{tmp_path}/labs"), "is not safe")
    monkeypatch.setattr(trust, "writing_groups", lambda: {1, 65534})
    made(on_a_node(f"{tmp_path}/labs"), tmp_path / "labs")


def test_a_folder_that_the_node_can_not_make_is_one_line(on_a_node):
    refused(on_a_node("/proc/none"), f"/proc/none is not writable on {os.uname().nodename}")


@pytest.fixture
def planted(monkeypatch):
    """Return a folder for temporary files; another user has made Dask's scratch space in it."""
    # The name of a forkserver's socket in it can have 107 characters.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dask-scratch-space").mkdir()
        (folder / "dask-scratch-space").chmod(0o777)
        folder.chmod(0o1777)
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield folder
        until(lambda: [path.name for path in folder.iterdir()] == ["dask-scratch-space"], 10)
        assert not list((folder / "dask-scratch-space").iterdir())


def is_private(folder, parent):
    base = Path(folder).parent
    assert (base.parent, base.name[:19]) == (parent, "dask-scratch-space-")
    return stat.S_IMODE(base.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    # Job scripts of the others differ in what is not about folders (test_job_script.py).
    "site",
    quick(FAKE_COMMANDS, "slurm"),
    indirect=True,
)
def test_scheduler_and_workers_have_private_folders_and_nothing_is_left(site, planted):
    with dask_hpc.get_cluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=60)
        for server in [cluster.scheduler, *cluster.scheduler.workers.values()]:
            assert is_private(server.local_directory, planted)
        assert client.submit(sum, [1, 2]).result() == 3
    assert site.all_gone()


@pytest.mark.skipif(shutil.which("tcsh") is None, reason="there is no tcsh here")
def test_the_same_in_a_script_for_csh(lab, planted):
    with dask_hpc.get_cluster(shebang="#!/usr/bin/env tcsh") as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=60)
        for worker in cluster.scheduler.workers.values():
            assert is_private(worker.local_directory, planted)
    assert lab.all_gone()


@pytest.mark.parametrize("processes", [True, False])
def test_the_same_on_this_computer(planted, processes):
    arguments = {"n_workers": 1, "processes": processes, **NO_DASHBOARD}
    with LocalCluster(**arguments) as cluster:
        for server in [cluster.scheduler, *cluster.scheduler.workers.values()]:
            assert is_private(server.local_directory, planted)
        cluster.scale(2)
        cluster.wait_for_workers(2, timeout=60)
        places = {Path(it.local_directory).parent for it in cluster.scheduler.workers.values()}
        assert len(places) == 1
    assert not list(planted.glob("dask-scratch-space-*"))


def test_a_local_cluster_uses_the_folder_it_is_given_if_others_can_not_replace_it(tmp_path):
    given = tmp_path / "given"
    arguments = {"n_workers": 1, "processes": False, "local_directory": str(given), **NO_DASHBOARD}
    with LocalCluster(**arguments) as cluster:
        [worker] = cluster.scheduler.workers.values()
        assert is_private(worker.local_directory, given)
    assert not list(given.iterdir())
    given.chmod(0o777)
    with pytest.raises(dask_hpc.ConfigError, match=f"scratch space: not using {given}: all users"):
        LocalCluster(**arguments)


@pytest.mark.parametrize("method", [*full("forkserver"), "spawn"])
def test_modules_in_the_working_directory_do_not_hide_the_environments(lab, tmp_path, method):
    """The worker's processes import json, heapq and more when they start."""
    for name in ("json", "heapq", "multiprocessing", "tornado", "planted_beside"):
        (tmp_path / f"{name}.py").write_text(f"import os; open({str(tmp_path / name)!r}, 'w')\n")

    def probe():
        import json
        import sys

        import planted_beside

        return json.__file__, planted_beside.__file__, sys.path

    with dask.config.set({"dask-hpc.worker-start-method": method}):
        with dask_hpc.get_cluster() as cluster, Client(cluster) as client:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(2, timeout=60)
            json_file, beside, path = client.submit(probe).result()
    assert json_file.endswith("/json/__init__.py")
    assert beside == f"{tmp_path}/planted_beside.py"  # one's own modules do load
    assert path[-1] == str(tmp_path)
    assert str(tmp_path) not in path[:-1]
    made = {it.name for it in tmp_path.iterdir() if it.suffix == ""}
    # Python's own folder is there unless PYTHONDONTWRITEBYTECODE is set.
    assert made - {"__pycache__"} == {"batch", "logs", "planted_beside"}


def test_nothing_loads_from_a_working_directory_that_others_may_write_to(lab, tmp_path, caplog):
    tmp_path.chmod(0o1777)
    for _ in range(2):
        with dask_hpc.get_cluster() as cluster:
            script = cluster.job_script()
    assert f"{shlex.quote(sys.executable)} -P -c " in script
    assert "sys.path.append" not in script
    [line] = [it for it in caplog.messages if "modules" in it]
    begin = f"Workers do not load your own modules from {tmp_path}: all users may write to"
    assert line == f"{begin} {tmp_path}: run `chmod o-w {tmp_path}`."
