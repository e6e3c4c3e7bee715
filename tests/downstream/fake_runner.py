"""The little of a GitHub runner that the workflow steps of a README and a composite action need.

`act`, which runs whole workflows, wants images that are not at hand everywhere. Here a step's own
`run:` text goes to bash as a runner gives it: inputs filled in, and GITHUB_ENV, GITHUB_PATH and
GITHUB_OUTPUT read after each step.
"""

import re
import shutil
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
        self.cache = scratch / "cache"  # what actions/cache keeps
        self.outputs: dict[str, str] = {}  # of the last step
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
        self.outputs = dict(
            line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines()
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
        values = {f"inputs.{name}": str(value) for name, value in inputs.items()}

        def filled(texts):
            return {
                key: re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: values[found[1]], str(text))
                for key, text in texts.items()
            }

        done, to_save = None, {}
        for step in description["runs"]["steps"]:
            if step.get("uses", "").startswith("actions/cache@"):
                cache = filled(step["with"])
                kept, path = self.cache / cache["key"], Path(cache["path"])
                if kept.exists():
                    shutil.copy(kept, path)
                else:
                    to_save[path] = kept
                continue
            assert step["shell"] == "bash"
            env = filled(step.get("env", {}))
            done = self.run(step["run"], GITHUB_ACTION_PATH=str(action), **env)
            values |= {f"steps.{step.get('id')}.outputs.{k}": v for k, v in self.outputs.items()}
            if done.returncode != 0:
                break
        for path, kept in to_save.items():  # as the runner does when a job has ended well
            if path.exists():
                kept.parent.mkdir(exist_ok=True)
                shutil.move(path, kept)
        return done
