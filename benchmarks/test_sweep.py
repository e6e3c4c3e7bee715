"""What the records of `sweep.py` mean."""

import runpy
from pathlib import Path

import pytest

TABLES = runpy.run_path(str(Path(__file__).with_name("sweep_tables.py")))
computed_twice = TABLES["computed_twice"]


def test_efficiency_counts_waves():
    assert TABLES["efficiency"]({"tasks": 500, "length": 1, "seconds": 10}) == 0.5


def test_calls_for_inputs_that_an_earlier_run_saved_are_counted():
    saved = [[1, 2], [1, 2, 3], [1, 2, 3, 4]]
    # Input 3 was on its way when run 0 was killed: it had to be computed again.
    assert computed_twice([(0, 1), (0, 2), (0, 3), (1, 3), (2, 4)], saved) == 0
    assert computed_twice([(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 3)], saved) == 3


def record(name, rows):
    """Return a record with these rows."""
    about = {
        **{"date": "2026-11-29T00:00", "commit": "abc", "machine": {"cores": 2}},
        "versions": {"python": "3.13.5", "distributed": "2026.8.0"},
        "environment": {"system_packages": {"slurmd": "24.11"}},
    }
    rows = [{"load": 0.5, **row} for row in rows]
    return {"measurement": name, "about": about, "rounds": 1, "share": 1, "rows": rows}


def test_the_table_of_granularity_has_medians_and_metg():
    rows = [
        {"way": way, "length": length, "tasks": 120, "seconds": length / value}
        for way, values in {"sweep": (0.9, 0.9, 0.8), "gather": (0.9, 0.7, 0.1)}.items()
        for length, value in zip((1, 1, 0.1), values, strict=True)
    ]
    _, lines = TABLES["granularity"](record("granularity", rows))
    assert lines[0] == ["`sweep`", "0.90", "0.80", "at most 100.0 ms"]
    assert lines[1][:3] == ["`gather(map())`", "0.80", "0.10"]


def test_the_table_of_tiny_inputs_has_rates():
    rows = [
        {"way": way, "length": 0.001, "tasks": 1200, "seconds": seconds}
        for way, seconds in (("sweep", 0.1), ("sweep", 0.2), ("gather", 1.0))
    ]
    printed = TABLES["render"](record("tiny", rows))
    assert "| `sweep` | 1,200 | 9,000 (6,000 to 12,000) | 10,000 |" in printed
    assert "inputs/s (at most 120,000)" in printed
    assert "Slurm 24.11, Python 3.13.5, distributed 2026.8.0, 2 cores, load 0.5 to 0.5" in printed


@pytest.mark.parametrize(
    ("way", "changes", "is_wrong"),
    [
        ("sweep", {}, False),
        ("sweep", {"twice": 1}, True),
        ("sweep", {"equal": False}, True),
        ("gather", {"equal": False}, True),
    ],
)
def test_wrong_results_and_inputs_computed_twice_fail(way, changes, is_wrong):
    row = {"way": way, "equal": True, "twice": 0, **changes}
    assert TABLES["wrong"](record("killed", [row])) is is_wrong
