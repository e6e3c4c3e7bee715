"""`make demo` as a user runs it: to its end without Docker, and interrupted."""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_testbed import default_name

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "build" / "demo"

DEMO = runpy.run_path(str(REPOSITORY / "benchmarks" / "demo.py"))


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


def slow(test):
    """Mark a test that runs the demo itself."""
    return pytest.mark.full(pytest.mark.timeout(600)(test))


@pytest.fixture
def keep_results(tmp_path, monkeypatch):
    """Return the demo's function, with the last demo's report in `tmp_path / "demo"`."""
    keep = DEMO["keep_results"]
    monkeypatch.setitem(keep.__globals__, "RESULTS", tmp_path / "demo")
    monkeypatch.setitem(keep.__globals__, "NEW", tmp_path / "demo-new")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "report.html").touch()
    return keep


@pytest.mark.parametrize("record", [None, '{"kind": "header"}\n'])
def test_the_last_results_stay_until_something_was_measured(keep_results, tmp_path, record):
    if record:  # interrupted before the first repeat had ended
        (tmp_path / "demo-new").mkdir()
        (tmp_path / "demo-new" / "a.jsonl").write_text(record)
    assert not keep_results()
    assert (tmp_path / "demo" / "report.html").exists()


def test_new_results_take_the_place_of_the_last_ones(keep_results, tmp_path):
    (tmp_path / "demo-new").mkdir()
    (tmp_path / "demo-new" / "a.jsonl").write_text('{"kind": "row", "status": "ok"}\n')
    assert keep_results()
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["a.jsonl"]


@slow
def test_without_an_engine_it_says_so_in_one_line_and_measures_here():
    running = demo(DOCKER_HOST="unix:///nonexistent")
    printed, _ = running.communicate()
    assert running.returncode == 0, printed
    assert sum("No Slurm here" in line for line in printed.splitlines()) == 1
    assert "dask hpc bench report" not in printed  # it is done at the end
    assert "counts as one job" not in printed
    for name in ("speedup.png", "speedup.svg", "report.html"):
        assert (RESULTS / name).stat().st_size > 1000
    (record,) = RESULTS.glob("strong-scaling-*.jsonl")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    measured = [row["slots"] for row in rows if row["kind"] == "row" and row["status"] == "ok"]
    assert sorted(measured) == [20] + 2 * [50] + 3 * [100] + 6 * [120]


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_without_an_engine_it_says_one_line(number):
    running = demo(DOCKER_HOST="unix:///nonexistent")
    for line in running.stdout:
        if "repeat 1 of 6" in line:
            break
    if number == signal.SIGINT:  # a terminal sends it to all processes, `kill` to one
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    said = [line for line in running.stdout.read().splitlines() if not line.startswith(" ")]
    assert running.wait(timeout=120) == 130
    assert "Interrupted; measurements so far are in build/demo." in said
    assert not [line for line in said if "ERROR" in line or "leaked" in line or "Traceback" in line]
    (record,) = RESULTS.glob("strong-scaling-*.jsonl")
    assert '"status": "ok"' in record.read_text()


@slow
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
