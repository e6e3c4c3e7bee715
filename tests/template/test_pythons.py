"""A project on Pythons whose own faults it has to stand."""

import os
import pwd
import subprocess
import sysconfig
from pathlib import Path

import pytest

from .conftest import environment

# As in the check of docs/how-to/lab-admin.md, the program ends with its cluster open.
CHECK = "from dask_hpc import SLURMCluster; print(SLURMCluster(interface='lo').job_script())"


def python_3_12_early():
    """Return a Python 3.12.0 to 3.12.2 as pyenv puts them, or None."""
    home = pwd.getpwuid(os.getuid()).pw_dir  # HOME is another one for the toolkit's tests
    found = Path(home).glob(".pyenv/versions/3.12.[012]/bin/python")
    return next(iter(sorted(found)), None)


@pytest.mark.full
def test_early_python_3_12_ends_silently_with_an_open_cluster(rendered, tmp_path):
    # There, a thread that is started while Python ends is a RuntimeError with its traceback.
    if (python := python_3_12_early()) is None:
        pytest.skip("no Python 3.12.0, 3.12.1 or 3.12.2 is installed here")
    project = rendered("slurm")
    # What a cluster imports runs in each Python: compiled parts are for all of them, or left out.
    path = f"{project / 'toolkit/src'}{os.pathsep}{sysconfig.get_path('purelib')}"
    own = {"DASK_CONFIG": str(project / "config"), "PYTHONDONTWRITEBYTECODE": "1"}
    own["DASK_LOGGING__DASK_HPC"] = "error"  # it tells that cryptography is left out
    own["DASK_DASK_HPC__SECURITY"] = "false"
    done = subprocess.run(
        [python, "-c", CHECK],
        env={**environment(tmp_path), **own, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "#SBATCH" in done.stdout
