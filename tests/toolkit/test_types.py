"""A type checker finds the names that are imported when first used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dask_hpc

CACHE = Path(__file__).parents[2] / "build" / "mypy-types"
PROGRAM = """
from dask_hpc import SLURMCluster, get_cluster
reveal_type(SLURMCluster())
reveal_type(get_cluster)
"""


def test_py_typed():
    assert Path(dask_hpc.__file__).with_name("py.typed").is_file()


def test_mypy_finds_lazy_names(tmp_path):
    pytest.importorskip("mypy")
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    # Without other packages: they take mypy half a minute, and their types are not the question.
    command = [sys.executable, "-m", "mypy", "--config-file=", f"--cache-dir={CACHE}"]
    command += ["--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent", path]
    env = {**os.environ, "MYPYPATH": str(Path(dask_hpc.__file__).parents[1])}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Revealed type is "dask_hpc.cluster.classes.SLURMCluster"' in done.stdout
    assert 'Revealed type is "def (*args: Any, **kwargs: Any)' in done.stdout
