"""A clone, a git address and a zip of the repository give the same project."""

import sys

import pytest

from .conftest import REPOSITORY, environment, run
from .rendering import files


def clone(repository, folder):
    run(["git", "clone", "--quiet", repository, folder / "clone"])
    return folder / "clone"


def git_address(repository, folder):
    bare = folder / "a path" / "dask-hpc-starter.git"  # cookiecutter takes .git for a sign of git
    run(["git", "clone", "--quiet", "--bare", repository, bare])
    return bare.as_uri()


def zip_file(repository, folder):
    path = folder / "dask-hpc-starter.zip"
    prefix = "--prefix=dask-hpc-starter-main/"
    run(["git", "-C", repository, "archive", "--format=zip", prefix, f"--output={path}", "HEAD"])
    return path


@pytest.mark.parametrize("source", [clone, git_address, zip_file])
def test_every_way_to_get_the_template_gives_the_same_project(
    template_git, render_to, tmp_path, source
):
    address = source(template_git.path, tmp_path)
    output = tmp_path / "rendered"
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", output, address]
    run([*command, "project_slug=blue-lab"], cwd=home, env=environment(home))

    project = output / "blue-lab"
    direct = render_to(tmp_path / "direct", source=REPOSITORY, project_slug="blue-lab")
    assert files(project) == files(direct)
    for name in files(direct):
        assert (project / name).read_bytes() == (direct / name).read_bytes(), name
