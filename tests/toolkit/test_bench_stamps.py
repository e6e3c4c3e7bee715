"""What the harness catches: a real run's stamps with a fault put in, and without one.

``bench_stamps.json`` is a run on the testbed: 100 tasks of 0.5 s on 20 slots, in 4 jobs, each
on a node of its own, while the computer was busy with other work.
"""

import json
import time
from pathlib import Path

import pytest

from dask_hpc.bench import record, report, runner, show, stamps
from dask_hpc.bench.plan import Plan
from dask_hpc.bench.points import HARNESS, Point
from dask_hpc.bench.validation import MeasurementError, TaskTrace, check
from dask_hpc.bench.workloads import WORKLOADS

RUN = json.loads(Path(__file__).with_name("bench_stamps.json").read_text())
REAL = [TaskTrace(*result) for result in RUN["results"]]
SLOTS, SECONDS, IDEAL = 20, 0.5, 2.5
NODES = sorted({task.host for task in REAL})


def checked(tasks, makespan=RUN["makespan_s"]):
    return check(tasks, range(100), SLOTS, SECONDS, makespan, IDEAL)


def seen(tasks, **kwargs):
    return stamps.examine(tasks, RUN["began"], RUN["ended"], **kwargs)


def shifted(tasks, seconds, node="node2"):
    return [
        task._replace(start=task.start + seconds, end=task.end + seconds)
        if task.host == node
        else task
        for task in tasks
    ]


def late(seconds, node="node2"):
    """Return the run as it is if the worker on one node joins late: others do its first tasks."""
    joined = min(task.start for task in REAL) + seconds
    return [
        # After all others, each on a slot of another node that is free then.
        task._replace(host="node1", pid=REAL[0].pid, thread=1000 + task.item)
        if task.host == node and task.start < joined
        else task
        for task in REAL
    ]


def test_a_good_run_has_no_remark():
    assert checked(REAL).slots_used == SLOTS
    found = seen(REAL)
    assert found.remarks == []
    assert found.clock_skew_s == 0
    assert 0 <= found.late_s < 0.25
    assert found.columns().keys() == {"clock_skew_s", "late_s"}


def test_deduplicated_tasks_are_refused():
    one = REAL[0]
    with pytest.raises(MeasurementError, match="merges equal calls or reuses old results"):
        checked([one] * 100)
    with pytest.raises(MeasurementError, match="overlap in one thread"):
        checked([one._replace(item=item) for item in range(100)])


def test_a_lost_slot_is_refused():
    slot = REAL[0].slot
    other = next(task.thread for task in REAL if task.slot[:2] == slot[:2] and task.slot != slot)
    moved = 100.0  # the tasks of the lost slot run at the end, on another one
    tasks = [
        task._replace(thread=other, start=task.start + moved, end=task.end + moved)
        if task.slot == slot
        else task
        for task in REAL
    ]
    with pytest.raises(MeasurementError, match="only 19 of 20 slots got a task"):
        checked(tasks)


def test_a_makespan_below_the_ideal_is_refused():
    with pytest.raises(MeasurementError, match=r"2\.400 s is below the minimum of 2\.5 s"):
        checked(REAL, makespan=2.4)


@pytest.mark.parametrize("seconds", [-3.0, 3.0, -0.4])
def test_a_skewed_clock_on_one_node_is_a_remark_in_one_line(seconds):
    found = seen(shifted(REAL, seconds))
    [line] = found.remarks
    assert "\n" not in line
    assert "node2's by " in line
    assert ("behind" if seconds < 0 else "ahead") in line
    assert "the makespan is right" in line
    assert 0.25 * abs(seconds) < abs(found.clock_skew_s) <= abs(seconds)
    assert (found.clock_skew_s < 0) == (seconds < 0)


def test_clocks_that_differ_by_milliseconds_are_no_remark():
    for node in NODES:
        assert seen(shifted(REAL, -0.03, node)).remarks == []
        assert seen(shifted(REAL, 0.03, node)).remarks == []


def test_a_worker_that_joins_late_is_a_remark_in_one_line():
    [line] = seen(late(1.0)).remarks
    assert "\n" not in line
    assert line.startswith("a worker joined late, process ")
    assert "on node2" in line
    assert "fewer slots than the row says" in line
    # Tasks that are too short or too few may leave a worker without one.
    assert seen(late(1.0), all_at_once=False).remarks == []


def test_a_worker_that_is_lost_before_the_end_is_a_remark():
    start = min(task.start for task in REAL)
    tasks = [task for task in REAL if task.host != "node3" or task.end < start + 1.3]
    [line] = seen(tasks).remarks
    assert "a worker had no task for the last part of the repeat" in line
    assert "on node3" in line
    # In a sweep, tasks of a batch wait on one worker.
    assert seen(tasks, one_by_one=False).remarks == []


def test_many_workers_are_named_by_three():
    tasks = [task._replace(pid=100 + task.item) for task in REAL]
    [line, *_] = seen(tasks).remarks
    assert line.startswith("80 workers joined late")
    assert ", and 77 more" in line


class Replayed:
    """A backend that returns the stamps of the real run, as if it were now."""

    name = "replayed"

    def __init__(self, tasks):
        self.tasks = tasks

    def start(self, slots, saturation=2.0):
        return {}

    def map(self, function, items, timeout=None, way=HARNESS):
        items = list(items)
        if len(items) < len(self.tasks):
            return []  # the warm-up
        shift = self.clock.time() - RUN["began"]
        self.clock.shift(RUN["makespan_s"])
        return [
            tuple(task._replace(item=item, start=task.start + shift, end=task.end + shift))
            for item, task in zip(items, self.tasks, strict=True)
        ]

    def describe(self):
        return {"jobs": 4, "processes": 1, "threads": 5}

    def close(self):
        pass


def test_remarks_are_in_the_record_the_terminal_and_the_report(tmp_path, monkeypatch, capsys):
    class Clock:
        """The time of the replayed run, which takes none."""

        offset = 0.0
        process_time = staticmethod(time.process_time)

        def shift(self, seconds):
            self.offset += seconds

        def time(self):
            return time.time() + self.offset

        def perf_counter(self):
            return time.perf_counter() + self.offset

    backend = Replayed(shifted(REAL, -3.0))
    backend.clock = Clock()
    monkeypatch.setattr(runner, "time", backend.clock)
    plan = Plan(WORKLOADS["sleep"], [Point(SLOTS, 100, SECONDS, 1)])
    path = runner.measure(plan, lambda: backend, tmp_path)
    found = record.read(path)
    [row] = found.measured
    [line] = row["remarks"]
    assert "node2's by" in line
    show.show(found)
    assert f"Note on sleep, 20 slots, repeat 1: {line}." in capsys.readouterr().out
    report.write(tmp_path)
    assert f"repeat 1: {line}".replace("'", "&#39;") in (tmp_path / "report.html").read_text()
