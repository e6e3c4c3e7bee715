"""Run the asv suite in this environment, and fail if it executed nothing.

asv exits with 0 even if it finds no benchmark, or none that it can run. To detect that, this counts
the results that it wrote.
"""

import json
import math
import shlex
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
CONFIG = BENCHMARKS / "asv.conf.json"
RESULTS = BENCHMARKS.parent / "build" / "asv" / "results"


def main() -> int:
    """Run the suite; return the exit code."""
    commit, problem = checked_out()
    if problem:
        print(f"Error: {problem}", file=sys.stderr)
        return 1
    asv("machine", "--yes", quiet=True)
    # With an existing environment, asv keeps results only for an explicit commit.
    code = asv("run", "--environment", "existing:same", "--set-commit-hash", commit)
    if code != 0:
        return code
    measured, failed = count(commit)
    print(f"asv: {measured} results, {failed} missing; saved in build/asv/results")
    if measured == 0 or failed:
        print("Error: some benchmarks of the asv suite have no results", file=sys.stderr)
        return 1
    return 0


def checked_out() -> tuple[str, str]:
    """Return the checked-out commit or, if git fails, why and what to do."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], cwd=BENCHMARKS, capture_output=True, text=True
        )
    except FileNotFoundError:
        return "", "asv stores results by git commit, but git is not installed: install it"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    folder = BENCHMARKS.parent
    if "dubious ownership" in done.stderr or "unsafe repository" in done.stderr:
        return "", (
            f"git refuses to work in {folder}, which belongs to another user: run "
            f"git config --global --add safe.directory {shlex.quote(str(folder))}"
        )
    return "", (
        f"asv stores results by git commit, but {folder} is not a git checkout with a commit: "
        "clone it with git (`asv run` in benchmarks/ shows results without storing them)"
    )


def asv(*arguments: str, quiet: bool = False) -> int:
    command = [sys.executable, "-m", "asv", *arguments, "--config", str(CONFIG)]
    return subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None).returncode


def count(commit: str) -> tuple[int, int]:
    """Return how many results of a commit exist, and how many are missing."""
    measured = failed = 0
    for path in RESULTS.glob(f"*/{commit[:8]}-*.json"):
        data = json.loads(path.read_text())
        column = data["result_columns"].index("result")
        for row in data["results"].values():
            for value in row[column] or [None]:
                # The file has null for a benchmark that failed, and NaN for one that was skipped.
                there = value is not None and not math.isnan(value)
                measured += there
                failed += not there
    return measured, failed


if __name__ == "__main__":
    sys.exit(main())
