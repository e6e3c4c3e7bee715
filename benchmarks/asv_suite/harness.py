"""Run the commit's own `dask hpc bench`, which measures; hand its repeats to asv.

The command line and the record change less than the functions behind them, so older commits can be
measured, too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from asv_runner.benchmarks.mark import SkipNotImplemented

# asv calls times different if its test (Mann-Whitney) says p < 0.002. With six repeats on each
# side, p is never below 0.0021; with eight, a few of them may be out of order.
REPEATS = 8
SLEEP, START = "sleep", "cold-start --shapes 4x1"
if "ASV_QUICK" in os.environ:  # for tests: 12 s instead of 60
    SLEEP, START = "sleep --tasks 40 --seconds 0.1 --slots 4", "cold-start --shapes 1x1"
SLEEP, START = f"{SLEEP} --repeats {REPEATS}", f"{START} --repeats {REPEATS}"

USAGE_ERROR = 2  # the exit code if a commit's command line does not know the words


def here(words: str) -> list[dict] | str:
    """Measure on this computer; return the rows, or why the commit can't be measured."""
    out = Path("records", words.split()[0])  # asv runs each benchmark in an empty folder
    command = ["-m", "dask", "hpc", "bench", "run", *words.split(), "--backend", "local"]
    done = subprocess.run(
        [sys.executable, *command, "--out", out, "--no-next"], capture_output=True, text=True
    )
    if problem := refusal(done):
        return problem
    (path,) = out.glob("*.jsonl")
    return rows(path.read_text())


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return why the commit's command line refused the words, if it did.

    Raises
    ------
    RuntimeError
        The command failed.
    """
    said = (done.stderr or done.stdout).strip()
    if done.returncode == USAGE_ERROR:
        return f"this commit has no such benchmark: {said.splitlines()[-1]}"
    if done.returncode:
        raise RuntimeError(f"`dask hpc bench` failed with exit code {done.returncode}: {said}")
    return ""


def rows(record: str) -> list[dict]:
    """Return the measured rows of a record; of different ways to start workers, the default."""
    lines = [json.loads(line) for line in record.splitlines()]
    measured = [line for line in lines if line["kind"] == "row" and line["status"] == "ok"]
    return [row for row in measured if row.get("how", "default") == "default"]


def samples(found: list[dict] | str, column: str) -> dict:
    """Return a column as asv's runner expects it from a function that times itself.

    asv then keeps the repeats, shows their median, and compares them with a test, as with its own
    timings. A plain number would be compared by its ratio alone.
    """
    if isinstance(found, str):
        print(found)
        raise SkipNotImplemented(found)
    return {"samples": [row[column] for row in found], "number": 1}
