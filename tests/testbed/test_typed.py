"""The lines of the READMEs that start, use and end a testbed, typed as they stand."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from hpc_testbed import Testbed, docker_problem

REPOSITORY = Path(__file__).parents[2]
NAME = "hpc-typed"


@pytest.fixture
def typed(tmp_path):
    """Return a function that types lines into a shell; their testbed is down at the end."""
    if docker_problem():
        pytest.skip(docker_problem())
    # What the Makefile would install is there.
    settings = {"TESTBED_NAME": NAME, "MAKEFLAGS": "--old-file=.venv/demo-ready"}
    settings["PATH"] = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"

    def typed(lines, folder):
        script = "set -e\n" + "\n".join(lines)
        options = {"cwd": folder, "env": {**os.environ, **settings}, "stdin": subprocess.DEVNULL}
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert Testbed(NAME).leftover_resources() == []
        return done.stdout

    yield typed
    Testbed(NAME).down()


def block(page, begin):
    text = (REPOSITORY / page).read_text()
    found = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return next(lines for lines in found if lines.startswith(begin)).splitlines()


@pytest.mark.full
@pytest.mark.testbed
@pytest.mark.timeout(900)
def test_the_verbs_of_make(typed):
    typed(block("README.md", "make testbed-up"), REPOSITORY)


@pytest.mark.full
@pytest.mark.testbed
@pytest.mark.timeout(900)
def test_the_command_of_the_testbeds_own_readme(typed, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/job.sh").write_text("#!/bin/bash\nhostname\n")
    lines = block("hpc-slurm-testbed/README.md", "pip install")
    # The first installs it, see tests/downstream; the last has a test of its own.
    typed([line for line in lines if not line.startswith(("pip", "hpc-testbed soak"))], tmp_path)
