"""The numbers that a benchmark reports, against values worked out by hand."""

from statistics import median

import pytest

from dask_hpc.bench import metrics
from dask_hpc.bench.backends._dask import phase_durations
from dask_hpc.bench.plan import JobLayout, layout, make
from dask_hpc.bench.points import UNEVEN, Point
from dask_hpc.bench.tasks import uneven_length
from dask_hpc.bench.workloads import PlanError

# 500 tasks of 1 s: slots, waves (= ideal time), most speedup, most efficiency.
TABLE = [
    (10, 50, 10, 1),
    (20, 25, 20, 1),
    (32, 16, 31.25, 0.977),
    (60, 9, 55.56, 0.926),
    (64, 8, 62.5, 0.977),
    (80, 7, 71.43, 0.893),
    (100, 5, 100, 1),
    (120, 5, 100, 0.833),
    (125, 4, 125, 1),
    (240, 3, 166.67, 0.694),
    (250, 2, 250, 1),
    (500, 1, 500, 1),
]


@pytest.mark.parametrize(("slots", "waves", "bound", "efficiency"), TABLE)
def test_the_staircase_of_500_tasks(slots, waves, bound, efficiency):
    assert metrics.waves(500, slots) == waves
    assert metrics.ideal_s(500, 1.0, slots) == waves
    assert metrics.speedup_bound(500, slots) == pytest.approx(bound, abs=0.01)
    assert metrics.speedup_bound(500, slots) / slots == pytest.approx(efficiency, abs=0.001)


def test_120_slots_are_no_faster_than_100_and_125_are():
    bounds = [metrics.speedup_bound(500, n) for n in (100, 120, 125)]
    assert bounds[0] == bounds[1] < bounds[2]


def test_share_of_the_ideal_does_not_blame_the_scheduler_for_the_last_wave():
    perfect = metrics.ideal_s(500, 1.0, 120)
    assert metrics.of_makespan(500, perfect, perfect)["efficiency"] == 1
    measured = metrics.of_makespan(500, perfect, 5.2)
    assert measured["efficiency"] == pytest.approx(0.9615, abs=1e-4)
    assert measured["speedup"] == pytest.approx(96.15, abs=0.01)
    assert measured["overhead_s"] == pytest.approx(0.2)


def test_uneven_tasks_take_at_least_the_longest_one_and_their_share():
    assert metrics.uneven_ideal_s([1.0, 1.0, 4.0], 2) == 4.0
    assert metrics.uneven_ideal_s([1.0, 2.0, 3.0], 2) == 3.0
    assert metrics.uneven_ideal_s([1.0, 2.0, 2.0, 2.0], 2) == 3.5
    point = Point(120, 600, 1.0, 1, lengths=UNEVEN)
    lengths = [uneven_length(n, 1.0, 600) for n in range(600)]
    assert point.ideal_s == pytest.approx(sum(lengths) / 120)
    assert point.total_s == pytest.approx(sum(lengths))
    assert median(lengths) == pytest.approx(0.88, abs=0.1)  # below the mean, as lognormal ones are
    assert lengths[300] == max(lengths) == 4.0  # the straggler


def test_tasks_of_an_uneven_point_take_what_its_ideal_counts_on():
    point = Point(2, 4, 0.01, 1, lengths=UNEVEN)
    traces = [point.task(first=10)(item) for item in range(10, 14)]
    took = [trace[5] - trace[4] for trace in traces]
    expected = [uneven_length(n, 0.01, 4) for n in range(4)]
    assert all(x >= y for x, y in zip(took, expected, strict=True))
    assert sum(took) < sum(expected) + 0.5


def test_metg_is_where_efficiency_crosses_a_half():
    # Halfway between 0.4 and 0.6, so halfway between the logarithms of the lengths.
    assert metrics.metg([(1, 0.9), (0.1, 0.6), (0.001, 0.4)]) == pytest.approx(0.01)
    assert metrics.metg([(0.001, 0.4), (0.1, 0.5), (1, 0.9)]) == pytest.approx(0.1)


