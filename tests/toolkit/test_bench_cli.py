"""The commands as typed: results, records, one-line errors, and what stays behind."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from click.testing import CliRunner

from dask_hpc.bench import record
from dask_hpc.bench.workloads import WORKLOADS
from dask_hpc.cli.main import main

MAIN = "import sys; sys.argv[0] = 'dask'; from dask_hpc.cli.main import main; main()"


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def command(*arguments, **kwargs):
    """`dask hpc bench …` as a process of a group of its own, like one in a terminal."""
    argv = [sys.executable, "-c", MAIN, "bench", *map(str, arguments)]
    # What this shell was told about a lab does not matter here.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DASK_")}
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
        **kwargs,
    )


def rows(folder):
    paths = list(folder.glob("*.jsonl"))
    if not paths or not paths[0].read_text():
        return []
    return record.read(paths[0]).measured


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def group(pgid):
    """Return the processes of a process group that are alive."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == pgid and process.info["status"] != "zombie":
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def without_progress(err):
    """Return the lines but for those on workers that take long to start, on a busy computer."""
    return [line for line in err.splitlines() if not re.fullmatch(r"\d+ of \d+ workers", line)]


LONG = ("run", "sleep", "--backend", "local", "--tasks", 8, "--seconds", 0.1, "--slots", 2)


