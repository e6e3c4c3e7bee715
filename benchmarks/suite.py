"""`make bench`: the benchmark suite, on the Slurm testbed or, without Docker, on this computer.

    python benchmarks/suite.py [WORKLOAD ...] [--full] [--fresh]

Runs the workloads one after the other and writes their records and a report to build/bench. A run
that was stopped goes on with the first workload that is not complete; --fresh begins again. A
workload that fails is in the report, and the others run all the same. `--full` runs all workloads,
with more repeats.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from demo import BUILD, bench, end_like_ctrl_c, render, say, shown
from on_testbed import commit

from dask_hpc._output.formatting import format_exact_duration
from dask_hpc.bench import record
from hpc_testbed import Testbed, TestbedError, default_name, docker_problem, install_project

RESULTS = BUILD / "bench"
NODES = 4  # with 32 CPUs each


@dataclass(frozen=True)
class Run:
    """A workload with its options, and about how long it takes.

    Attributes
    ----------
    options : str
        For a cluster.
    local : str
        For a computer without a batch system.
    minutes : float
        On two cores.
    """

    workload: str
    options: str = ""
    local: str = ""
    minutes: float = 1.0


SHORT = (
    Run("sleep", minutes=0.7),
    Run("strong-scaling", minutes=2.2),
    Run("cold-start", "--shapes 4x1,4x8 --repeats 2", "--shapes 1x1,4x1 --repeats 2", 1.6),
    Run("granularity", "--repeats 2", "--slots 8 --repeats 2", 2.2),
    Run("uneven", "--repeats 2", "--repeats 2", 1.5),
)
FULL = (
    Run("sleep", "--repeats 10", "--repeats 10", 1.2),
    Run("strong-scaling", "--slots 10,20,25,50,60,100,120 --repeats 3", "", 9.0),
    Run("weak-scaling", "--slots 30,60,90,120", "--slots 30,60,120", 3.5),
    Run("cold-start", "--shapes 1x1,4x1,4x8,8x8 --repeats 5", "--shapes 1x1,4x1", 10.0),
    Run("granularity", "--repeats 5", "--repeats 3", 6.0),
    Run("uneven", "--repeats 6", "--repeats 6", 4.0),
    Run("tasks-per-second", minutes=2.5),
    Run("gil", minutes=0.3),
    Run("numpy", "--repeats 6", "--repeats 6", 1.5),
    Run("files", "--repeats 6", "--repeats 6", 1.5),
    Run("data", "--repeats 6", "--repeats 6", 3.0),
    Run("failure", minutes=3.0),
    Run("adapt", minutes=3.0),
    Run("scheduler-limit", minutes=4.0),
)


class Suite:
    """A list of runs, and a folder with what was measured.

    Parameters
    ----------
    runs : list of Run
    is_local : bool
        Whether they run on this computer.
    folder : Path
    """

    def __init__(self, runs: list[Run], is_local: bool, folder: Path = RESULTS):
        self.runs = runs
        self.is_local = is_local
        self.folder = folder

    def words(self, run: Run) -> list[str]:
        """Return a run's words after ``dask hpc bench``, but for where the record goes."""
        options = f"--backend local {run.local}" if self.is_local else run.options
        return ["run", run.workload, *options.split()]

    def missing(self) -> list[Run]:
        """Return the runs without a complete record."""
        try:
            found = record.read_folder(self.folder)
        except record.RecordError:
            return self.runs
        # The command ends with where the record goes: --out FOLDER --no-next.
        there = [shlex.split(r.header["command"])[3:-3] for r in found if r.complete]
        return [run for run in self.runs if self.words(run) not in there]


def on_testbed(suite: Suite, runs: list[Run]) -> list[str]:
    """Run on a new testbed; return the workloads that failed."""
    project = render()
    testbed = Testbed(default_name("bench"), nodes=NODES, target="lab")
    testbed.down()  # clean up after a run that was killed
    say(f"Starting a Slurm cluster with {NODES} nodes")
    failed = []
    with testbed:
        home = install_project(testbed, project)
        testbed.run(f"cd {home} && .venv/bin/dask hpc setup")
        for run in in_turn(runs):
            command = f"dask hpc bench {' '.join(suite.words(run))} --out results --no-next"
            try:
                testbed.run(
                    f"cd {home} && BENCH_COMMIT={commit()} .venv/bin/{command}",
                    show=True,
                    timeout=3600,
                )
            except TestbedError:  # the command has printed why
                failed.append(run.workload)
            finally:
                testbed.get(f"{home}/results", suite.folder)
    return failed


def on_this_computer(suite: Suite, runs: list[Run]) -> list[str]:
    """Run with LocalClusters; return the workloads that failed."""
    failed = []
    for run in in_turn(runs):
        try:
            bench(*suite.words(run), "--out", suite.folder, "--no-next")
        except subprocess.CalledProcessError as error:
            if error.returncode == 130:
                raise KeyboardInterrupt from None
            failed.append(run.workload)
    return failed


def in_turn(runs: list[Run]):
    """Yield the runs, and say how far the suite is."""
    for number, run in enumerate(runs):
        left = 60 * sum(run.minutes for run in runs[number:])
        say(f"\n{number + 1} of {len(runs)}: {run.workload}; {format_exact_duration(left)} left")
        yield run


def chosen_runs(names: list[str], full: bool) -> list[Run]:
    """Return the runs of these workloads, or those that are the default.

    Raises
    ------
    SystemExit
        A workload is unknown.
    """
    known = {run.workload: run for run in (*FULL, *(() if full else SHORT))}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"Error: unknown workload {unknown[0]}: choose from {', '.join(known)}")
    return [known[name] for name in names] or list(FULL if full else SHORT)


def main() -> int:
    """Run the suite; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--full", action="store_true", help="all workloads, with more repeats")
    parser.add_argument("--fresh", action="store_true", help="measure again what is complete")
    asked = parser.parse_args()
    runs = chosen_runs(asked.workloads, asked.full)
    end_like_ctrl_c()
    begin = time.monotonic()
    problem = docker_problem()
    suite = Suite(runs, is_local=bool(problem))
    if asked.fresh or not suite.missing():
        shutil.rmtree(suite.folder, ignore_errors=True)
    missing = suite.missing()
    if len(missing) < len(runs):
        say(f"Going on with {shown(suite.folder)}: {len(runs) - len(missing)} workloads are there")
    try:
        if problem:
            say(f"No Slurm here; using LocalClusters on this computer instead: {problem}")
            failed = on_this_computer(suite, missing)
        else:
            failed = on_testbed(suite, missing)
        bench("report", suite.folder)
    except TestbedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode  # the command has printed why
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on with the next workload.", file=sys.stderr)
        return 130
    took = format_exact_duration(time.monotonic() - begin)
    say(f"Done in {took}. See {shown(suite.folder / 'report.html')}")
    if failed:
        print(f"Error: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
