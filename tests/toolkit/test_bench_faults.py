"""The workloads `failure`, `adapt`, and `scheduler-limit`: decisions, rows, and what is shown."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from dask_hpc.bench import (
    adapt,
    adapt_view,
    export,
    failure,
    failure_view,
    limit,
    limit_view,
    record,
    report,
    show,
    simulated,
)
from dask_hpc.bench.backends.adapting import held_s
from dask_hpc.bench.backends.losses import NOTHING
from dask_hpc.bench.observer import Observer, absence
from dask_hpc.bench.plan import JobLayout
from dask_hpc.bench.tasks import STARTED
from dask_hpc.bench.workloads import PlanError
from dask_hpc.cli.main import main
from dask_hpc.dask_errors import WorkerStartTimeoutError

pytestmark = pytest.mark.xdist_group("figures")


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


# --- what the scheduler sees ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ([], (0, None, None)),
        ([(11, 3), (12, 4)], (1, 1, 2)),
        ([(11, 3), (11.5, 2), (13, 3), (14, 4), (15, 5)], (2, 1, 4)),
        ([(11, 3)], (1, 1, None)),
        ([(11, 3), (12, 4), (13, 3)], (1, 1, None)),
    ],
)
def test_absence_is_counted_from_the_loss(after, found):
    seen = absence([(1, 1), (2, 2), (3, 3), (4, 4), *after], 10)
    assert (seen.workers_lost, seen.noticed_s, seen.back_s) == found


def test_the_observer_counts_workers_and_starts():
    observer = Observer()
    observer.add_worker(None, "a")
    observer.add_worker(None, "b")
    observer.remove_worker(None, "a", stimulus_id="x")
    for topic, item in ((STARTED, 3), ("all", 4), (STARTED, 3)):
        observer.log_event(topic, item)
    assert [count for _, count in observer.changes] == [1, 2, 1]
    assert observer.started == [3, 3]


def test_workers_hold_cores_until_they_leave():
    assert held_s([], 5.0) == 0
    assert held_s([(1.0, 1), (2.0, 3), (4.0, 0)], 9.0) == 1 + 6
    assert held_s([(1.0, 2)], 4.0) == 6


# --- failure --------------------------------------------------------------------------------------


class Loses:
    """Workers that are there at once; a task takes no time, but the clock goes on."""

    lost_s = 1.5
    broken = False

    def __init__(self, node_command, timeout):
        self.observer = Observer()

    def start_workers(self, shape):
        for number in range(shape.workers):
            self.observer.add_worker(None, number)

    def describe(self):
        return {"jobs": 2, "processes": 2, "threads": 1}

    def run(self, function, items, lose, after_s, timeout):
        items = list(items)
        if items[0] < 0:
            return [], None  # the warm-up
        assert after_s == pytest.approx(0.5)
        self.observer.started += items
        took, lost_at = 1.1, None
        if lose != NOTHING:
            if self.broken:
                raise RuntimeError("the task was lost three times")
            self.observer.started += items[:3]
            lost_at = time.time() - 5
            self.observer.changes = [(0, 4), (lost_at + 0.25, 3), (lost_at + 1.0, 4)]
            took += self.lost_s
        self.clock.now += took
        traces = [(n, "node1", n % 4, 1, n // 4 * 0.5, n // 4 * 0.5 + 0.5, None) for n in range(8)]
        return [(item, *trace[1:]) for item, trace in zip(items, traces, strict=True)], lost_at

    def close(self):
        self.clock.closed += 1


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=0.0, closed=0, time=time.time)
    found.perf_counter = lambda: found.now
    monkeypatch.setattr(failure, "time", found)
    monkeypatch.setattr(Loses, "clock", found, raising=False)
    monkeypatch.setitem(failure.BACKENDS, "cluster", Loses)
    return found


LOSSES = failure.plan("cluster", [(2, 2)], tasks=8, seconds=0.5)


def test_a_loss_is_compared_with_the_undisturbed_repeat_of_the_same_start(tmp_path, clock):
    found = record.read(failure.measure(tmp_path, LOSSES, repeats=2))
    assert found.complete
    assert clock.closed == 4
    losses = ["nothing", "worker", "nothing", "job"] * 2
    assert [row["loss"] for row in found.measured] == losses
    row = found.measured[1]
    assert row["lost_s"] == pytest.approx(1.5)
    assert row["overhead_s"] == pytest.approx(1.6)  # over the ideal
    assert (row["tasks_twice"], row["workers_lost"]) == (3, 1)
    assert (row["noticed_s"], row["back_s"]) == (pytest.approx(0.25), pytest.approx(1.0))
    assert found.measured[0]["tasks_twice"] == 0
    assert "lost_s" not in found.measured[0]


def test_tasks_that_are_lost_for_good_are_a_row_and_the_run_goes_on(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(Loses, "broken", True)
    with pytest.raises(RuntimeError, match="three times"):
        failure.measure(tmp_path, LOSSES, repeats=1)
    [path] = tmp_path.glob("*.jsonl")
    rows = record.read(path).rows
    assert [(row["loss"], row["status"]) for row in rows] == [
        ("nothing", "ok"),
        ("worker", "failed"),
        ("nothing", "ok"),
        ("job", "failed"),
    ]
    assert rows[1]["error"] == "the task was lost three times"
    assert clock.closed == 2


def test_workers_that_do_not_start_end_the_run(tmp_path, clock, monkeypatch):
    def start(self, shape):
        raise WorkerStartTimeoutError("0 of 4 workers connected within 1 s", 0, 4, 1)

    monkeypatch.setattr(Loses, "start_workers", start)
    with pytest.raises(WorkerStartTimeoutError):
        failure.measure(tmp_path, LOSSES)
    [path] = tmp_path.glob("*.jsonl")
    [row] = record.read(path).rows
    assert (row["status"], row["loss"]) == ("failed", "worker")
    assert clock.closed == 1


def test_what_can_be_lost_depends_on_where():
    assert failure.plan("local").kinds == ("worker",)
    assert failure.plan("cluster").kinds == ("worker", "job")
    assert failure.plan("cluster", node_command="off {node}").kinds == ("worker", "job", "node")
    assert failure.plan("cluster").tasks == 80


BAD = [
    (("failure", "--shapes", "4x4,8x1"), "--shapes: failure takes a single one"),
    (("failure", "--shapes", "1x1"), "failure needs at least 2 workers"),
    (("failure", "--backend", "cluster", "--shapes", "1x4"), "failure needs at least 2 jobs"),
    (("failure", "--tasks", 2), "2 tasks cannot use 4 workers: use --tasks 4 or more"),
    (("failure", "--lose-node", "off"), "--lose-node: on this computer, only a worker can be lost"),
    (("failure", "--slots", 4), "failure sets its own slots: omit --slots"),
    (("failure", "--repeats", "1,2"), "--repeats: failure takes a single number"),
    (("adapt", "--tasks", 5), "adapt sets its own tasks: omit --tasks"),
    (("adapt", "--shapes", "4x4,8x1"), "--shapes: adapt takes a single one"),
    (("adapt", "--lose-node", "off"), "adapt sets its own lose-node: omit --lose-node"),
    (("sleep", "--lose-node", "off"), "sleep sets its own lose-node: omit --lose-node"),
    (("scheduler-limit", "--backend", "cluster"), "workers on this computer: omit --backend"),
    (("scheduler-limit", "--slots", "100,100"), "--slots has a duplicate"),
    (("scheduler-limit", "--repeats", 3), "scheduler-limit sets its own repeats: omit --repeats"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_input_is_one_line(arguments, words, tmp_path):
    backend = () if "--backend" in arguments else ("--backend", "local")
    result = invoke("run", *arguments, *backend, "--out", tmp_path / "out")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert words in line
    assert not (tmp_path / "out").exists()


# --- adapt ----------------------------------------------------------------------------------------


class Adapts:
    """A cluster whose two workers come after a second and leave two seconds after the end."""

    def __init__(self, timeout):
        self.observer = Observer()
        self.held = 0.0

    def adapt(self, shape):
        self.now = 0.0

    def describe(self):
        return {"jobs": 1, "processes": 2, "threads": 1}

    def held_core_s(self):
        return self.held

    def map(self, function, items, timeout, way):
        items = list(items)
        took = 1 + 0.5 * len(items) / 2
        begin = time.time()
        self.observer.changes += [(begin + 1, 1), (begin + 1, 2), (begin + took, 2)]
        self.end = begin + took + 2
        self.held += 2 * (took + 1)
        self.clock.now += took
        start = begin + 1
        return [
            (item, "node1", n % 2, 1, start + n // 2 * 0.5, start + n // 2 * 0.5 + 0.5, None)
            for n, item in enumerate(items)
        ]

    def wait_until_empty(self):
        self.observer.changes.append((self.end, 0))
        return self.end

    def close(self):
        pass


@pytest.fixture
def adapting(monkeypatch):
    found = SimpleNamespace(now=0.0, time=time.time)
    found.perf_counter = lambda: found.now
    monkeypatch.setattr(adapt, "time", found)
    monkeypatch.setattr(Adapts, "clock", found, raising=False)
    monkeypatch.setitem(adapt.BACKENDS, "local", Adapts)


def test_bursts_find_no_workers_and_waste_is_what_no_task_used(tmp_path, adapting):
    bursts = adapt.Bursts("local", JobLayout(1, 1, 2), seconds=0.5)
    found = record.read(adapt.measure(tmp_path, bursts, repeats=2))
    assert found.complete
    assert [(row["tasks"], row["repeat"]) for row in found.measured] == [
        (20, 1),
        (60, 1),
        (20, 2),
        (60, 2),
    ]
    row = found.measured[0]
    assert (row["ideal_s"], row["makespan_s"]) == (5.0, 6.0)
    assert row["first_worker_s"] == pytest.approx(1.0, abs=0.2)
    assert row["empty_s"] == pytest.approx(2.0, abs=0.2)
    assert row["busy_core_s"] == pytest.approx(10.0)
    assert row["held_core_s"] == pytest.approx(14.0)
    assert row["wasted_core_s"] == pytest.approx(4.0)
    assert row["most_workers"] == 2
    assert max(count for _, count in row["busy_at"]) == 2
    assert row["busy_at"][-1][1] == row["held_at"][-1][1] == 0


# --- scheduler-limit ------------------------------------------------------------------------------


def test_a_scheduler_holds_as_many_workers_as_are_busy_most_of_the_time():
    shares = [(100, 0.99), (1000, 0.9), (10_000, 0.3)]
    workers, may_be_more = limit_view.holds(shares)
    assert (1000 < workers < 10_000, may_be_more) == (True, False)
    assert limit_view.holds(shares[:2]) == (1000, True)
    assert limit_view.holds([(100, 0.5), (1000, 0.9)]) is None


def test_a_busy_computer_is_not_taken_for_the_limit_of_the_scheduler():
    fast, slow = limit_row(100, 5.1), limit_row(1000, 20.0) | {"slots": 1000}
    assert limit_view.disturbance([fast]) == ""
    assert limit_view.disturbance([fast, slow | {"cpu_s": 19.0}]) == ""
    assert "only 10 % of a core with 1,000 workers" in limit_view.disturbance([fast, slow])


def test_a_step_that_the_computer_cannot_hold_is_not_begun():
    memory = SimpleNamespace(available=50 * 2**20, total=100 * 2**20)
    assert limit.shortage(1000, memory, 4096) == ""
    assert "ulimit -n 10200" in limit.shortage(10_000, memory, 4096)
    memory.available = 5 * 2**20
    assert limit.shortage(1000, memory, None) == "5 MiB of memory are left"


def test_a_step_that_fails_is_the_last_row(tmp_path, monkeypatch):
    class Scheduler:
        processes = ()

        def __init__(self, seconds):
            pass

        def start(self):
            pass

        def measure(self, workers, tasks, seconds):
            if workers > 200:
                raise limit.StepEndedError("the tasks took more than 300 s")
            return limit_row(workers)

        def close(self):
            pass

    monkeypatch.setattr(limit, "_Scheduler", Scheduler)
    found = record.read(limit.measure(tmp_path, limit.Steps((100, 300, 1000))))
    assert found.complete
    assert [(row["slots"], row["status"]) for row in found.rows] == [(100, "ok"), (300, "failed")]
    assert all(row["simulated"] for row in found.rows)


def limit_row(workers, makespan=5.5):
    row = {"makespan_s": makespan, "ideal_s": 5.0, "efficiency": 5.0 / makespan, "cpu_s": 2.0}
    row |= {"overhead_s": makespan - 5, "speedup": 1.0, "speedup_bound": 1.0}
    row |= {"tasks_per_s": 5 * workers / makespan, "connected_s": 1.0, "rss_mib": 200.0}
    return row | {"simulated_cpu_percent": 20.0}


class Sent(list):
    """The messages of a simulated worker."""

    def send(self, message):
        self.append(message)


def test_a_simulated_worker_runs_one_task_at_a_time_and_gives_up_only_those_that_wait():
    worker = simulated.SimulatedWorker(7, seconds=0.01)
    worker._stream = sent = Sent()

    async def talk():
        for key in "abc":
            worker.handle({"op": "compute-task", "key": key, "run_id": 1})
        for key in "ab":
            worker.handle({"op": "steal-request", "key": key, "stimulus_id": "s"})
        worker.handle({"op": "unknown"})
        while sum(message["op"] == "task-finished" for message in sent) < 2:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(talk(), 10))
    stolen = [(m["key"], m["state"]) for m in sent if m["op"] == "steal-response"]
    assert stolen == [("a", "executing"), ("b", "ready")]
    done = [m for m in sent if m["op"] == "task-finished"]
    assert [m["key"] for m in done] == ["a", "c"]
    assert done[0]["startstops"][0]["stop"] <= done[1]["startstops"][0]["start"] + 0.001


def test_addresses_of_simulated_workers_differ():
    addresses = {simulated.SimulatedWorker(n, 1.0).address for n in range(10_000)}
    assert len(addresses) == 10_000
    assert all(address.startswith("tcp://127.1.") for address in addresses)


@pytest.mark.full
def test_a_real_scheduler_takes_simulated_workers_for_real_ones(tmp_path):
    steps = limit.Steps((8, 20), tasks_per_worker=4, seconds=0.2)
    found = record.read(limit.measure(tmp_path, steps))
    assert [row["slots"] for row in found.measured] == [8, 20]
    for row in found.measured:
        assert 0.8 <= row["makespan_s"] < 60
        assert row["rss_mib"] > 20


# --- what is shown --------------------------------------------------------------------------------


def write(folder, workload, rows):
    with record.Writer(folder / f"{workload}.jsonl") as writer:
        header = {"schema": record.SCHEMA, "version": record.VERSION, "workload": workload}
        writer.write("header", **header, started=workload)
        for row in rows:
            writer.write("row", **{"workload": workload, "status": "ok", "n_errors": 0} | row)
        writer.write("end")
    return record.read(folder / f"{workload}.jsonl")


FAILURE = [
    {"loss": "nothing", "repeat": 1, "makespan_s": 5.25, "tasks_twice": 0},
    {"loss": "worker", "repeat": 1, "makespan_s": 6.5, "tasks_twice": 4, "lost_s": 1.25}
    | {"workers_lost": 1, "noticed_s": 0.1, "back_s": 0.75},
    {"loss": "job", "repeat": 1, "makespan_s": 8.0, "tasks_twice": 12, "lost_s": 2.75}
    | {"workers_lost": 4, "noticed_s": 0.2, "back_s": None},
    {"loss": "node", "repeat": 1, "status": "failed", "error": "not done within 325 s"},
]
FAILURE = [
    row
    | {"slots": 16, "tasks": 80, "seconds": 1.0, "ideal_s": 5.0}
    | ({"overhead_s": row["makespan_s"] - 5} if "makespan_s" in row else {})
    for row in FAILURE
]
BURST = {"slots": 16, "seconds": 1.0, "repeat": 1, "overhead_s": 4.0, "speedup": 2.0}
BURST |= {"first_worker_s": 3.0, "empty_s": 3.0, "most_workers": 4, "busy_core_s": 20.0}
BURST |= {"held_core_s": 50.0, "wasted_core_s": 30.0, "ideal_s": 2.0, "makespan_s": 9.0}
BURST |= {"held_at": [[3.0, 4], [12.0, 0]], "busy_at": [[3.5, 4], [9.0, 0]]}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "failure", FAILURE)
    write(tmp_path, "adapt", [BURST | {"tasks": tasks} for tasks in (20, 60)])
    steps = [(100, 5.1), (1000, 5.5), (10_000, 17.0)]
    rows = [
        limit_row(workers, makespan) | {"slots": workers, "tasks": 5 * workers, "seconds": 1.0}
        for workers, makespan in steps
    ]
    write(tmp_path, "scheduler-limit", rows)
    return tmp_path


def test_the_report_has_words_a_table_and_a_figure_of_each(folder):
    names = {path.name for path in report.write(folder)}
    assert {"failure.svg", "adapt.png", "scheduler-limit.svg"} <= names
    text = " ".join((folder / "report.html").read_text().split())
    assert "a worker, 1.2 s (4 tasks ran twice); a job, 2.8 s (12 tasks ran twice)" in text
    assert "node lost, repeat 1: failed. not done within 325 s" in text
    assert "20 tasks of 1 s are done after 9.0 s (2 s if all 16 workers were there)" in text
    assert "30 of 50 core-seconds are wasted" in text
    assert "One scheduler holds about 1,500 of your workers" in text
    assert "The workers are simulated" in text


def test_tables_in_the_terminal(folder, capsys):
    for workload in ("failure", "adapt", "scheduler-limit"):
        show.show(record.read(folder / f"{workload}.jsonl"))
    out = capsys.readouterr().out
    assert "run twice" in out
    assert "first worker s" in out
    assert "simulated workers" in out
    assert failure_view.describe(FAILURE[1]).endswith(
        "4 tasks run twice; all workers back after 0.8 s"
    )
    assert "30 of 50 core-seconds wasted" in adapt_view.describe(BURST)


def test_exported_records_are_shown_too(folder, tmp_path):
    exported = tmp_path / "exported"
    exported.mkdir()
    lines, _ = export.export(record.read_folder(folder), exported / "all.jsonl")
    rows = [line for line in lines if line["kind"] == "row"]
    assert {row.get("loss") for row in rows} == {"nothing", "worker", "job", "node", None}
    assert "held_at" not in json.dumps(rows)
    report.write(exported)
    assert "A cluster that follows the work" in (exported / "report.html").read_text()


def test_list_says_what_is_simulated_and_who_can_lose_a_node():
    assert "The workers are simulated on this computer" in " ".join(
        invoke("list", "scheduler-limit").output.split()
    )
    assert "--lose-node COMMAND" in invoke("list", "failure").output


def test_a_plan_without_room_is_refused():
    with pytest.raises(PlanError, match="at least 2 jobs"):
        failure.plan("cluster", [(1, 8)])
