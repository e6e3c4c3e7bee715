"""How many inputs a batch gets, and how many batches are sent ahead."""

import heapq

import pytest

from dask_hpc._sweep.batches import MAX_BYTES_AHEAD, MAX_INPUTS_AHEAD, PROBE_S, BatchPlanner
from dask_hpc._sweep.display import Counts, describe, sum_up


@pytest.mark.parametrize(
    ("slots", "cost_s", "left", "size"),
    [
        (4, None, 1000, 1),  # nothing is known yet
        (4, 1.0, 1000, 1),  # long calls
        (4, 0.1, 1000, 1),
        (4, 0.01, 1000, 10),  # a tenth of a second
        (4, 0.01, None, 10),
        (4, 0.01, 20, 5),  # what is left for each slot
        (4, 0.01, 3, 1),
        (120, 0.01, 100_000, 60),  # longer batches, since 120 slots ask for many
        (120, 0.01, 240, 3),  # a twentieth of it at the end
        (120, 0.1, 240, 2),
        (4, 1e-9, None, MAX_INPUTS_AHEAD // 12),  # memory
        (0, 0.01, 1000, 10),  # no worker yet
    ],
)
def test_size_of_a_batch(slots, cost_s, left, size):
    assert BatchPlanner(slots, cost_s).batch_size(left) == size


def test_cost_follows_what_calls_take():
    planner = BatchPlanner(4)
    planner.record(1, 2.0)  # the first one imports packages
    assert planner.batch_size(None) == 1
    for _ in range(50):
        planner.record(10, 0.1)
    assert planner.cost_s == pytest.approx(0.01, rel=0.01)


def test_some_workers_begin_before_all_calls_are_sent():
    assert BatchPlanner(120).first_batches == 30
    assert BatchPlanner(0).first_batches == 0


def test_long_calls_are_all_sent_and_short_ones_wait_for_the_first_result():
    planner = BatchPlanner(120)
    assert planner.batches_ahead(0.0) == 240
    assert planner.batches_ahead(PROBE_S) == 600  # 500 calls of 1 s are sent at once
    planner.record(1, 1.0)
    assert planner.batches_ahead(1.0) == 1000
    planner.cost_s = 0.001
    assert planner.batches_ahead(1.0) == 360


@pytest.mark.parametrize(("slots", "calls"), [(120, 600), (480, 1000), (960, 1920)])
def test_with_many_slots_less_is_sent_before_the_first_result(slots, calls):
    assert BatchPlanner(slots).batches_ahead(PROBE_S) == calls


def test_nothing_more_is_sent_until_a_quarter_is_back_or_when_memory_is_full():
    planner = BatchPlanner(4, 0.01)  # 12 batches ahead
    assert planner.room(0, 0, 0, 1.0) == 12
    assert planner.room(10, 100, 0, 1.0) == 0
    assert planner.room(9, 90, 0, 1.0) == 3
    assert planner.room(1, 1, MAX_BYTES_AHEAD, 1.0) == 0
    assert planner.room(1, MAX_INPUTS_AHEAD, 0, 1.0) == 0
    assert planner.room(0, 0, MAX_BYTES_AHEAD, 1.0) > 0  # one input larger than all that


@pytest.mark.parametrize(("slots", "calls", "cost_s"), [(8, 2000, 0.01), (120, 20_000, 0.003)])
def test_slots_end_at_about_the_same_time(slots, calls, cost_s):
    """Hand batches to the slot that is free first, as the scheduler does."""
    planner, left = BatchPlanner(slots, cost_s), calls
    free = [0.0] * slots
    while left:
        size = min(planner.batch_size(left), left)
        left -= size
        heapq.heappush(free, heapq.heappop(free) + size * cost_s)
    ideal = calls * cost_s / slots
    assert max(free) < 1.05 * ideal + cost_s
    assert min(free) > 0.95 * ideal - cost_s


@pytest.mark.parametrize(
    ("counts", "elapsed_s", "slots", "line"),
    [
        (Counts(300), 0, 0, "0 of 300 done, 300 left, waiting for workers"),
        (Counts(300), 5, 8, "0 of 300 done, 300 left"),
        (Counts(300, 97, 3, 100), 20, 8, "97 of 300 done, 3 failed, 200 left, about 40 s to go"),
        (Counts(300, 150, 0, 50), 20, 8, "150 of 300 done, 150 left, about 60 s to go"),
        (Counts(None, 97, 3, 100), 20, 8, "97 done, 3 failed"),
        (Counts(300, 300, 0, 300), 60, 8, "300 of 300 done, 0 left"),
    ],
)
def test_status_line(counts, elapsed_s, slots, line):
    assert describe(counts, elapsed_s, slots) == line


def test_summary_names_failed_inputs():
    assert sum_up(Counts(3, 3, 0, 3), "results", 61) == ["3 inputs done, in 61 s. Results: results"]
    assert sum_up(Counts(3, 3, 0, 1), "results", 1) == [
        "3 inputs done, 2 of them before, in 1 s. Results: results"
    ]
    lines = sum_up(Counts(9, 2, 7, 9), "out", 1, [f"{n}.nc: ValueError: no" for n in range(5)])
    assert lines[0] == "9 inputs: 2 done, 7 failed, in 1 s."
    assert lines[1] == "  failed: 0.nc: ValueError: no"
    assert lines[-2] == "  and 2 more"
    assert "retry_failed=True (--retry-failed)" in lines[-1]
