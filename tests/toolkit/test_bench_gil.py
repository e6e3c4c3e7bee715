"""The loop that computes: three ways, the same results."""

import pytest

from dask_hpc.bench import gil, record
from dask_hpc.bench.tasks import burn, burn_task
from dask_hpc.bench.validation import MeasurementError


def test_the_body_computes_pi():
    assert burn(200_000) == pytest.approx(3.14159, abs=1e-4)


def test_the_body_is_calibrated_to_this_computer():
    short, long = gil.calibrate(0.02), gil.calibrate(0.2)
    assert short > 100
    assert 3 < long / short < 30  # ten times as long; the machine may be busy


@pytest.mark.full
def test_threads_and_processes_are_measured_against_the_serial_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(gil, "SERIAL_S", 0.2)
    found = record.read(gil.measure(tmp_path, cores=2, repeats=2))
    assert [row["mode"] for row in found.measured] == ["serial", "threads", "processes"] * 2
    for row in found.measured:
        used = {"serial": 1, "threads": 2, "processes": 2}[row["mode"]]
        assert row["slots_used"] == used
        assert row["speedup_bound"] == used
        assert row["speedup"] > 0
    assert all(row["speedup"] == 1 for row in found.measured if row["mode"] == "serial")


def test_a_way_that_computes_something_else_is_refused():
    results = [burn_task(item, 1000) for item in range(4)]
    assert gil._row("threads", results, 4, 1000, 1.0, 1.0, 2)["status"] == "ok"
    wrong = [*results[:3], (*results[3][:6], 3.0)]
    with pytest.raises(MeasurementError, match="a task's result differs"):
        gil._row("threads", wrong, 4, 1000, 1.0, 1.0, 2)
    with pytest.raises(MeasurementError, match="4 unique tasks"):
        gil._row("threads", [*results[:3], results[0]], 4, 1000, 1.0, 1.0, 2)
