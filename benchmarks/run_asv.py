"""Run the asv suite in this environment, and fail where it executed nothing.

asv exits with 0 when it has found no benchmark, or none that it could run: a green job then says
nothing. So the results that it wrote are counted.
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
    # With an existing environment asv keeps results only for a commit that it is told.
    code = asv("run", "--environment", "existing:same", "--set-commit-hash", commit)
    if code != 0:
        return code
    measured, failed = count(commit)
    print(f"asv: {measured} figures measured, {failed} not; kept in build/asv/results")
    if measured == 0 or failed:
        print("Error: the asv suite did not measure all that it has", file=sys.stderr)
        return 1
    return 0


def checked_out() -> tuple[str, str]:
    """Return the commit that is checked out and, where git can't tell, why and what to do."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], cwd=BENCHMARKS, capture_output=True, text=True
        )
    except FileNotFoundError:
        return "", "asv keeps its figures by git's commits, and git is not installed: install it"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    folder = BENCHMARKS.parent
    if "dubious ownership" in done.stderr or "unsafe repository" in done.stderr:
        return "", (
            f"git does not answer in {folder}, which belongs to another user: type "
            f"git config --global --add safe.directory {shlex.quote(str(folder))}"
        )
    return "", (
        f"asv keeps its figures by git's commits, and {folder} is no git checkout with a commit: "
        "clone it with git (`asv run` in benchmarks/ shows figures without keeping them)"
    )


def asv(*arguments: str, quiet: bool = False) -> int:
    command = [sys.executable, "-m", "asv", *arguments, "--config", str(CONFIG)]
    return subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None).returncode


def count(commit: str) -> tuple[int, int]:
    """Return how many figures the results of a commit hold, and how many are missing."""
    measured = failed = 0
    for path in RESULTS.glob(f"*/{commit[:8]}-*.json"):
        data = json.loads(path.read_text())
        column = data["result_columns"].index("result")
        for row in data["results"].values():
            for value in row[column] or [None]:
                # A benchmark that failed is null in the file, one that was skipped NaN.
                there = value is not None and not math.isnan(value)
                measured += there
                failed += not there
    return measured, failed


if __name__ == "__main__":
    sys.exit(main())
