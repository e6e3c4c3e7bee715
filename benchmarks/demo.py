"""`make demo`: from the template to 500 x sleep(1) on a real Slurm cluster, in one command.

Renders the template with the testbed's answers, starts the testbed, installs the project there as
alice, lets the project's own harness measure, brings the record back and draws the report. Where
no Docker engine answers, the same harness runs on this machine's cores.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from hpc_testbed import Testbed, TestbedError, default_name, docker_problem, install_project

REPOSITORY = Path(__file__).resolve().parents[1]
ANSWERS = REPOSITORY / "hpc-slurm-testbed" / "answers.yaml"
BUILD = REPOSITORY / "build"
RESULTS = BUILD / "demo"
NEW = BUILD / "demo-new"  # of the demo that runs: the last one's stay until there are others
RUNS = ("strong-scaling", "gil")


class Terminated(KeyboardInterrupt):
    """SIGTERM came: it ends the demo like Ctrl-C."""


def main() -> int:
    """Run the demo; return the exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    begin = time.monotonic()
    problem = docker_problem()
    measured = False
    try:
        project = render()
        shutil.rmtree(NEW, ignore_errors=True)
        try:
            if problem:
                say(f"No Slurm here, a LocalCluster of this machine instead: {problem}")
                measure_here()
            else:
                measure_on_testbed(project)
        finally:  # a run that was interrupted keeps what it measured
            measured = keep_results()
        bench("report", RESULTS)
    except TestbedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode  # it has said why
    except KeyboardInterrupt:
        kept = f"what was measured is in {shown(RESULTS)}" if measured else "nothing was measured"
        print(f"\nInterrupted; {kept}.", file=sys.stderr)
        return 130
    say(f"Done in {time.monotonic() - begin:.0f} s. Look at {shown(RESULTS / 'report.html')}")
    return 0


def render() -> Path:
    """Make the lab's project, with the answers that fit the testbed."""
    answers = yaml.safe_load(ANSWERS.read_text())
    project = BUILD / answers["default_context"]["project_slug"]
    shutil.rmtree(project, ignore_errors=True)
    say(f"Rendering the template into {shown(project)}")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", ANSWERS]
    done = subprocess.run(
        [*command, "--output-dir", BUILD, REPOSITORY], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise TestbedError(f"the template did not render: {done.stderr.strip()}")
    return project


def measure_on_testbed(project: Path) -> None:
    """Let the project's harness measure on the testbed; bring back what it recorded."""
    testbed = Testbed(default_name("demo"), nodes=4, target="lab")
    testbed.down()  # what a killed demo may have left
    say("Starting a Slurm cluster: controller, accounting, login node and 4 compute nodes")
    with testbed:
        took = ", ".join(f"{stage} {took:.1f} s" for stage, took in testbed.stages.items())
        say(f"4 nodes are idle ({took}). Installing the project as alice")
        home = install_project(testbed, project)
        testbed.run(f"cd {home} && .venv/bin/dask hpc setup", show=True)
        try:
            for run in RUNS:
                command = f".venv/bin/dask hpc bench run {run} --out results --no-next"
                testbed.run(f"cd {home} && {command}", show=True)
        finally:
            with contextlib.suppress(TestbedError):  # interrupted before there was any
                testbed.get(f"{home}/results", NEW)
    say("The testbed is down.")


def measure_here() -> None:
    """Let the harness measure on a LocalCluster of this machine."""
    for run in RUNS:
        bench("run", run, "--backend", "local", "--out", NEW, "--no-next")


def keep_results() -> bool:
    """Put what was measured in the place of the last demo's results; say whether there is any."""
    measured = any('"status": "ok"' in path.read_text() for path in NEW.glob("*.jsonl"))
    if measured:
        shutil.rmtree(RESULTS, ignore_errors=True)
        NEW.rename(RESULTS)
    return measured


def bench(*arguments: object) -> None:
    """Run `dask hpc bench`; interrupted, wait until it has ended its workers."""
    command = [sys.executable, "-m", "dask", "hpc", "bench", *map(str, arguments)]
    with subprocess.Popen(command) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt as interrupt:
            # subprocess.run would kill it now, and leave its workers alone. A terminal has sent it
            # the same Ctrl-C; what was sent to us alone is passed on.
            if isinstance(interrupt, Terminated):
                child.terminate()
            child.wait()
            raise
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def say(line: str) -> None:
    print(line, flush=True)


def shown(path: Path) -> str:
    """Return a path as it is seen from where the user stands."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _terminate(_signum, _frame):
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
