"""What the Makefile's verbs do with a user's own settings of pip."""

import os
import subprocess
from pathlib import Path

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