def test_metg_counts_no_length_below_one_that_is_too_inefficient():
    assert metrics.metg([(1, 0.9), (0.1, 0.5), (0.01, 0.1), (0.001, 0.8)]) == pytest.approx(0.1)


def test_metg_without_a_crossing_is_the_shortest_length_or_none():
    assert metrics.metg([(1, 0.9), (0.1, 0.8)]) == 0.1
    assert metrics.metg([(1, 0.3), (0.1, 0.2)]) is None
    assert metrics.metg([]) is None


def test_a_summary_says_of_how_many_it_is_and_their_range():
    six = metrics.summary([5.2, 5.1, 5.4, 5.1, 5.3, 5.15])
    assert (six.n, six.low, six.high) == (6, 5.1, 5.4)
    assert six.median == pytest.approx(5.175)
    with pytest.raises(ValueError, match="no median"):
        metrics.summary([])


@pytest.mark.parametrize(
    ("slots", "expected"),
    [(20, (1, 20)), (50, (2, 25)), (100, (4, 25)), (120, (4, 30)), (30, (1, 30)), (31, (31, 1))],
)
def test_slots_become_the_fewest_equal_jobs_that_fit(slots, expected):
    assert layout(slots, 30) == JobLayout(*expected)


@pytest.mark.parametrize("slots", range(1, 130))
def test_jobs_hold_exactly_the_slots_and_never_exceed_the_cores(slots):
    shape = layout(slots, 30)
    assert shape.jobs * shape.threads == slots
    assert shape.threads <= 30


def test_every_repeat_is_in_the_plan_and_the_first_start_is_the_largest():
    plan = make("strong-scaling")
    sessions = plan.sessions()
    assert sessions[0].slots == 120
    for slots, repeats in zip((20, 50, 100, 120), (1, 2, 3, 6), strict=True):
        assert sum(len(s.turns) for s in sessions if s.slots == slots) == repeats
    # Interleaved: points with several repeats are measured twice, apart from the turning one.
    assert [s.slots for s in sessions] == [120, 100, 50, 20, 50, 100, 120]


def test_points_that_share_workers_are_measured_in_turns():
    plan = make("granularity", slots=[4], repeats=[2])
    [session] = plan.sessions()
    assert list(session.turns) == [*plan.points, *plan.points]
    sessions = make("uneven", repeats=[3]).sessions()
    assert [s.saturation for s in sessions] == [2.0, 1.1, 1.0, 1.1, 2.0]
    assert [{p.way for p in s.turns} for s in sessions[::4]] == [{"gather", "sweep"}] * 2


def test_weak_scaling_has_the_same_ideal_for_each_number_of_slots():
    plan = make("weak-scaling", slots=(10, 20), seconds=0.5)
    assert {(p.slots, p.tasks, p.ideal_s) for p in plan.points} == {(10, 50, 2.5), (20, 100, 2.5)}


def test_the_forecast_covers_the_task_time_and_stays_near_it():
    plan = make("strong-scaling")
    assert plan.measuring_s() == 25 + 2 * 10 + 3 * 5 + 6 * 5
    assert plan.measuring_s() < plan.forecast_s() < 2 * plan.measuring_s()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"slots": (20, 20)}, "duplicate"),
        ({"tasks": 10, "slots": (20,)}, "10 tasks cannot use 20 slots"),
        ({"slots": (20, 50), "repeats": (1, 2, 3)}, "3 numbers for 2 points"),
    ],
)
def test_numbers_that_cannot_be_measured_together_are_named_in_one_line(arguments, words):
    with pytest.raises(PlanError) as caught:
        make("strong-scaling", **arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_phases_add_up_even_where_clocks_disagree_or_a_phase_is_missing():
    marks = [("a", 11.0), ("b", None), ("c", 10.5), ("d", 14.0)]
    phases = phase_durations(10.0, marks)
    assert phases == {"a": 1.0, "c": 0.0, "d": 3.0}
    assert sum(phases.values()) == 4.0
