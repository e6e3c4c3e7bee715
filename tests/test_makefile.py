"""The Makefile: a user's own settings of pip, numbers of nodes, an environment that fails."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def make(rule, **settings):
    """Run a rule with the Makefile's variables; return the exit code and what it printed."""
    command = ["make", "--silent", "--eval", f"rule: ; {rule}", "rule"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, **settings}, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_pip_installs_into_the_environment_where_pip_conf_says_user(tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text("[global]\nuser = true\n")
    code, printed = make("@$(PIP) install --no-index pip", PIP_CONFIG_FILE=str(path))
    assert (code, printed) == (0, "")


@pytest.mark.parametrize(
    ("verb", "nodes", "called"),
    [
        ("up", [], "up"),  # as many as run, or the usual number
        ("up", ["NODES=6"], "up --nodes 6"),
        ("scale", ["NODES=12"], "scale --nodes 12"),
    ],
)
def test_the_number_of_nodes_is_the_one_that_was_given(verb, nodes, called):
    code, printed = typed(f"testbed-{verb}", *nodes, "--dry-run")
    assert code == 0
    assert printed.strip().endswith(f"hpc_testbed --target lab {called}")


def test_scaling_needs_a_number_of_nodes():
    code, printed = typed("testbed-scale")
    assert code == 2
    assert printed.startswith("Error: how many nodes? As in: make testbed-scale NODES=12\n")


def typed(*words, cwd=REPOSITORY):
    """Type `make` with words, as if the environment was ready; return exit code and output."""
    command = ["make", "--file", REPOSITORY / "Makefile", "--old-file=.venv/demo-ready", *words]
    # As from a shell, also where `make test` runs this test.
    own = {"NODES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    env = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("import ensurepip", "apt install python3-venv"),
        ("-m venv", "-m venv .venv' failed, see above"),
    ],
)
def test_only_a_missing_ensurepip_is_blamed_on_a_missing_package(tmp_path, fails, said):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncase \"$*\" in *'{fails}'*) echo No space >&2; exit 1;; esac\n")
    python.chmod(0o755)
    code, printed = typed(".venv/python-ready", f"PYTHON={python}", cwd=tmp_path)
    assert code == 2
    assert said in printed
    assert ("apt install" in printed) == (fails == "import ensurepip")
    assert ("No space" in printed) == (fails == "-m venv")
