"""A Dask from outside of the environment that goes before its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from dask_hpc._versions import NEWEST_TESTED

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


def test_dask_and_distributed_of_two_releases(monkeypatch):
    from importlib import metadata

    from dask_hpc import ConfigError, _versions

    dask, distribution = metadata.version("dask"), metadata.distribution

    class Distributed:
        def locate_file(self, _):
            return HERE

    monkeypatch.setattr(
        metadata,
        "distribution",
        lambda name: Distributed() if name == "distributed" else distribution(name),
    )
    for same in (dask, f"{dask}.post8+g817e5ffc1"):  # the second one from git
        Distributed.version = same
        _versions.check()
    Distributed.version = "2025.1.0"
    with pytest.raises(ConfigError) as caught:
        _versions.check()
    assert str(caught.value) == (
        f"dask {dask} and distributed 2025.1.0 do not work together: "
        f"`python -m pip install dask=={dask} distributed=={dask}`, or the same with conda."
    )


def said_of(monkeypatch, capsys, version):
    """Return what is said of a Dask of this version at the first and the second import."""
    from dask_hpc import _versions

    monkeypatch.setattr(_versions.metadata, "version", lambda _: version)
    _versions.tell_untested.cache_clear()
    _versions.tell_untested()
    first = capsys.readouterr().err
    _versions.tell_untested()
    return first, capsys.readouterr().err


def test_dask_newer_than_tested(monkeypatch, capsys):
    from dask_hpc._output import messages

    monkeypatch.setattr(messages, "_unconfigured", lambda: True)  # pytest's own logging
    first, second = said_of(monkeypatch, capsys, "2027.1.0")
    assert first.startswith("Dask 2027.1.0 is newer than 20")
    assert first.count("\n") == 1
    assert second == ""
    assert said_of(monkeypatch, capsys, f"{NEWEST_TESTED}.9") == ("", "")
    assert said_of(monkeypatch, capsys, "2026.1.3") == ("", "")


def test_newest_tested():
    # Where this fails and all else passes, raise it.
    import dask

    assert Version(dask.__version__).release[:2] <= Version(NEWEST_TESTED).release
