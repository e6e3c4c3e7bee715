"""`make demo`: from the template to 500 x sleep(1) on a real Slurm cluster, in one command.

Renders the template with the testbed's answers, starts the testbed, installs the project there as
alice, runs the project's benchmarks, copies the records back, and writes the report. Without
Docker, the same benchmarks run on this machine's cores.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from dask_hpc.bench import provenance
from hpc_testbed import Testbed, TestbedError, default_name, docker_problem, install_project

REPOSITORY = Path(__file__).resolve().parents[1]
ANSWERS = REPOSITORY / "hpc-slurm-testbed" / "answers.yaml"
BUILD = REPOSITORY / "build"
RESULTS = BUILD / "demo"
NEW = BUILD / "demo-new"  # of the running demo: the last results stay until there are new ones
RUNS = ("strong-scaling", "gil")


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM, which ends the demo like Ctrl-C."""


def main() -> int:
    """Run the demo; return the exit code."""
    end_like_ctrl_c()
    begin = time.monotonic()
    problem = docker_problem()
    measured = False
    try:
        project = render()
        shutil.rmtree(NEW, ignore_errors=True)
        try:
            if problem:
                say(f"No Slurm here; using a LocalCluster on this machine instead: {problem}")
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
        return error.returncode  # the command has printed why
    except KeyboardInterrupt:
        kept = (
            f"measurements so far are in {shown(RESULTS)}" if measured else "nothing was measured"
        )
        print(f"\nInterrupted; {kept}.", file=sys.stderr)
        return 130
    say(f"Done in {time.monotonic() - begin:.0f} s. See {shown(RESULTS / 'report.html')}")
    return 0


def render() -> Path:
    """Render the lab's project, with answers that fit the testbed."""
    answers = yaml.safe_load(ANSWERS.read_text())
    project = BUILD / answers["default_context"]["project_slug"]
    shutil.rmtree(project, ignore_errors=True)
    say(f"Rendering the template into {shown(project)}")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", ANSWERS]
    done = subprocess.run(
        [*command, "--output-dir", BUILD, REPOSITORY], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise TestbedError(f"cannot render the template: {done.stderr.strip()}")
    return project


def measure_on_testbed(project: Path) -> None:
    """Run the project's benchmarks on the testbed; copy the records back."""
    testbed = Testbed(default_name("demo"), nodes=4, target="lab")
    testbed.down()  # clean up after a demo that was killed
    commit = provenance.commit(REPOSITORY)
    say("Starting a Slurm cluster: controller, accounting, login node, and 4 compute nodes")
    with testbed:
        took = ", ".join(f"{stage} {took:.1f} s" for stage, took in testbed.stages.items())
        say(f"4 nodes are idle ({took}). Installing the project as alice")
        home = install_project(testbed, project)
        testbed.run(f"cd {home} && .venv/bin/dask hpc setup", show=True)
        try:
            for run in RUNS:
                command = f".venv/bin/dask hpc bench run {run} --out results --no-next"
                command = f"BENCH_COMMIT={commit} {command}"
                testbed.run(f"cd {home} && {command}", show=True)
        finally:
            with contextlib.suppress(TestbedError):  # interrupted before there were any results
                testbed.get(f"{home}/results", NEW)
    say("The testbed is down.")


def measure_here() -> None:
    """Run the benchmarks on a LocalCluster on this machine."""
    for run in RUNS:
        bench("run", run, "--backend", "local", "--out", NEW, "--no-next")


def keep_results() -> bool:
    """Replace the last demo's results if there are new ones; return whether there are."""
    measured = any('"status": "ok"' in path.read_text() for path in NEW.glob("*.jsonl"))
    if measured:
        shutil.rmtree(RESULTS, ignore_errors=True)
        NEW.rename(RESULTS)
    return measured


def bench(*arguments: object) -> None:
    """Run `dask hpc bench`; if interrupted, wait until it has ended its workers."""
    command = [sys.executable, "-m", "dask", "hpc", "bench", *map(str, arguments)]
    with subprocess.Popen(command) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt as interrupt:
            # subprocess.run would kill it now, and leave its workers running. A terminal sends
            # Ctrl-C to both processes; pass on a SIGTERM that only this one has received.
            if isinstance(interrupt, Terminated):
                child.terminate()
            child.wait()
            raise
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def say(line: str) -> None:
    print(line, flush=True)


def shown(path: Path) -> str:
    """Return a path relative to the current directory, if possible."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def end_like_ctrl_c() -> None:
    """Have SIGTERM end this process like Ctrl-C."""

    def terminate(_signum, _frame):
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


if __name__ == "__main__":
    sys.exit(main())
