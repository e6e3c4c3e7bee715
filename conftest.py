"""For all tests: the lab's project on the testbed, installed there as alice."""

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpc_testbed import Testbed, install_project

REPOSITORY = Path(__file__).parent
ANSWERS = REPOSITORY / "hpc-slurm-testbed" / "answers.yaml"


@dataclass
class Lab:
    """The project on the testbed's shared home."""

    testbed: Testbed
    home: str

    def shell(self, command, **options):
        """Run a shell command in the project's folder with its environment activated."""
        return self.testbed.run(f"cd {self.home} && . .venv/bin/activate && {command}", **options)

    def python(self, code, **options):
        """Run Python code in the project's environment; return what it printed."""
        return self.shell(f"python -c {shlex.quote(code)}", **options).stdout


@pytest.fixture(scope="session")
def lab_session(testbed_session, tmp_path_factory):
    """Return the lab's project, rendered and installed once a session."""
    folder = tmp_path_factory.mktemp("rendered")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", ANSWERS]
    subprocess.run([*command, "--output-dir", folder, REPOSITORY], check=True, capture_output=True)
    project = folder / "demo-lab"
    lab = Lab(testbed_session, install_project(testbed_session, project))
    lab.shell("dask hpc setup")
    return lab


@pytest.fixture
def lab(testbed, lab_session):  # noqa: ARG001 - after the test it checks what is left
    """Return the lab's project; the test must leave no job behind."""
    return lab_session
