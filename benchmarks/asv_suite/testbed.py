"""The Slurm testbed, measured by the harness of the commit, whose wheel is installed there.

asv does not start the testbed: one that is up serves all commits. `benchmarks/run_asv.py` starts it
and sets TESTBED_NAME. A commit has an environment of its own there, with the wheel that asv has
built, on top of the packages of the image; so all commits are measured with the same Dask.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

from . import commit, harness

FOLDER = "asv"  # in the home of alice; run_asv.py knows it, too
INSTALL = (  # not "setup", in any case: asv would call it
    "python3 -m venv --system-site-packages .venv && PIP_USER=0 .venv/bin/pip install --quiet "
    "--disable-pip-version-check --no-index ./*.whl && .venv/bin/python -m dask hpc setup"
)


class Slurm:
    """500 x sleep(1) on 120 slots, and the start of four jobs of one worker each."""

    version = "1"
    timeout = 1200

    def setup_cache(self):
        if problem := missing():
            return {"sleep": problem, "start": problem}
        install()
        try:
            return {"sleep": measure(harness.SLEEP), "start": measure(harness.START)}
        finally:
            shell(f"rm -rf {FOLDER}")

    def track_makespan(self, found):
        return harness.samples(found["sleep"], "makespan_s")

    track_makespan.unit = "seconds"

    def track_overhead(self, found):
        return harness.samples(found["sleep"], "overhead_s")

    track_overhead.unit = "seconds"

    def track_time_to_workers(self, found):
        return harness.samples(found["start"], "makespan_s")

    track_time_to_workers.unit = "seconds"


def missing() -> str:
    """Return what is missing for a measurement on a testbed, if anything is."""
    if not os.environ.get("TESTBED_NAME") or not shutil.which("hpc-testbed"):
        return "no testbed: set TESTBED_NAME, with hpc-testbed on the PATH, as run_asv.py does"
    if commit.wheel() is None:
        return "asv has built no wheel for an existing environment"
    return ""


def install() -> None:
    """Install the commit on the testbed: its project, with its answers, and its wheel."""
    with tempfile.TemporaryDirectory() as folder:
        answers = commit.tree() / "hpc-slurm-testbed" / "answers.yaml"
        project = cookiecutter(
            str(commit.tree()), no_input=True, config_file=str(answers), output_dir=folder
        )
        shutil.copy(commit.wheel(), project)
        shell(f"rm -rf {FOLDER}")  # of a run that was killed
        checked(call("put", project, f"/home/alice/{FOLDER}"))
    checked(shell(f"cd {FOLDER} && {INSTALL}"))


def measure(words: str) -> list[dict] | str:
    """Measure in the commit's environment; return the rows, or why it can't be measured."""
    # By its process id, run_asv.py can interrupt it.
    out = Path("records", words.split()[0])
    command = f".venv/bin/python -m dask hpc bench run {words} --out {out} --no-next"
    done = shell(f"cd {FOLDER} && echo $$ > pid && exec {command}")
    if problem := harness.refusal(done):
        return problem
    return harness.rows(checked(shell(f"cat {FOLDER}/{out}/*.jsonl")))


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash as alice on the login node."""
    return call("run", line)


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `hpc-testbed`, which is not in the commit's environment."""
    return subprocess.run(
        ["hpc-testbed", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def checked(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed.

    Raises
    ------
    RuntimeError
        It failed.
    """
    if done.returncode:
        raise RuntimeError(f"{shlex.join(done.args)} failed: {done.stderr.strip()}")
    return done.stdout
