"""A Dask from outside of the environment that goes before its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(sys.prefix, "lib", f"python3.{sys.version_info[1]}", "site-packages")
PYTHON = Path(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
SETUP = "from dask_hpc.cli.main import main; main(['jobs'], prog_name='dask hpc')"
MAKE = "import dask_hpc; dask_hpc.get_cluster"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs code in a Python that looks into ~/.local first.

    It has this Python's packages. A virtual environment's Python looks there last or never; conda's
    is an installation of its own.
    """

    def call(code, **variables):
        kept = {key: os.environ[key] for key in ("PATH", "DASK_CONFIG")}
        return subprocess.run(
            [PYTHON, "-c", f"import site; site.addsitedir({str(HERE)!r}); {code}"],
            env={**kept, "HOME": str(tmp_path), **variables},
            capture_output=True,
            text=True,
        )

    return call


def install(folder, name, version):
    """Make a package that importlib finds, and that can't be imported."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise ImportError('too old')\n")


def user_site(home):
    return home / ".local" / "lib" / HERE.parent.name / "site-packages"


@pytest.mark.parametrize("code", [SETUP, MAKE])
def test_one_in_the_home_is_refused_in_a_line_and_the_remedy_works(run, tmp_path, code):
    install(folder := user_site(tmp_path), "dask", "2024.1.0")
    done = run(code)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert f"dask 2024.1.0 in {folder} hides this environment's" in last
    assert "set PYTHONNOUSERSITE=1" in last
    if code == SETUP:
        assert done.stderr.count("\n") == 1
    again = run(code, PYTHONNOUSERSITE="1")
    assert (again.returncode, again.stderr) == (0, "")


def test_one_on_pythonpath(run, tmp_path):
    install(tmp_path / "old", "distributed", "2024.1.0")
    done = run(SETUP, PYTHONPATH=str(tmp_path / "old"))
    assert done.stderr.count("\n") == 1
    assert f"distributed 2024.1.0 in {tmp_path}/old hides" in done.stderr
    assert "take that folder out of PYTHONPATH" in done.stderr


def test_without_anything_in_front_nothing_is_said(run):
    assert run(SETUP).stderr == ""
    assert run(MAKE).stderr == ""


def test_dask_and_distributed_of_two_versions(monkeypatch):
    from importlib import metadata

    from dask_hpc import ConfigError, _versions

    real = metadata.version("dask")
    monkeypatch.setattr(metadata.distribution("distributed").__class__, "version", real)
    _versions.check()
    monkeypatch.undo()

    class Old:
        version = "2026.7.1"

        def locate_file(self, _):
            return HERE

    def distribution(name):
        return Old() if name == "distributed" else _real(name)

    _real = metadata.distribution
    monkeypatch.setattr(metadata, "distribution", distribution)
    with pytest.raises(ConfigError, match=f"dask {real} and distributed 2026.7.1 do not work toge"):
        _versions.check()
