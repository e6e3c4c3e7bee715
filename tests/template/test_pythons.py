"""A project on Pythons whose own faults it has to stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# As in the check of docs/how-to/lab-admin.md, the program ends with its cluster open.
CHECK = "from dask_hpc import SLURMCluster; print(SLURMCluster(interface='lo').job_script())"


def python_3_12_early():
    """Return a Python 3.12.0 to 3.12.2 as pyenv puts them, or None."""
    found = Path.home().glob(".pyenv/versions/3.12.[012]/bin/python")
    return next(iter(sorted(found)), None)


@pytest.mark.timeout(600)
def test_early_python_3_12_ends_silently_with_an_open_cluster(render, tmp_path):
    # There, a thread that is started while Python ends is a RuntimeError with its traceback.
    if (python := python_3_12_early()) is None:
        pytest.skip("no Python 3.12.0, 3.12.1 or 3.12.2 is installed here")
    project = render()
    uv, there = [sys.executable, "-m", "uv"], tmp_path / "env"
    subprocess.run([*uv, "venv", "--quiet", "--python", python, there], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", there / "bin/python"]
    subprocess.run([*install, project / "toolkit"], check=True)
    done = subprocess.run(
        [there / "bin/python", "-c", CHECK],
        env={**os.environ, "DASK_CONFIG": str(project / "config")},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "#SBATCH" in done.stdout
