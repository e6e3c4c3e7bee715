"""Which task ran where and when: what a record keeps, and what the chart shows."""

from dask_hpc.bench import gantt, trace
from dask_hpc.bench.points import GATHER, Point


def traces(slots=4, tasks=12, seconds=1.0, gap=0.01):
    """Return the traces of tasks on slots of two computers, one after the other."""
    found = []
    for item in range(tasks):
        slot, turn = item % slots, item // slots
        start = 100.02 + turn * (seconds + gap)
        found.append((item, f"node{slot % 2}", 7, slot, start, start + seconds, None))
    return found


def test_each_task_has_its_slot_and_its_times():
    columns = trace.columns(traces(), begin=100.0)
    assert columns["slot_hosts"] == ["node0", "node0", "node1", "node1"]
    assert columns["slot_workers"] == [0, 0, 1, 1]
    assert sorted(columns["task_slots"]) == sorted(list(range(4)) * 3)
    assert (columns["starts_ms"][0], columns["ends_ms"][-1]) == (20.0, 3040.0)


def test_the_repeat_with_most_slots_is_kept_unless_it_has_too_many_tasks():
    points = [Point(n, 5 * n, 1.0, 1, GATHER) for n in (30, 120, 480)]
    assert trace.chosen(points).slots == 120
    assert trace.chosen([Point(8, 10_000, 0.0, 1)]) is None


def test_the_chart_has_a_bar_for_each_task_in_two_shades():
    from matplotlib.figure import Figure

    shown = trace.columns(traces(), begin=100.0)
    shown |= {"slots": 4, "tasks": 12, "ideal_s": 3.0, "makespan_s": 3.1, "repeat": 1}
    axes = Figure().subplots()
    gantt.panel(axes, shown)
    assert [len(bars) for bars in axes.containers] == [8, 4]  # first and third tasks, second ones
    colors = {bars[0].get_facecolor() for bars in axes.containers}
    assert len(colors) == 2
    assert [text.get_text() for text in axes.get_yticklabels()] == ["node0: 2", "node1: 2"]
    assert gantt.words(shown) == (
        "Repeat 1 of 12 tasks on 4 slots. The first task begins after 20 ms, and all slots have "
        "one after 20 ms. Between two tasks a slot waits for 10 ms (median; at most 10 ms). The "
        "last result is back 60 ms after the last task has ended."
    )
