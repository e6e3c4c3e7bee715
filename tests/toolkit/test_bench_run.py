"""The loop and its checks, on a real pool of threads: what it measures, and what it refuses."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from dask_hpc.bench import aggregate, cold_start, provenance, record, runner
from dask_hpc.bench import plan as bench_plan
from dask_hpc.bench.plan import Plan
from dask_hpc.bench.points import HARNESS, Point
from dask_hpc.bench.validation import MeasurementError, check
from dask_hpc.bench.workloads import WORKLOADS
from dask_hpc.dask_errors import WorkerStartTimeoutError
from dask_hpc.environment import packages

SECONDS = 0.05


class Pool:
    """An honest backend without Dask."""

    name = "pool"

    def __init__(self):
        self.closed = False
        self.calls = 0

    def start(self, slots, saturation=2.0):
        self.slots = slots
        self.pool = ThreadPoolExecutor(slots)
        return {"cluster": 0.0}

    def map(self, function, items, timeout=None, way=HARNESS):
        self.calls += 1
        return list(self.pool.map(function, items))

    def describe(self):
        return {"jobs": 1, "processes": 1, "threads": self.slots}

    def close(self):
        self.closed = True
        if hasattr(self, "pool"):
            self.pool.shutdown()


def small(slots=4, repeats=2, tasks=12):
    return Plan(WORKLOADS["sleep"], [Point(slots, tasks, SECONDS, repeats)])


def measure(tmp_path, backend, plan=None):
    return record.read(runner.measure(plan or small(), lambda: backend, tmp_path))


def refused(tmp_path, backend, words, plan=None):
    with pytest.raises(MeasurementError) as caught:
        measure(tmp_path, backend, plan)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert backend.closed
    [path] = tmp_path.glob("*.jsonl")
    found = record.read(path)
    assert found.rows[-1]["status"] == "refused"
    assert words in found.rows[-1]["error"]
    assert found.environment["digest"].startswith("sha256:")
    return found


def test_a_row_holds_what_was_measured(tmp_path):
    found = measure(tmp_path, Pool())
    assert len(found.measured) == 2
    assert found.complete
    for number, row in enumerate(found.measured, 1):
        assert (row["workload"], row["backend"], row["slots"]) == ("sleep", "pool", 4)
        assert (row["tasks"], row["seconds"], row["repeat"]) == (12, SECONDS, number)
        assert row["ideal_s"] == pytest.approx(3 * SECONDS)
        assert row["makespan_s"] >= row["ideal_s"]
        assert row["overhead_s"] == pytest.approx(row["makespan_s"] - row["ideal_s"], abs=1e-5)
        assert row["efficiency"] == pytest.approx(row["ideal_s"] / row["makespan_s"], abs=1e-4)
        assert row["speedup"] == pytest.approx(12 * SECONDS / row["makespan_s"], abs=1e-3)
        assert row["slots_used"] == 4
        assert row["n_errors"] == 0


def test_the_trace_of_one_repeat_is_kept(tmp_path):
    found = measure(tmp_path, Pool())
    [trace] = found.traces
    assert (trace["repeat"], trace["slots"], trace["tasks"]) == (1, 4, 12)
    assert trace["makespan_s"] == found.measured[0]["makespan_s"]
    assert len(trace["task_slots"]) == 12
    assert set(trace["task_slots"]) == set(range(4))
    assert min(trace["starts_ms"]) >= 0
    assert max(trace["ends_ms"]) <= 1000 * trace["makespan_s"] + 1


def test_the_cold_start_is_told_in_phases_that_add_up(tmp_path):
    [start] = measure(tmp_path, Pool()).starts
    assert list(start["phases"]) == ["import", "cluster", "warmup", "first_result", "last_result"]
    assert start["cold_total_s"] == pytest.approx(sum(start["phases"].values()))
    assert start["phases"]["warmup"] >= runner.WARMUP_S
    assert start["phases"]["first_result"] >= SECONDS * 0.9


def test_the_header_says_what_was_run_on_what(tmp_path):
    header = measure(tmp_path, Pool()).header
    assert (header["schema"], header["version"]) == ("dask-hpc-bench", 2)
    assert header["plan"][0]["tasks"] == 12
    assert {"dask", "distributed", "dask-hpc", "python"} <= set(header["versions"])
    assert header["machine"]["usable_cores"] >= 1


def test_the_environment_is_in_the_record(tmp_path, monkeypatch):
    found = measure(tmp_path, Pool()).environment
    assert found["digest"] == packages.digest()
    assert found["packages"] == len(packages.installed())
    monkeypatch.setenv("BENCH_COMMIT", "0a1b2c")
    assert provenance.commit() == "0a1b2c"
    monkeypatch.delenv("BENCH_COMMIT")
    assert provenance.commit(tmp_path) == ""  # no repository

    # As on the testbed; dpkg-query fails since one of the names has no package.
    fake = tmp_path / "dpkg-query"
    lines = "installed\\tslurmctld\\t24.11.5-4\\nnot-installed\\tpython3.6\\t\\n"
    fake.write_text(f"#!/bin/sh\nprintf '{lines}'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert provenance.system_packages() == {"slurmctld": "24.11.5-4"}
    monkeypatch.setenv("PATH", "")  # another system
    assert provenance.system_packages() == {}


def test_a_backend_that_merges_equal_calls_is_found_out(tmp_path):
    class Merging(Pool):
        def map(self, function, items, timeout=None, way=HARNESS):
            items = list(items)
            self.calls += 1
            if self.calls == 1:  # the warm-up
                return super().map(function, items)
            return list(self.pool.map(function, items[:1])) * len(items)

    refused(tmp_path, Merging(), "merges equal calls or reuses old results")


def test_a_backend_that_remembers_results_is_found_out(tmp_path):
    class Remembering(Pool):
        seen = None

        def map(self, function, items, timeout=None, way=HARNESS):
            items = list(items)
            if len(items) != 12:
                return super().map(function, items)
            self.seen = self.seen or super().map(function, items)
            return self.seen

    found = refused(tmp_path, Remembering(), "reuses old results")
    assert len(found.measured) == 1  # the first repeat was honest, and is kept


def test_a_backend_that_copies_one_execution_under_other_names_is_found_out(tmp_path):
    class Copying(Pool):
        def map(self, function, items, timeout=None, way=HARNESS):
            results = super().map(function, items)
            return [(result[0], *results[0][1:]) for result in results]

    refused(tmp_path, Copying(), "overlap in one thread")


def test_a_task_left_out_is_found_out(tmp_path):
    class Forgetful(Pool):
        def map(self, function, items, timeout=None, way=HARNESS):
            return super().map(function, items)[:-1]

    refused(tmp_path, Forgetful(), "12 different tasks were submitted, but the 11 results")


def test_fewer_slots_than_claimed_are_found_out(tmp_path):
    class Half(Pool):
        def start(self, slots, saturation=2.0):
            super().start(slots // 2)
            self.slots = slots
            return {}

    refused(tmp_path, Half(), "only 2 of 4 slots")


def test_more_slots_than_claimed_are_found_out(tmp_path):
    class Twice(Pool):
        def start(self, slots, saturation=2.0):
            super().start(2 * slots)
            self.slots = slots
            return {}

    refused(tmp_path, Twice(), " slots, but only 4 were requested")


def traces(items=4, slots=2, seconds=1.0):
    """Return what `items` tasks on `slots` threads of one process would report."""
    return [
        (n, "host", 1, n % slots, n // slots * seconds, (n // slots + 1) * seconds, None)
        for n in range(items)
    ]


def test_a_makespan_below_the_ideal_is_refused():
    assert check(traces(), range(4), 2, 1.0, 2.01, 2.0).slots_used == 2
    with pytest.raises(MeasurementError, match=r"1\.990 s is below the minimum of 2 s"):
        check(traces(), range(4), 2, 1.0, 1.99, 2.0)


def test_tasks_shorter_than_they_can_be_are_refused():
    with pytest.raises(MeasurementError, match=r"4 of 4 tasks took less than the 2 s"):
        check(traces(seconds=1.0), range(4), 2, 2.0, 4.0, 4.0)


def test_a_failed_start_is_a_row_too_and_ends_the_run(tmp_path):
    class Queueing(Pool):
        def start(self, slots, saturation=2.0):
            raise WorkerStartTimeoutError(
                "0 of 4 workers connected within 1 s: job 7 pending", 0, 4, 1
            )

    backend = Queueing()
    with pytest.raises(WorkerStartTimeoutError):
        measure(tmp_path, backend)
    assert backend.closed
    [path] = tmp_path.glob("*.jsonl")
    [row] = record.read(path).rows
    assert (row["status"], row["slots"], row["n_errors"]) == ("failed", 4, 1)
    assert "job 7 pending" in row["error"]


def test_what_was_measured_before_a_failure_is_kept(tmp_path):
    class Dying(Pool):
        def map(self, function, items, timeout=None, way=HARNESS):
            if self.calls == 2:  # after the warm-up and a repeat
                raise OSError("the network is gone")
            return super().map(function, items)

    with pytest.raises(OSError, match="network"):
        measure(tmp_path, Dying())
    [path] = tmp_path.glob("*.jsonl")
    found = record.read(path)
    assert [row["status"] for row in found.rows] == ["ok", "failed"]
    assert not found.complete


def test_points_are_measured_on_workers_of_their_own(tmp_path):
    made = []

    def make():
        made.append(Pool())
        return made[-1]

    chosen = bench_plan.make("sleep", tasks=8, seconds=SECONDS, slots=(2, 4), repeats=(2,))
    found = record.read(runner.measure(chosen, make, tmp_path))
    assert [backend.slots for backend in made] == [4, 2, 4]
    assert all(backend.closed for backend in made)
    assert sorted((r["slots"], r["repeat"]) for r in found.measured) == [
        (2, 1),
        (2, 2),
        (4, 1),
        (4, 2),
    ]
    assert [start["first_of_command"] for start in found.starts] == [True, False, False]


def test_starts_are_compared_with_other_ways_on_a_cluster():
    shapes = [(4, 1), (4, 8)]
    found = [(s.jobs, s.processes, s.how) for s in cold_start.starts(shapes, "cluster")]
    assert found == [
        (4, 1, "default"),
        (4, 1, "no nanny"),
        (4, 8, "default"),
        (4, 8, "spawn"),
    ]
    assert {start.how for start in cold_start.starts(shapes, "local")} == {"default"}


def test_starts_alternate_and_their_rows_have_phases_and_memory(tmp_path, monkeypatch):
    class Workers:
        """Its workers are there at once."""

        def __init__(self, how, timeout):
            pass

        def start_workers(self, shape):
            assert shape.workers == shape.jobs * shape.processes
            return {"cluster": 0.5, "queue": 1.0, "first_worker": 0.25, "all_workers": 2.0}

        def pss_mib(self):
            return [20.0, 22.0, 90.0]

        def close(self):
            pass

    monkeypatch.setitem(cold_start.BACKENDS, "local", Workers)
    chosen = [cold_start.Start(1, 1), cold_start.Start(4, 8)]
    found = record.read(cold_start.measure(tmp_path, chosen, "local", repeats=2))
    assert found.complete
    shapes = [(row["jobs"], row["processes"], row["repeat"]) for row in found.measured]
    assert shapes == [(1, 1, 1), (4, 8, 1), (4, 8, 2), (1, 1, 2)]
    for row in found.measured:
        assert row["pss_mib"] == 22.0
        assert row["first_worker_s"] == 1.75
        assert row["phases"]["all_workers"] == 2.0
    [small, large] = aggregate.start_points(found.measured)
    assert (small["jobs"], large["jobs"], large["n"]) == (1, 4, 2)
    assert large["pss"].median == 22.0


def test_a_start_that_fails_is_a_row(tmp_path, monkeypatch):
    class Refused:
        def __init__(self, how, timeout):
            pass

        def start_workers(self, shape):
            raise WorkerStartTimeoutError("0 of 1 workers connected within 1 s", 0, 1, 1)

        def close(self):
            pass

    monkeypatch.setitem(cold_start.BACKENDS, "cluster", Refused)
    with pytest.raises(WorkerStartTimeoutError):
        cold_start.measure(tmp_path, [cold_start.Start(1, 1)], "cluster")
    [path] = tmp_path.glob("*.jsonl")
    [row] = record.read(path).rows
    assert (row["status"], row["jobs"], row["how"]) == ("failed", 1, "default")