def test_a_run_prints_its_table_and_where_the_record_is(tmp_path):
    process = command(*LONG, "--repeats", 2, "--out", "my results", cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert without_progress(err) == []
    assert "about" in out.splitlines()[0]  # how long it will take
    [path] = (tmp_path / "my results").glob("*.jsonl")
    assert f"Record: my results/{path.name}" in out
    assert out.endswith("draw figures and write a report: dask hpc bench report 'my results'\n")
    assert re.search(r"^ +2 +2 +0\.4( +\d+\.\d+){2} to \d+\.\d+ +\d+\.\d", out, re.MULTILINE)
    found = record.read(path)
    assert [row["slots"] for row in found.measured] == [2, 2]
    assert all(row["makespan_s"] >= 0.4 for row in found.measured)
    assert found.complete
    assert f"{found.starts[0]['cold_total_s']:.2f} s" in out


@pytest.mark.full
def test_a_killed_run_keeps_what_it_measured(tmp_path):
    process = command(*LONG, "--repeats", 200, "--out", tmp_path)
    wait_for(lambda: len(rows(tmp_path)) >= 2)
    process.kill()
    process.communicate()
    [path] = tmp_path.glob("*.jsonl")
    found = record.read(path)
    assert len(found.measured) >= 2
    assert not found.complete
    wait_for(lambda: not group(process.pid))  # workers notice that they are alone


def test_ctrl_c_ends_the_run_with_130_in_one_line_and_no_process_left(tmp_path):
    process = command(*LONG, "--repeats", 200, "--out", tmp_path)
    wait_for(lambda: rows(tmp_path))
    assert len(group(process.pid)) > 1  # there are workers
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert without_progress(err) == ["Interrupted."]
    wait_for(lambda: not group(process.pid), 20)
    [path] = tmp_path.glob("*.jsonl")
    assert record.read(path).rows[-1]["status"] == "interrupted"


def test_ctrl_c_while_workers_start_leaves_no_process(tmp_path):
    process = command(*LONG, "--repeats", 200, "--out", tmp_path)
    wait_for(lambda: len(group(process.pid)) > 1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err, err
    wait_for(lambda: not group(process.pid), 20)


@pytest.mark.full
def test_being_terminated_ends_the_workers_too(tmp_path):
    process = command(*LONG, "--repeats", 200, "--out", tmp_path)
    wait_for(lambda: rows(tmp_path))
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130
    wait_for(lambda: not group(process.pid), 20)


# What is typed, the option that the error names, and what it says of the value.
BAD = {
    "no tasks": (("--tasks", 0), "--tasks", "0 is not in the range"),
    "no number of tasks": (("--tasks", "many"), "--tasks", "'many' is not a valid integer"),
    "negative seconds": (("--seconds", -1), "--seconds", "-1.0 is not in the range"),
    "no seconds": (("--seconds", "0"), "--seconds", "0.0 is not in the range"),
    "endless seconds": (("--seconds", "inf"), "--seconds", "inf is not in the range"),
    "more slots than tasks": (("--slots", 20, "--tasks", 10), "--slots", "10 tasks cannot use 20"),
    "no list of slots": (("--slots", "20;50"), "--slots", "'20;50' is not a list of integers"),
    "no slots": (("--slots", "4,0"), "--slots", "0 is not in the range"),
    "repeats that match no points": (("--repeats", "1,2"), "--repeats", "2 numbers for 1 points"),
    "no cores": (("--job-cores", 0), "--job-cores", "0 is not in the range"),
    "no number of seconds": (("--timeout", "nan"), "--timeout", "'nan' is not a number"),
    "no time": (("--timeout", 0), "--timeout", "0.0 is not in the range"),
    "unknown backend": (("--backend", "cloud"), "--backend", "'cloud' is not one of"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_that_names_the_option(case, tmp_path):
    arguments, option, words = BAD[case]
    backend = () if "--backend" in arguments else ("--backend", "local")
    result = invoke("run", "sleep", *backend, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert line.startswith("Error: ")
    assert option in line
    assert words in line
    assert not (tmp_path / "out").exists()


def test_an_unknown_workload_names_the_known_ones():
    result = invoke("run", "headlin")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert "'sleep', 'strong-scaling', 'weak-scaling', " in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tasks", 500), "gil sets its own tasks: omit --tasks"),
        (("--slots", 2), "gil sets its own slots: omit --slots"),
        (("--backend", "cluster"), "omit --backend"),
        (("--repeats", "1,2"), "--repeats: gil takes a single number"),
    ],
)
def test_an_option_that_gil_does_not_take_is_one_line(tmp_path, arguments, words):
    result = invoke("run", "gil", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert words in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file/below", "file"])
def test_a_folder_that_cannot_be_written_to_is_found_before_anything_starts(tmp_path, place):
    (tmp_path / "file").write_text("here first")
    result = invoke("run", "sleep", "--backend", "local", "--out", tmp_path / place)
    assert result.exit_code != 0
    line = result.output.strip().splitlines()[-1]
    assert "cannot write results" in line
    assert "--out" in line
    assert "starting" not in result.output


def test_a_cluster_without_a_batch_system_is_one_clear_line():
    import dask

    with dask.config.set({"dask-hpc.batch-system": "none"}):
        result = invoke("run", "sleep", "--backend", "cluster")
    assert result.exit_code != 0
    [line] = result.output.strip().splitlines()
    assert "no batch system is configured" in line


def test_workers_that_do_not_come_are_one_line_and_their_jobs_are_cancelled(lab, tmp_path):
    lab.hold()
    result = invoke("run", "sleep", "--slots", 4, "--job-cores", 2, "--timeout", 1)
    assert result.exit_code != 0
    line = result.output.strip().splitlines()[-1]
    assert "0 of 2 workers connected within 1 s" in line
    assert len({job for call in lab.calls("scancel") for job in call if job.isdigit()}) == 2
    [path] = (tmp_path / "bench-results").glob("*.jsonl")
    assert record.read(path).rows[-1]["status"] == "failed"


def test_list_explains_every_workload():
    output = invoke("list").output
    names = [line for line in output.splitlines() if line and line[0].islower()]
    assert names == list(WORKLOADS)
    assert output.count("\n  stresses: ") == output.count("\n  bound: ") == len(names)
    assert max(map(len, output.splitlines())) <= 96
    one = invoke("list", "granularity").output
    assert "METG(50 %)" in one
    assert "sizes: 1,200 to 120,000 tasks of 0.001 to 1 s: 120 slots (45x); about" in one
    assert "sleep" not in one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("granularity", "--slots", "4,8"), "--slots: this workload takes a single number"),
        (("uneven", "--repeats", "1,2"), "--repeats: this workload takes a single number"),
        (("granularity", "--tasks", 5), "granularity sets its own tasks: omit --tasks"),
        (("tasks-per-second", "--seconds", 1), "tasks-per-second sets its own seconds"),
        (("cold-start", "--slots", 8), "cold-start sets its own slots: omit --slots"),
        (
            ("cold-start", "--shapes", "4"),
            "--shapes': '4' is not a list of jobs and processes: 4x1",
        ),
        (("cold-start", "--shapes", "0x1"), "0 is not in the range x>=1"),
        (("sleep", "--shapes", "4x1"), "sleep sets its own shapes: omit --shapes"),
    ],
)
def test_numbers_that_a_workload_does_not_take_are_one_line(arguments, words):
    result = invoke("run", *arguments, "--backend", "local")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert words in line


def test_before_results_are_in_nothing_heavy_is_imported():
    code = (
        "import sys, dask_hpc.cli.bench, dask_hpc.bench.runner, dask_hpc.bench.backends;"
        "heavy = {'matplotlib', 'bokeh', 'rich', 'numpy', 'scipy', 'pandas', 'distributed'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
