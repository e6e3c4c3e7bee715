"""Small versions of the scripts that are run by hand."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROUNDS = runpy.run_path(str(HERE / "soak.py"))
FAULTS_SOAK = runpy.run_path(str(HERE / "faults_soak.py"))


def run(name, *arguments, **env):
    """Run a script as a user would; return what it printed."""
    done = subprocess.run(
        [sys.executable, HERE / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def on(lab):
    """Return the settings with which a script uses the session's project and testbed."""
    return {"TESTBED_NAME": lab.testbed.name, "TESTBED_SUITE": lab.testbed.suite}


@pytest.mark.full
def test_rounds(lab):
    printed = run("soak.py", "--rounds", 3, "--home", lab.home, **on(lab))
    assert printed.endswith("3 of 3 rounds succeeded.\n")


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("fault", FAULTS_SOAK["FAULTS"])
def test_results_are_right_each_of_the_ten_times_that_a_fault_happens(lab, fault, tmp_path):
    file = tmp_path / "record.json"
    where = ["--home", lab.home, "--json", file]
    printed = run("faults_soak.py", "--faults", fault, *where, **on(lab))
    assert "The results were right in 10 of 10 rounds." in printed
    assert [row["number"] for row in json.loads(file.read_text())] == list(range(10))


@pytest.mark.full
def test_plain_beside_ours(lab, tmp_path):
    file = tmp_path / "record.json"
    small = ["--rounds", 1, "--repeats", 1]
    run("vs_jobqueue.py", *small, "--home", lab.home, "--json", file, **on(lab))
    assert [row["side"] for row in json.loads(file.read_text())] == ["ours", "plain"]


@pytest.mark.full
def test_start_goes_on_where_it_was_ended(lab, tmp_path):
    file = tmp_path / "record.jsonl"
    arguments = ["--rounds", 1, "--home", lab.home, "--json", file]
    first = run("start.py", *arguments, **on(lab))
    record = file.read_text()
    assert [json.loads(line)["program"] for line in record.splitlines()] == ["workers", "map"]
    assert run("start.py", *arguments, **on(lab)) == first
    assert file.read_text() == record


@pytest.mark.full
def test_slow_files():
    pytest.importorskip("mfusepy", exc_type=ImportError)
    if shutil.which("fusermount") is None:
        pytest.skip("there is no FUSE here")
    printed = run("slow_files.py", "--rounds", 1, "--delay-ms", 0, "--suffix", ".tar")
    (asked,) = re.findall(r"^\| a worker \| ([\d,]+) \|", printed, re.MULTILINE)
    assert int(asked.replace(",", "")) > 1000
    assert "| the second | " in printed


@pytest.mark.full
def test_connections(tmp_path):
    pytest.importorskip("cryptography")
    printed = run("connections.py", "--count", 3, DASK_CONFIG=str(tmp_path))
    assert "| tcp | 3 of 3 |" in printed
    assert "| tls | 3 of 3 |" in printed


@pytest.mark.timeout(600)
@pytest.mark.full
@pytest.mark.parametrize("count", [1, 5])
def test_connections_with_tls_outlive_those_that_break(lab, count):
    pytest.importorskip("cryptography")
    how = ("--testbed", "--count", count, "--load", 4)
    printed = run("connections.py", *how, "--home", lab.home, **on(lab))
    # With plain classes, Python 3.13.5 and OpenSSL 3.5, every other time one is lost.
    assert f"| tls | {count} of {count} |" in printed
    assert lab.testbed.jobs() == []


def rows(number, **growth):
    """Return the rows of rounds in which nothing happens, but for what grows in each."""
    same = {"seconds": 1.0, "rss_mib": 100.0, "threads": 5, "handles": 9, "jobs_left": 0}
    same["problem"] = None
    return [
        {"round": n, **same, **{name: same[name] + n * step for name, step in growth.items()}}
        for n in range(1, number + 1)
    ]


def test_rounds_in_which_nothing_grows_are_well():
    assert ROUNDS["verdict"](rows(100)) == []


@pytest.mark.parametrize(
    ("growth", "said"), [({"threads": 1}, "threads"), ({"handles": 1}, "handles")]
)
def test_a_thread_or_handle_more_each_round_is_told(growth, said):
    (line,) = ROUNDS["verdict"](rows(100, **growth))
    assert said in line


def test_memory_that_grows_is_told():
    (line,) = ROUNDS["verdict"](rows(100, rss_mib=0.5))
    assert "memory" in line


def test_a_round_that_fails_or_leaves_a_job_is_told():
    found = rows(3)
    found[0]["problem"], found[2]["jobs_left"] = "OSError: no", 2
    assert ROUNDS["verdict"](found) == ["round 1: OSError: no", "round 3: 2 jobs left"]


def test_the_table_of_faults_tells_how_often_something_came_back():
    found = [
        {"fault": "kill-node", "right": True, "dropped": 1.0, "back": 8.0, "done": 20.0},
        {"fault": "kill-node", "right": False, "dropped": 3.0, "back": None, "done": None},
    ]
    assert FAULTS_SOAK["table"](found) == [
        [
            *("`kill-node`", "1 of 2", "2 s, at most 3 s"),
            *("8 s, at most 8 s (1 times)", "20 s, at most 20 s (1 times)"),
        ]
    ]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_leftovers(lab, tmp_path):
    file = tmp_path / "record.json"
    printed = run("leftovers.py", "--jobs", 12, "--home", lab.home, "--json", file, **on(lab))
    assert "0 of 12 jobs left a process" in printed
    assert [len(row["jobs"]) for row in json.loads(file.read_text())["rounds"]] == [10, 2]


def test_jobs_that_left_processes_are_counted_by_job():
    one = {"job": "7", "process": "alice on node1: `python` (pid 3)"}
    found = [
        {"way": "closing", "nanny": False, "jobs": ["6", "7"], "left": [one, one]},
        {"way": "closing", "nanny": True, "jobs": ["8"], "left": []},
    ]
    leftovers = runpy.run_path(str(HERE / "leftovers.py"))
    assert leftovers["table"](found) == [["closing", "no", 2, 1], ["closing", "yes", 1, 0]]


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_sweep_measurements(lab, tmp_path):
    small = ["--rounds", 1, "--share", 0.02, "--home", lab.home, "--out", tmp_path]
    printed = run("sweep.py", *small, **on(lab))
    names = ["killed", "million", "tiny", "granularity", "files", "headline"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(names)
    rows = json.loads((tmp_path / "killed.json").read_text())["rows"]
    assert [(row["equal"], row["twice"], row["kills"]) for row in rows] == [(True, 0, 10)] * 2
    assert printed == run("sweep.py", "--table", "--out", tmp_path)
