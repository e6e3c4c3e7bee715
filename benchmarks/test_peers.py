"""`make bench-peers`: the order of the tools, what runs again, failures as rows, and the table."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from dask_hpc.bench import peers, record, report

HERE = Path(__file__).parent
ABOUT = {"started": "2026-11-29T18:00:00Z", "load_1min": 0.1, "took_s": 8.0}


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(HERE))
    try:
        return runpy.run_path(str(HERE / "bench_peers.py"))
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def rounds(bench):
    return bench["rounds"]


def chosen(bench, *names):
    return [bench["TOOLS"][name] for name in names]


def traces(shape, first, begin, late=0.0):
    """Return what tasks report that run in perfect waves, `late` seconds after `begin`."""
    found = []
    for number in range(shape.tasks):
        wave, slot = divmod(number, shape.slots)
        start = begin + late + wave * shape.seconds
        host = f"node{slot % shape.nodes}"
        found.append([first + number, host, slot, 0, start, start + shape.seconds, None])
    return found


def reports(shape, late=0.1, states=("cold", "warm")):
    """Return what a program writes."""
    found = []
    for number, state in enumerate(states):
        begin = 1000.0 * (number + 1)
        done = begin + late + shape.tasks / shape.slots * shape.seconds + 1
        lines = traces(shape, number * 1_000_000, begin, late)
        found.append({"state": state, "begin": begin, "done": done, "traces": lines})
    return [*found, {"versions": {"srun": "24.11"}}]


def test_tools_take_turns_in_being_first(bench, rounds):
    tools = chosen(bench, "srun", "array", "parallel")
    runs = rounds.order(tools, [bench["SHAPES"]["small"]], 3)
    names = [run.tool.name for run in runs]
    assert names[::3] == ["srun", "array", "parallel"]
    assert [sorted(names[n : n + 3]) for n in (0, 3, 6)] == [["array", "parallel", "srun"]] * 3


def test_heavy_tools_run_once_with_the_headline(bench, rounds):
    shapes = list(bench["SHAPES"].values())
    runs = rounds.order(chosen(bench, "srun", "ray"), shapes, 5)
    assert [(run.shape.name, run.round) for run in runs if run.tool.name == "ray"] == [
        ("headline", 0)
    ]
    assert sum(run.tool.name == "srun" for run in runs) == 15


def test_what_was_measured_is_not_measured_again(bench, rounds):
    shape = bench["SHAPES"]["small"]
    runs = rounds.order(chosen(bench, "executorlib", "srun"), [shape], 2)
    rows = rounds.rows(runs[0], reports(shape), ABOUT)
    assert [row["state"] for row in rows] == ["cold", "warm"]
    assert rounds.missing(runs, rows) == runs[1:]
    # Another number of tasks under the same name is another measurement.
    assert rounds.missing(runs, [row | {"tasks": 65} for row in rows]) == runs


def test_a_tool_that_failed_twice_is_not_tried_again(bench, rounds):
    runs = rounds.order(chosen(bench, "parsl"), [bench["SHAPES"]["small"]], 5)
    rows = [rounds.failed(run, "no module named parsl", ABOUT) for run in runs[:2]]
    assert rounds.missing(runs, rows[:1]) == runs[1:]
    assert rounds.missing(runs, rows) == []
    measured = rounds.rows(runs[2], reports(runs[0].shape), ABOUT)
    assert rounds.missing(runs, rows + measured) == runs[3:]


def test_a_row_says_how_long_the_tasks_took_and_how_late_the_tool_told(bench, rounds):
    shape = bench["SHAPES"]["small"]  # four waves of half a second
    (run,) = rounds.order(chosen(bench, "executorlib"), [shape], 1)
    cold, warm = rounds.rows(run, reports(shape, late=0.5), ABOUT)
    assert (warm["makespan_s"], warm["ideal_s"], warm["told_s"]) == (2.5, 2.0, 1.0)
    assert warm["efficiency"] == 0.8
    assert cold["works_in"] == "16 processes (Python)"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda lines: lines.pop(), "63 results"),
        (lambda lines: [line.__setitem__(2, 0) for line in lines], "overlap in one thread"),
        (lambda lines: [line.__setitem__(5, line[4]) for line in lines], "took less than"),
    ],
)
def test_tasks_that_did_not_run_as_asked_are_a_failed_row(bench, rounds, harm, said):
    shape = bench["SHAPES"]["small"]
    (run,) = rounds.order(chosen(bench, "executorlib"), [shape], 1)
    found = reports(shape)
    harm(found[1]["traces"])
    (row,) = rounds.rows(run, found, ABOUT)
    assert row["status"] == "failed"
    assert said in row["error"]


def test_a_lost_slot_is_a_failed_row(bench, rounds):
    shape = bench["SHAPES"]["small"]
    (run,) = rounds.order(chosen(bench, "srun"), [shape], 1)
    found = reports(shape, states=["cold"])
    for line in found[0]["traces"]:  # one slot does it all
        start = 1001 + 0.5 * line[0]
        line[1:6] = ["node0", 0, 0, start, start + 0.5]
    (row,) = rounds.rows(run, found, ABOUT)
    assert row["error"].startswith("only 1 of 16 slots got a task")


def test_jobs_that_start_too_slowly_to_fill_all_slots_are_no_lost_slot(bench, rounds):
    shape = bench["SHAPES"]["headline"]
    found = reports(shape, states=["cold"])
    for number, line in enumerate(found[0]["traces"]):
        start = 1001 + number // 79
        line[1:6] = ["node0", number % 79, 0, start, start + 1]
    (run,) = rounds.order(chosen(bench, "array-elements"), [shape], 1)
    (row,) = rounds.rows(run, found, ABOUT)
    assert (row["status"], row["slots_used"]) == ("ok", 79)


def test_tasks_that_are_processes_get_the_first_slot_that_is_free(monkeypatch):
    settings = {"NODES": 1, "SLOTS_PER_NODE": 2, "TASKS": 3, "SECONDS": 1, "OUT": "out"}
    for name, value in settings.items():
        monkeypatch.setenv(f"PEERS_{name}", str(value))
    common = runpy.run_path(str(HERE / "peers" / "programs" / "common.py"))
    # The third begins when the first has ended.
    times = [(0.0, 1.0), (0.5, 2.0), (1.0, 2.0)]
    found = [(n, "node1", 100 + n, 0, *pair, None) for n, pair in enumerate(times)]
    assert [trace[2] for trace in common["in_slots"](found)] == [0, 1, 0]
    assert common["busiest"](found) == 2


def test_a_program_that_ends_early_is_a_failed_row(bench, rounds):
    shape = bench["SHAPES"]["small"]
    (run,) = rounds.order(chosen(bench, "executorlib"), [shape], 1)
    (row,) = rounds.rows(run, reports(shape, states=["cold"]), ABOUT)
    assert row["error"] == "the program ended without its warm tasks"


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("Traceback\n  File x\nOSError: no ray\nbye\nsalloc: Relinquishing", "OSError: no ray"),
        ("a\nb\n\n", "b"),
        ("srun: error: node1: exit code 1\n", "srun: error: node1: exit code 1"),
        ("", ""),
    ],
)
def test_the_reason_is_the_last_error_before_slurms_own_words(bench, printed, said):
    assert bench["last_error"](printed) == said


def test_a_tool_that_could_not_fill_its_slots_is_told(bench, rounds, tmp_path):
    path = tmp_path / "peers.jsonl"
    begin(bench, path, [row | {"slots_used": 9} for row in lines(bench, rounds)[:1]])
    text = bench["tables"](record.read(path))
    assert "`srun` had at most 9 tasks at the same time." in text


def lines(bench, rounds):
    """Return the rows of two tools, one with a warm state, and of one that fails."""
    shape = bench["SHAPES"]["small"]
    runs = rounds.order(chosen(bench, "srun", "executorlib", "parsl"), [shape], 2)
    rows = []
    for run in runs:
        if run.tool.name == "parsl":
            rows.append(rounds.failed(run, "No module named 'parsl'", ABOUT))
            continue
        states = ["cold", "warm"] if run.tool.has_warm else ["cold"]
        late = 0.25 + run.round + run.tool.has_warm
        rows += rounds.rows(run, reports(shape, late, states), ABOUT)
    return rows


def begin(bench, path, rows):
    kept = bench["Kept"](path)
    kept.begin(
        {
            "kind": "header",
            "schema": record.SCHEMA,
            "version": record.VERSION,
            "workload": "peers",
            "command": "make bench-peers",
            "started": "2026-11-29T18:00:00Z",
            "versions": {"Slurm": "24.11.5", "python": "3.13.5", "dask": "2026.8.0"},
            "machine": {"host": "the testbed", "usable_cores": 2},
        }
    )
    kept.add(rows)


def test_the_table_has_the_quickest_first_and_the_reason_of_a_failure(bench, rounds, tmp_path):
    path = tmp_path / "peers.jsonl"
    begin(bench, path, lines(bench, rounds))
    (shape,) = peers.shapes(record.read(path).rows)
    cells = [[column.cell(point) for column in peers.COLUMNS] for point in shape.points]
    assert [row[0] for row in cells] == ["`srun`", "executorlib", "Parsl"]
    assert cells[0][3:5] == ["2.75 (2.25 to 3.25)", "no warm state"]
    assert cells[1][3:5] == ["3.75 (3.25 to 4.25)"] * 2
    assert cells[2][3:5] == ["not measured", ""]
    text = bench["tables"](record.read(path))
    assert "| `srun` | 16 processes (bash) | static shares | 2.75 (2.25 to 3.25) |" in text
    assert "Parsl was not measured: No module named 'parsl'." in text


@pytest.mark.xdist_group("figures")  # imports of Matplotlib once
def test_the_report_shows_the_tools_beside_each_other(bench, rounds, tmp_path):
    begin(bench, tmp_path / "peers.jsonl", lines(bench, rounds))
    paths = report.write(tmp_path)
    assert {path.name for path in paths} == {
        "peers-small.png",
        "peers-small.svg",
        "report.html",
    }
    page = (tmp_path / "report.html").read_text()
    assert "Beside other tools: 64 tasks of 0.5 s on 16 slots" in page
    assert "The quickest when cold: srun, 2.75 s." in page


def test_a_line_that_was_not_written_to_its_end_is_dropped(bench, rounds, tmp_path):
    path = tmp_path / "peers.jsonl"
    rows = lines(bench, rounds)
    begin(bench, path, rows)
    with path.open("a") as file:
        file.write('{"kind": "row", "tool": "sr')
    kept = bench["Kept"](path)
    assert kept.rows == record.read(path).rows
    kept.begin({})
    kept.add(rows[:1])
    assert len(record.read(path).rows) == len(rows) + 1


def test_fresh_drops_the_rows_of_the_tools_that_are_named(bench, rounds, tmp_path):
    path = tmp_path / "peers.jsonl"
    begin(bench, path, lines(bench, rounds))
    kept = bench["Kept"](path, lambda row: row["tool"] == "srun")
    assert {row["tool"] for row in kept.rows} == {"executorlib", "parsl"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["slurm"], "Error: unknown tool 'slurm': choose from dask-hpc, sweep, "),
        (["--shapes", "big"], "Error: unknown shape 'big': choose from headline, short, small\n"),
        (["--rounds", "0"], "argument --rounds: 0 is not a positive number\n"),
    ],
)
def test_bad_arguments_are_one_line(bench, words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench_peers.py", *words])
    with pytest.raises(SystemExit) as exit_:
        bench["parse"]()
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_each_tool_has_a_program_and_a_row_in_the_documentation(bench):
    page = bench["PAGE"].read_text()
    for tool in bench["TOOLS"].values():
        program = tool.program.split()[0]
        assert (HERE / "peers" / "programs" / f"{program}.py").is_file()
    for name in ("job array", "`srun`", "GNU parallel", "HyperQueue", "executorlib", "Ray"):
        assert name in page


@pytest.mark.full
def test_two_tools_and_one_that_is_missing(lab, tmp_path):
    file = tmp_path / "peers.jsonl"
    words = ["srun", "dask-hpc", "parsl", "--shapes", "small", "--rounds", "1"]
    command = [sys.executable, HERE / "bench_peers.py", *words, "--home", lab.home, "--json", file]
    env = {**os.environ, "TESTBED_NAME": lab.testbed.name, "TESTBED_SUITE": lab.testbed.suite}
    subprocess.run(command, check=True, env=env)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["header", *["row"] * 4, "end"]
    rows = rows[1:-1]
    assert [(row["tool"], row["status"]) for row in rows] == [
        *(("srun", "ok"), ("dask-hpc", "ok"), ("dask-hpc", "ok")),
        ("parsl", "failed"),
    ]
    assert "/opt/peers/bin/python: No such file" in rows[-1]["error"]
    assert rows[0]["slots_used"] == 16
    text = file.read_text()
    subprocess.run(command, check=True, env=env)
    assert file.read_text() == text  # nothing is measured again
    assert lab.testbed.jobs() == []
