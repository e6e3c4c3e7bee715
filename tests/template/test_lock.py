"""A lock repeats an environment: installed from it with pip and with uv, both have equal packages.

These download a project's packages, three times.
"""

import re
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import environment, run
from .pages import block

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

UV = Path(sys.executable).with_name("uv")


class Environment:
    """A new virtual environment, in which nothing of this one is seen."""

    def __init__(self, prefix, home):
        self.prefix = prefix
        settings = {"PATH": f"{prefix}/bin:{UV.parent}:/usr/bin:/bin", "VIRTUAL_ENV": str(prefix)}
        self.settings = environment(home, **settings)
        run([sys.executable, "-m", "venv", prefix])

    def __call__(self, command, cwd):
        return run(["bash", "-e", "-c", command], cwd=cwd, env=self.settings)

    def packages(self, cwd):
        """Return the lines of `uv pip list`, as it does not matter who installed them."""
        return set(self("uv pip freeze --exclude-editable", cwd).splitlines())


@pytest.fixture(scope="module")
def locked(render_to, tmp_path_factory):
    """Return a project with the lock of an environment that it was installed in, and that one."""
    folder = tmp_path_factory.mktemp("a lock, für uns")
    project = render_to(folder, project_slug="blue-lab", batch_system="none")
    first = Environment(folder / "first", folder)
    first("pip install -e .", project)
    assert re.search(r"requirements.lock: \d\d+ packages", first("dask hpc lock", project))
    return project, first


def test_a_lock_names_no_address(locked):
    project, _ = locked
    text = (project / "requirements.lock").read_text()
    assert text.count("--hash=sha256:") > text.count("==") > 50
    assert not re.search(r"https?:|file:|index-url|find-links", text)
    assert not re.search("blue-lab|dask-hpc==", text)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_two_installations_are_equal(locked, tmp_path, installer):
    project, first = locked
    clone = tmp_path / "clone"
    shutil.copytree(project, clone)
    second = Environment(tmp_path / "second", tmp_path)
    lines = block((project / "README.md").read_text(), "pip install --require-hashes")
    for line in lines:
        second(line.replace("pip", "uv pip", 1) if installer == "uv" else line, clone)
    assert second.packages(clone) == first.packages(project)
    assert "This environment equals requirements.lock" in second("dask hpc lock --check", clone)
    second("dask hpc setup", clone)
    assert "2 passed" in second("pytest", clone)
    where = second("python -c 'import dask_hpc; print(dask_hpc.__file__)'", tmp_path)
    assert where.startswith(str(clone / "toolkit/src"))


def test_a_file_that_is_not_the_locked_one_is_refused(locked, tmp_path):
    project, _ = locked
    text = (project / "requirements.lock").read_text()
    path = tmp_path / "requirements.lock"
    path.write_text(re.sub("sha256:[0-9a-f]{4}", "sha256:0000", text))
    second = Environment(tmp_path / "second", tmp_path)
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        second(f"pip install --require-hashes -r {path}", project)


def test_uv_sync_installs_the_project(locked, tmp_path):
    """And uv's own lock, written on the way, holds for the next one who types it."""
    project, _ = locked
    clone, home = tmp_path / "clone", tmp_path / "home"
    shutil.copytree(project, clone)
    home.mkdir()
    settings = environment(home, PATH=f"{UV.parent}:/usr/bin:/bin")
    run([UV, "sync", "--python", sys.executable], cwd=clone, env=settings)
    run([UV, "sync", "--locked"], cwd=clone, env=settings)
    there = {**settings, "PATH": f"{clone}/.venv/bin:/usr/bin:/bin"}
    run(["dask", "hpc", "setup"], cwd=clone, env=there)
    assert "2 passed" in run(["pytest"], cwd=clone, env=there)
    where = run(["python", "-c", "import dask_hpc; print(dask_hpc.__file__)"], cwd=home, env=there)
    assert where.startswith(str(clone / "toolkit/src"))
