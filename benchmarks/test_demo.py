"""`make demo` as a user runs it: to its end without Docker, and interrupted with it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_testbed import default_name

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "build" / "demo"

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


def demo(**env):
    """Start the demo as a terminal would, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "benchmarks/demo.py"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
    )


def test_without_an_engine_it_says_so_in_one_line_and_measures_here():
    running = demo(DOCKER_HOST="unix:///nonexistent")
    printed, _ = running.communicate()
    assert running.returncode == 0, printed
    assert sum("No Slurm here" in line for line in printed.splitlines()) == 1
    for name in ("speedup.png", "speedup.svg", "report.html"):
        assert (RESULTS / name).stat().st_size > 1000
    (record,) = RESULTS.glob("strong-scaling-*.jsonl")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    measured = [row["slots"] for row in rows if row["kind"] == "row" and row["status"] == "ok"]
    assert sorted(measured) == [20] + 2 * [50] + 3 * [100] + 6 * [120]


@pytest.mark.testbed
@pytest.mark.usefixtures("testbed_session")
def test_ctrl_c_in_the_middle_leaves_nothing_and_keeps_what_was_measured():
    running = demo()
    for line in running.stdout:
        if "repeat 1 of 6" in line:  # printed when the repeat has been measured
            break
    os.killpg(running.pid, signal.SIGINT)
    printed = running.stdout.read()
    assert running.wait(timeout=120) == 130, printed
    assert "Interrupted" in printed
    mark = f"label=com.docker.compose.project={default_name('demo')}"
    for kind in (["ps", "--all"], ["network", "ls"], ["volume", "ls"]):
        listing = subprocess.run(
            ["docker", *kind, "--quiet", "--filter", mark], capture_output=True, text=True
        )
        assert listing.stdout == ""
    (record,) = RESULTS.glob("strong-scaling-*.jsonl")
    assert '"status": "ok"' in record.read_text()
