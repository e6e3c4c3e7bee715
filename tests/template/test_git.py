"""The project in git: what is committed, what is not, and its workflow on GitHub."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from .conftest import ANSWERS, Repository, environment, run
from .rendering import files

pytestmark = pytest.mark.xdist_group("cruft")

WORKFLOW = ".github/workflows/tests.yml"


def test_making_a_project_starts_no_repository(render):
    # cruft renders into temporary folders, a lab perhaps inside a repository that it has.
    assert not (render(**ANSWERS) / ".git").exists()


def test_everything_that_the_template_writes_is_committed(linked_lab):
    committed = linked_lab("git", "ls-files", "-z").rstrip("\0").split("\0")
    written = {name for name in files(linked_lab.path) if not name.startswith(".git/")}
    assert set(committed) == written
    assert {".cruft.json", WORKFLOW} <= written
    assert linked_lab("git", "status", "--porcelain", "--ignored") == ""


def test_what_work_leaves_behind_is_not_committed(linked_lab):
    for name in [
        ".venv/bin/python",
        "src/blue_lab/__pycache__/example.cpython-312.pyc",
        "notebooks/.ipynb_checkpoints/00-laptop-checkpoint.ipynb",
        "notebooks/dask-logs/blue-lab-17.err",
        "dask-logs/blue-lab-17.out",
        "dask-scratch-space/worker-1/x",
        "bench-results/report.html",
        ".pytest_cache/README.md",
    ]:
        path = linked_lab.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert linked_lab("git", "status", "--porcelain") == ""


def test_what_an_update_could_not_bring_in_is_seen(linked_lab):
    (linked_lab.path / "config/jobqueue.yaml.rej").touch()
    assert ".rej" in linked_lab("git", "status", "--porcelain")


def test_the_workflow_takes_the_environments_python(rendered):
    project = rendered("slurm")
    [python] = [
        step["with"]["python-version"]
        for step in workflow_steps(project)
        if "setup-python" in step.get("uses", "")
    ]
    specs = yaml.safe_load((project / "environment.yml").read_text())["dependencies"]
    assert f"python ={python}" in specs


def workflow_steps(project):
    [job] = yaml.safe_load((project / WORKFLOW).read_text())["jobs"].values()
    return job["steps"]


# In `make test`, test_readmes.py types the same lines, in the project's folder.
@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("from_the_index", [False, True])
def test_the_workflows_own_steps_pass_in_a_clone(linked_lab, tmp_path, git_home, from_the_index):
    """Run in a new environment, with what pip fetches or with the packages of this one."""
    clone = Repository(tmp_path / "clone", git_home)
    run(["git", "clone", "--quiet", linked_lab.path, clone.path])
    prefix = tmp_path / "env"
    # pip comes with the packages of this one.
    options = [] if from_the_index else ["--without-pip"]
    run([sys.executable, "-m", "venv", *options, prefix])
    settings = {"PATH": f"{prefix}/bin:/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if not from_the_index:
        purelib = run(
            [prefix / "bin/python", "-c", "import site; print(site.getsitepackages()[0])"]
        )
        behind = Path(purelib.strip(), "behind.pth")
        behind.write_text(sysconfig.get_path("purelib") + "\n")
        # "0" is pip's way to say that there is no isolation.
        settings |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        settings |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    printed = ""
    commands = [step["run"] for step in workflow_steps(clone.path) if "run" in step]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            ["bash", "-e", "-c", command],  # as GitHub runs a step
            cwd=clone.path,
            env=environment(git_home, **settings),
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}\n{printed}"
    assert "2 passed" in printed
    where = [prefix / "bin/python", "-c", "import dask_hpc; print(dask_hpc.__file__)"]
    assert run(where).startswith(str(clone.path))
    assert clone("git", "status", "--porcelain") == ""
