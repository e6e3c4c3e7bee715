"""The little of a GitHub runner that the workflow steps of a README and a composite action need.

`act`, which runs whole workflows, wants images that are not at hand everywhere. Here a step's own
`run:` text goes to bash as a runner gives it: inputs filled in, and GITHUB_ENV, GITHUB_PATH and
GITHUB_OUTPUT read after each step.
"""

import re
import subprocess
from pathlib import Path

import yaml


class Runner:
    """Runs steps one after another in a workspace.

    Parameters
    ----------
    workspace : Path
        The project's checkout.
    scratch : Path
        For the runner's own files.
    env : dict
        What the steps' environment begins with.
    """

    def __init__(self, workspace: Path, scratch: Path, env: dict[str, str]):
        self.workspace = workspace
        self.scratch = scratch
        self.env = {**env, "GITHUB_WORKSPACE": str(workspace), "RUNNER_TEMP": str(scratch)}

    def run(self, text: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the text of a `run:` step with bash."""
        assert "${{" not in text, f"an expression that is not filled in: {text}"
        files = {}
        for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT"):
            files[name] = self.scratch / name
            files[name].write_text("")
        script = self.scratch / "step.sh"
        script.write_text(text)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.workspace,
            env={**self.env, **{k: str(v) for k, v in files.items()}, **env},
            capture_output=True,
            text=True,
        )
        for line in files["GITHUB_ENV"].read_text().splitlines():
            key, _, value = line.partition("=")
            self.env[key] = value
        for line in files["GITHUB_PATH"].read_text().splitlines():
            self.env["PATH"] = f"{line}:{self.env['PATH']}"
        return done

    def use(self, action: Path, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a composite action's steps; return the last, or the first that fails."""
        description = yaml.safe_load((action / "action.yml").read_text())
        assert description["runs"]["using"] == "composite"
        assert set(given) <= set(description["inputs"]), "an input that the action does not have"
        inputs = {name: each["default"] for name, each in description["inputs"].items()} | given
        done = None
        for step in description["runs"]["steps"]:
            assert step["shell"] == "bash"
            env = {
                key: re.sub(
                    r"\$\{\{ inputs\.(\w+) \}\}", lambda found: str(inputs[found[1]]), str(value)
                )
                for key, value in step.get("env", {}).items()
            }
            done = self.run(step["run"], GITHUB_ACTION_PATH=str(action), **env)
            if done.returncode != 0:
                break
        return done
