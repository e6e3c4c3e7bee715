"""A laptop's half of a project where a system has less than Linux has, in a folder with any name.

Windows lacks links that everybody may make, users with ids, and some signals. Here, a Python
without them stands in for it; .github/workflows/laptop.yml has the real systems.
"""

import re

import pytest

from .conftest import RUN_NOTEBOOK

pytestmark = pytest.mark.xdist_group("laptop")

# Runs when Python starts, workers included.
LESS = """
import builtins, os, signal

real = builtins.__import__

def importing(name, globals=None, *rest, **more):
    by = str((globals or {}).get("__name__"))
    if name in ("grp", "pwd", "resource", "fcntl", "termios") and by.startswith("dask_hpc"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, *rest, **more)

def refuse(*_, **__):
    raise OSError(1314, "A required privilege is not held by the client")

builtins.__import__ = importing
os.symlink = refuse
for name in ("geteuid", "getegid", "killpg", "O_NOFOLLOW", "O_NONBLOCK", "getloadavg"):
    delattr(os, name)
for name in ("SIGHUP", "SIGQUIT", "pthread_sigmask"):
    delattr(signal, name)
"""
COMPUTE = """
from dask.distributed import Client
from dask_hpc import get_cluster
from laptop_lab.example import slow_square

if __name__ == "__main__":
    with get_cluster(n_workers=1) as cluster, Client(cluster) as client:
        print(cluster.scheduler_address, client.submit(slow_square, 4, seconds=0).result())
"""


@pytest.fixture(scope="module")
def laptop(install, tmp_path_factory):
    """Return an installed project, and the variables of a system that has less."""
    installed = install("ein Ördner für uns", project_slug="laptop-lab", batch_system="none")
    less = tmp_path_factory.mktemp("less")
    (less / "sitecustomize.py").write_text(LESS)
    # No make, and no other command that an environment does not bring along.
    variables = {"PYTHONPATH": str(less), "PATH": str(installed.prefix / "bin")}
    printed = installed.run("-m", "dask", "hpc", "setup", cwd=installed.project, **variables)
    return installed, variables, printed


def test_setup_copies_where_there_are_no_links(laptop):
    installed, variables, printed = laptop
    folder = installed.prefix / "etc/dask"
    assert printed.count("is a copy, since links are not allowed here: rerun this command") == 5
    assert not any(path.is_symlink() for path in folder.iterdir())
    # Again, after an edit, as the command says.
    path = installed.project / "config/distributed.yaml"
    path.write_text(path.read_text() + "\n# edited\n")
    installed.run("-m", "dask", "hpc", "setup", cwd=installed.project, **variables)
    assert (folder / path.name).read_text().endswith("# edited\n")


@pytest.mark.full
def test_a_cluster_on_this_computer_computes(laptop, tmp_path):
    installed, variables, _ = laptop
    program = installed.project / "eigene Rechnung.py"
    program.write_text(COMPUTE)
    address, result = installed.run(program, cwd=installed.project, **variables).split()
    assert address.startswith("tls://")
    assert result == "16"


@pytest.mark.full
def test_the_tests_and_the_notebook_pass(laptop, tmp_path):
    installed, variables, _ = laptop
    words = ["-m", "pytest", "-p", "no:cacheprovider"]
    more = variables | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert re.search(r"\b2 passed", installed.run(*words, cwd=installed.project, **more))
    done = tmp_path / "00-laptop.ipynb"
    folder = installed.project / "notebooks"
    installed.run("-c", RUN_NOTEBOOK, "00-laptop.ipynb", done, cwd=folder, **variables)
    assert "same results as the loop: True" in done.read_text()


@pytest.mark.full
def test_a_measurement_runs(laptop, tmp_path):
    installed, variables, _ = laptop
    words = ["sleep", "--backend", "local", "--tasks", "4", "--slots", "2", "--seconds", "0.2"]
    words += ["--repeats", "1", "--out", str(tmp_path)]
    installed.run("-m", "dask", "hpc", "bench", "run", *words, **variables)
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_project_needs_no_make(rendered):
    project = rendered("slurm")
    assert not (project / "Makefile").exists()
    assert not re.search(r"^ *make ", (project / "README.md").read_text(), re.MULTILINE)
