"""Helpers of the scripts in this folder: the lab's project, installed on a testbed as alice."""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dask_hpc.bench import provenance
from hpc_testbed import Testbed, default_name, install_project

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # for the tables and programs of tests/
ANSWERS = REPOSITORY / "hpc-slurm-testbed" / "answers.yaml"


@dataclass
class Project:
    """The project on a testbed's shared home."""

    testbed: Testbed
    home: str
    variables: str = ""  # for its programs, as in a shell: "A=1 B=2"

    def python(self, program: Path, *arguments: object, timeout: float = 7200) -> str:
        """Run a local program on the testbed; return its output, with the last lines of stderr."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / program.name).write_text(program.read_text())
            self.testbed.put(Path(folder), f"{self.home}/benchmarks")
        words = " ".join(map(str, arguments))
        command = (
            f"cd {self.home}/benchmarks && . ../.venv/bin/activate && "
            f"{self.variables} python {program.name} {words} 2> stderr; "
            "code=$?; tail -5 stderr; exit $code"
        )
        return self.testbed.run(command, timeout=timeout).stdout


def records(printed: str) -> list[dict]:
    """Return the objects that a program printed as JSON, one per line."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def kept(path: Path | None) -> list[dict]:
    """Return the rows of an earlier run's record; none without one."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def keep(path: Path | None, row: dict) -> None:
    """Append a row to a record, if there is to be one."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def options(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the common options of these scripts."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--home", help="home of an installed project, on the running testbed TESTBED_NAME"
    )
    parser.add_argument("--json", type=Path, help="write the record to this file")
    return parser


@functools.cache  # of the code that a script began with
def commit() -> str:
    """Return this checkout's commit, or nothing if git does not know it."""
    return provenance.commit(REPOSITORY)


def install(testbed: Testbed, repository: Path = REPOSITORY, name: str = "demo-lab") -> Project:
    """Render a checkout's template and install the project, under the given name."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", ANSWERS]
        command += ["--output-dir", folder, repository, f"project_slug={name}"]
        subprocess.run(command, check=True, capture_output=True)
        # Older projects do not install the toolkit themselves.
        home = install_project(testbed, Path(folder) / name, packages=("./toolkit", "."))
    testbed.run(f"cd {home} && .venv/bin/dask hpc setup")
    return Project(testbed, home)


def take_turns(lab: Project, chosen: argparse.Namespace, one_round: Callable) -> None:
    """Run rounds, alternating between the project and that of another checkout; print them.

    Parameters
    ----------
    lab : Project
    chosen : argparse.Namespace
        With `times`, and with `against`: the other checkout, or None.
    one_round : callable
        Takes a project and the number of the round, and returns the dict to record.
    """
    sides = {"this": lab}
    if chosen.against:
        sides["other"] = install(lab.testbed, chosen.against, "other-lab")
    rounds = []
    for number in range(chosen.times):
        for side, where in sides.items():
            rounds.append({"side": side, **one_round(where, number)})
            print(json.dumps(rounds[-1]), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rounds, indent=1) + "\n")


@contextmanager
def project(
    purpose: str, home: str | None = None, nodes: int = 4, dockerfile: Path | None = None
) -> Iterator[Project]:
    """Yield the project on a new testbed, or on the testbed TESTBED_NAME."""
    name = os.environ.get("TESTBED_NAME") or default_name(purpose)
    with ExitStack() as held:
        testbed = Testbed(name, nodes=nodes, target="lab", dockerfile=dockerfile)
        if not testbed.is_up():
            testbed.down()  # clean up after a run that was killed
            held.enter_context(testbed)
        yield install(testbed) if home is None else Project(testbed, home)
