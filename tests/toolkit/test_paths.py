"""Folders of the configuration: filled in, made, and an error one can read where that fails."""

import errno
import getpass
import importlib.util
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import dask
import pytest

from dask_hpc import ConfigError, SLURMCluster, batch
from dask_hpc.config import paths, resolve

SLURM = batch.get("slurm")
NEEDS_CRYPTOGRAPHY = pytest.mark.skipif(
    importlib.util.find_spec("cryptography") is None, reason="Dask makes keys with cryptography"
)
WHERE = "jobqueue.slurm.local-directory"


def test_a_folder_in_the_home_of_nobody_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="unknown user nobody9 in ~nobody9/x"):
        paths.ensure_shared_directory("~nobody9/x", "jobqueue.slurm.log-directory")
    assert not list(tmp_path.iterdir())


def test_tilde_and_variables_of_a_shared_folder_are_filled_in_and_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    assert paths.ensure_shared_directory("~/a", "key") == f"{tmp_path}/home/a"
    assert (
        paths.ensure_shared_directory("$SCRATCH/${SCRATCH}/b", "key")
        == f"{tmp_path}/scratch/{tmp_path}/scratch/b"
    )
    assert Path(f"{tmp_path}/home/a").is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_shared_folder_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o555)
    with pytest.raises(ConfigError, match=r"key: cannot write to .*theirs"):
        paths.ensure_shared_directory(str(tmp_path / "theirs"), "key")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "Disk quota exceeded"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_folder_in_which_no_file_can_be_made_is_refused_with_the_reason(
    tmp_path, monkeypatch, number, words
):
    def refuse(dir):
        raise OSError(number, os.strerror(number), dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=f"^key: cannot write to {tmp_path}: {words}.$"):
        paths.ensure_shared_directory(str(tmp_path), "key")


def test_of_a_folder_that_may_not_be_written_to_owner_and_mode_are_said(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    line = paths._why(str(tmp_path), error)
    assert "you own it, but its mode is dr-x------: run `chmod u+wx" in line
    # The remedy, typed.
    subprocess.run(re.search("`(.*)`", line)[1], shell=True, check=True)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert f"it belongs to {getpass.getuser()}, and its mode" in paths._why(str(tmp_path), error)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else for a moment")
def test_ones_own_folder_without_the_right_to_write_is_said_to_be_so(tmp_path):
    code = (
        "import os, sys; os.chmod(sys.argv[1], 0o711); os.mkdir(sys.argv[2], 0o500); "
        "os.chown(sys.argv[2], 65534, 65534); from dask_hpc.config import paths; "
        "os.setegid(65534); os.seteuid(65534); paths.ensure_shared_directory(sys.argv[2], 'key')"
    )
    own = [tmp_path, *tmp_path.parents]
    for parent in own[: 1 + [path.name.startswith("pytest-of-") for path in own].index(True)]:
        parent.chmod(0o711)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path, tmp_path / "mine"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "mine: you own it, but its mode is dr-x------" in done.stderr


def on_a_node(text, environment=None, shebang="#!/bin/sh"):
    """Return what a job's shell makes of a folder: exit code, the folder, what is said."""
    word, lines = paths.node_directory(text, WHERE, shebang)
    script = "\n".join([*lines, f"printf %s {word}"])
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("{}/plain", "{}/plain"),
        ("{}/with space", "{}/with space"),
        ("$DISK/dask", "{}/the disk/dask"),
        ("${{DISK}}", "{}/the disk"),
        ("~", "{}/home"),
        ("~/dask/${{HOME}}", "{0}/home/dask/{0}/home"),
        ("{}/$USER/$LOGNAME", "{}/ME/ME"),
        ("{}/it's", "{}/it's"),
    ],
)
def test_the_nodes_shell_fills_in_what_the_node_knows(text, folder, tmp_path):
    environment = {"DISK": f"{tmp_path}/the disk", "HOME": f"{tmp_path}/home"}
    expected = folder.format(tmp_path).replace("ME", getpass.getuser())
    assert on_a_node(text.format(tmp_path), environment) == (0, expected, "")


@pytest.mark.parametrize("text", ["$TMPDIR", "$TMPDIR/dask", "/tmp/${TMPDIR}"])
def test_a_variable_that_the_node_does_not_know_ends_the_job_with_its_name_and_the_key(text):
    code, printed, said = on_a_node(text)
    assert (code != 0, printed) == (True, "")
    assert said.rstrip().endswith(f"TMPDIR: is not set on this node, but {WHERE} uses it")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "shebang"),
    [
        ("${TMPDIR:-/tmp}", "#!/bin/bash"),
        ("`mktemp -d`", "#!/bin/bash"),
        ("$(mktemp -d)", "#!/bin/bash"),
        ("$TMPDIR", "#!/bin/tcsh"),
    ],
)
def test_more_of_a_shells_syntax_and_other_shells_are_left_alone(text, shebang):
    assert paths.node_directory(text, WHERE, shebang) == (text, [])


def test_the_lines_come_after_those_of_the_lab(lab):
    settings = {"local-directory": "$DISK", "job-script-prologue": ["export DISK=/disk"]}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        with SLURMCluster() as cluster:
            script = cluster.job_script().splitlines()
    first = script.index("export DISK=/disk")
    checks = [number for number, line in enumerate(script) if "${DISK:?is not set" in line]
    folder = script.index('dask_scratch="${DISK}"')
    [worker] = [n for n, line in enumerate(script) if ' --local-directory "$dask_scratch" ' in line]
    assert [first, *checks, folder, worker] == sorted([first, *checks, folder, worker])
    assert len(checks) == 1


def keys(folder) -> list[Path]:
    return sorted(Path(folder).glob(".dask-hpc-*/.dask-jobqueue.worker.*"))


@pytest.mark.filterwarnings("error::UserWarning")
@NEEDS_CRYPTOGRAPHY
@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        pytest.param({"shared_temp_directory": "$PLACE/$USER"}, "place/ME", id="configured"),
        pytest.param({}, "logs", id="left out: where the output goes", marks=pytest.mark.full),
    ],
)
def test_keys_of_encrypted_connections_are_in_the_shared_folder_and_gone_after_close(
    lab, tmp_path, monkeypatch, arguments, folder
):
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    monkeypatch.setenv("USER", getpass.getuser())
    folder = tmp_path / folder.replace("ME", getpass.getuser())
    with SLURMCluster(**arguments) as cluster:
        assert len(keys(folder)) == 3
        private = {path.parent for path in keys(folder)} | {*keys(folder)}
        assert all(path.stat().st_mode & 0o077 == 0 for path in private)
        assert str(folder) in cluster.job_script()
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=180)
    assert list(folder.glob(".dask-hpc-*")) == []
    assert list(tmp_path.glob(".dask-*")) == []


def test_a_shared_folder_that_can_not_be_made_is_one_line(lab):
    arguments = {"security": True, "shared_temp_directory": "/proc/nowhere"}
    with pytest.raises(
        ConfigError, match=r"argument shared_temp_directory: cannot create /proc/nowhere"
    ):
        SLURMCluster(**arguments)
    assert resolve.resolve(SLURM, {**arguments, "security": None})  # nothing will be put there
