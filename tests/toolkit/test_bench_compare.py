"""`dask hpc bench compare`: what is a difference, what is noise, and what cannot be told."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from dask_hpc.bench import compare, comparison, identity, record
from dask_hpc.bench.compare import Times, Verdict, judge
from dask_hpc.cli.main import main

HEADLINE = {"workload": "sleep", "backend": "cluster", "slots": 120, "tasks": 500, "seconds": 1.0}
PHASES = {"import": 0.4, "cluster": 0.3, "submit": 0.1, "queue": 0.3, "first_worker": 0.9}
PHASES |= {"all_workers": 0.3, "warmup": 0.2, "first_result": 1.0, "last_result": 4.1}


def write(path, makespans, starts=(), header=None, start=None, **keys):
    """Write a record of one point, and of starts by their phases."""
    return write_points(path, [(keys, makespans)], starts, header, start)


def write_points(path, points, starts=(), header=None, start=None):
    with record.Writer(path) as writer:
        version = {"schema": record.SCHEMA, "version": record.VERSION}
        writer.write("header", **version, workload="sleep", **(header or {}))
        for phases in starts:
            about = {"slots": 120, "backend": "cluster", "first_of_command": True}
            writer.write("start", **{**about, **(start or {})}, phases=phases)
        for number, (keys, makespans) in enumerate(points):
            for repeat, makespan in enumerate(makespans, 1):
                row = {"repeat": repeat, **HEADLINE, **keys, "status": "ok"}
                row |= {"started": f"2026-11-24T0{number}:{repeat:02}", "rss_mib": 80 + repeat / 8}
                writer.write("row", **row, makespan_s=makespan)
        writer.write("end")
    return path


def noisy(rng, mean, share, n):
    return [mean * rng.gauss(1, share) for _ in range(n)]


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", "compare", *map(str, arguments)])


def verdicts(a, b):
    found = compare.compare(compare.load(a), compare.load(b))
    return {each.times.name: each for each in found}


def only(found):
    [each] = found.values()
    return each


A = (5.10, 5.13, 5.11, 5.12, 5.10, 5.14)


@pytest.mark.parametrize(
    ("b", "verdict", "words"),
    [
        ([t + 0.10 for t in A], Verdict.SLOWER, r"slower by 2.0 % (1.4 to 2.5 %): not noise"),
        ([t - 0.10 for t in A], Verdict.FASTER, r"faster by 2.0 % (1.4 to 2.5 %): not noise"),
        ([t + 0.04 for t in A], Verdict.SAME, "no difference that matters (+0.8 %, 0.2 to 1.4 %)"),
        (A[::-1], Verdict.SAME, "no difference that 6 repeats can show (+0.0 %, -0.6 to 0.6 %)"),
        (A[:1], Verdict.UNKNOWN, "1 repeat in B: measure at least 5"),
        ((5.2, 9.0, 4.9), Verdict.SAME, "no difference that 6 and 3 repeats can show"),
    ],
)
def test_verdict_in_words(b, verdict, words):
    found = judge(Times("x", A, b, 0.01))
    assert found.verdict is verdict
    assert found.words().startswith(words)


def test_one_repeat_each_is_not_judged():
    assert judge(Times("x", A[:1], A[1:2], 0.01)).words() == "1 repeat each: measure at least 5"


def test_times_that_are_all_equal_are_judged():
    assert judge(Times("x", [5.1] * 3, [5.1] * 3, 0.01)).verdict is Verdict.SAME
    assert judge(Times("x", [5.1] * 3, [5.3] * 3, 0.01)).verdict is Verdict.SLOWER


def test_a_difference_that_is_likely_to_be_noise_is_none_however_large():
    found = judge(Times("x", (5.0, 5.2, 5.4, 5.6), (5.5, 5.7, 5.9, 6.1), 0.01))
    assert found.difference == pytest.approx(0.094, abs=0.001)
    assert found.verdict is Verdict.SAME
    assert found.low < 0


def test_one_disturbed_repeat_of_eight_hides_nothing():
    calm = (*A, 5.11, 5.12)
    slower = [t + 0.1 for t in calm]
    assert judge(Times("x", (*calm[:-1], 7.0), slower, 0.01)).verdict is Verdict.SLOWER


def test_disturbed_repeats_do_not_hide_a_difference():
    """Times of real runs on a busy machine."""
    a = (1.111, 1.114, 1.115, 1.138, 1.220, 1.333)
    b = (1.329, 1.390, 1.440, 1.459, 1.748, 2.761)
    assert judge(Times("x", a, b, 0.09)).verdict is Verdict.SAME
    found = judge(Times("x", a, b, 0.09, as_speeds=True))
    assert found.verdict is Verdict.SLOWER
    assert found.low < found.difference < found.high


def test_an_interval_is_finite():
    found = judge(Times("x", (1.0, 1.1), (1.0, 9.0), 0.01, as_speeds=True))
    assert found.verdict is Verdict.SAME
    assert found.high == pytest.approx(compare.MAX_SLOWDOWN - 1)


def test_levels_are_corrected_for_the_number_of_points():
    assert judge(Times("x", A, A, 0.01), 5).level == pytest.approx(0.998)


@pytest.mark.parametrize(("n", "spread"), [(3, 0.001), (5, 0.003), (6, 0.004), (10, 0.007)])
def test_20_of_20_runs_with_20_ms_more_for_a_task_are_slower_and_no_equal_ones(n, spread):
    rng = random.Random(n)
    pairs = [(noisy(rng, 5.12, spread, n), noisy(rng, 5.12, spread, n)) for _ in range(20)]
    assert not any(judge(Times("x", a, b, 0.01)).is_difference for a, b in pairs)
    for a, b in pairs:
        assert judge(Times("x", a, [t + 0.1 for t in b], 0.01)).verdict is Verdict.SLOWER


def starts_of(rng, n, more=0.0, spread=0.15):
    found = [{name: rng.gauss(t, spread * t) for name, t in PHASES.items()} for _ in range(n)]
    return [{**phases, "cluster": phases["cluster"] + more} for phases in found]


@pytest.mark.parametrize("n", [3, 10])
def test_20_of_20_runs_that_start_a_second_later_are_slower_and_no_equal_ones(n):
    rng = random.Random(n)

    def run(name, more=0.0):
        about = {"slots": 120, "backend": "cluster", "first_of_command": True}
        starts = [{**about, "phases": phases} for phases in starts_of(rng, n, more)]
        rows = [{**HEADLINE, "makespan_s": 5.1, "status": "ok"}]
        return [record.Record(Path(name), {"workload": "sleep"}, starts, rows)]

    for _ in range(20):
        a = run("a")
        assert not any(each.is_difference for each in compare.compare(a, run("b")))
        slower = [each for each in compare.compare(a, run("later", 1)) if each.is_difference]
        assert slower[-1].times.name == "of that: start Dask's scheduler"
        assert slower[-1].verdict is Verdict.SLOWER


def test_starts_of_several_kinds_are_matched(tmp_path):
    for name, more in (("a", 0.0), ("b", 1.0)):
        with record.Writer(tmp_path / f"{name}.jsonl") as writer:
            writer.write("header", schema=record.SCHEMA, version=record.VERSION, workload="sleep")
            for slots in (120, 100, 50, 20, 50):
                phases = {**PHASES, "queue": 0.3 + slots / 100 + more + 0.01 * (slots == 20)}
                first = {"backend": "cluster", "first_of_command": slots == 120}
                writer.write("start", slots=slots, **first, phases=phases)
            writer.write("row", **HEADLINE, repeat=1, makespan_s=5.1, status="ok")
    found = verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    start = found["start of 20 to 120 slots: until all workers are connected"]
    assert len(start.times.a) == 5
    assert start.verdict is Verdict.SLOWER
    assert start.difference == pytest.approx(1 / 3.06, abs=0.05)


def test_rows_of_cold_starts_are_starts(tmp_path):
    for name, more in (("a", 0.0), ("b", 1.0)):
        with record.Writer(tmp_path / f"{name}.jsonl") as writer:
            version = {"schema": record.SCHEMA, "version": record.VERSION}
            writer.write("header", **version, workload="cold-start")
            for number, slots in enumerate((1, 4, 32) * 3):
                jobs = {"slots": slots, "jobs": min(slots, 4), "how": "default", "repeat": number}
                phases = {"cluster": 0.3, "queue": 1 + number / 50 + more, "all_workers": 0.5}
                makespan = {"makespan_s": sum(phases.values()), "phases": phases}
                writer.write("row", backend="cluster", **jobs, **makespan, status="ok")
    found = verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert len(found.pop("cold-start: on 32 slots").times.a) == 3
    start = found["start of 1 to 32 slots: until all workers are connected"]
    assert start.difference == pytest.approx(1 / 1.88, abs=0.01)
    assert found["of that: wait until the first worker starts"].verdict is Verdict.SLOWER


def test_the_least_difference_is_10_ms_for_each_wave(tmp_path):
    """Ten waves of 0.1 s: the same Dask is often 0.05 s slower."""
    short = {"tasks": 40, "slots": 4, "seconds": 0.1}
    times = {"a": 0.0, "noise": 0.08, "slower": 0.2}
    for name, more in times.items():
        values = [1.08 + more, 1.09 + more, 1.081 + more]
        write(tmp_path / f"{name}.jsonl", values, **short)
    a = tmp_path / "a.jsonl"
    assert only(verdicts(a, tmp_path / "noise.jsonl")).verdict is Verdict.SAME
    assert only(verdicts(a, tmp_path / "slower.jsonl")).verdict is Verdict.SLOWER


def test_points_that_both_have_are_compared_each_with_its_own(tmp_path):
    def points(more):
        return [
            ({"way": "gather", "saturation": 1.0}, [t + more for t in A]),
            ({"way": "sweep", "saturation": 1.0}, A),
            ({"way": "sweep", "saturation": 2.0, "slots": 100}, A),
        ]

    write_points(tmp_path / "a.jsonl", points(0.0))
    write_points(tmp_path / "b.jsonl", points(0.2)[:2])
    found = verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert {name.rsplit(", ", 1)[1]: str(it.verdict) for name, it in found.items()} == {
        "way gather": "slower",
        "way sweep": "no difference",
    }


def test_an_unknown_number_that_differs_between_repeats_is_a_result(tmp_path):
    for name in "ab":
        with record.Writer(tmp_path / f"{name}.jsonl") as writer:
            writer.write("header", schema=record.SCHEMA, version=record.VERSION, workload="sleep")
            for number, makespan in enumerate(A):
                row = {**HEADLINE, "repeat": number, "status": "ok", "makespan_s": makespan}
                unknown = {"stolen": number // 2, "sizes": [number], "block": 7}
                writer.write("row", **row, **unknown)
    records = compare.load(tmp_path / "a.jsonl")
    assert identity.results_among(records) == {"stolen", "sizes"}
    assert len(only(verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl")).times.a) == 6


def test_a_record_without_a_newer_key_fits_each_of_its_values(tmp_path):
    a = write(tmp_path / "a.jsonl", A)
    b = write_points(tmp_path / "b.jsonl", [({"way": "gather"}, A), ({"way": "sweep"}, A)])
    assert [name.rsplit(", ", 1)[1] for name in verdicts(a, b)] == ["way gather", "way sweep"]


def test_points_with_other_jobs_are_compared_if_no_others_fit(tmp_path):
    a = write(tmp_path / "a.jsonl", A, jobs=4, threads=30)
    b = write(tmp_path / "b.jsonl", A, jobs=15, threads=8)
    both = write_points(
        tmp_path / "c.jsonl", [({"jobs": 4, "threads": 30}, A), ({"jobs": 15, "threads": 8}, A)]
    )
    assert len(verdicts(a, b)) == 1
    assert len(verdicts(a, both)) == 1


def test_the_loop_of_gil_is_compared_by_rounds(tmp_path):
    """A run sets their number itself, so that the time is always about the same."""
    for name, rounds in (("a", 1000), ("b", 2000)):
        gil = {"workload": "gil", "tasks": 8, "slots": 2, "mode": "serial", "rounds": rounds}
        points = [({**gil, "seconds": 0.15 + n / 100, "repeat": n}, [1.2]) for n in range(3)]
        write_points(tmp_path / f"{name}.jsonl", points)
    found = only(verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl"))
    assert len(found.times.a) == 3
    assert found.difference == pytest.approx(-0.5)


def test_folders_are_compared_with_all_their_records(tmp_path):
    for folder in "ab":
        for number in range(5):
            write(tmp_path / folder / f"{number}.jsonl", A[number : number + 1], [PHASES])
    result = invoke(tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert "no difference that 5 repeats can show" in result.output
    assert "no difference that 5 starts can show" in result.output


def test_piped_output_is_complete_and_fail_is_for_slower_only(tmp_path):
    a = write(tmp_path / "a.jsonl", A, [PHASES])
    b = write(tmp_path / "b.jsonl", [t + 0.2 for t in A], [PHASES])
    result = invoke(a, b)
    assert result.exit_code == 0
    assert "slower by 3.9 % (3.3 to 4.5 %): not noise" in result.output
    assert "sleep: 500 tasks of 1 s on 120 slots" in result.output
    assert "1 start each: measure at least 5" in result.output
    assert "…" not in result.output
    assert result.output.splitlines()[-1].startswith("Of 2 times, B is slower in 1 and faster in 0")
    assert invoke(a, b, "--fail").exit_code == 1
    assert invoke(b, a, "--fail").exit_code == 0


def test_json(tmp_path):
    a, b = write(tmp_path / "a.jsonl", A), write(tmp_path / "b.jsonl", [t + 0.2 for t in A])
    [times] = json.loads(invoke(a, b, "--json").output)["times"]
    assert (times["verdict"], times["a_s"]) == ("slower", list(A))
    assert times["low"] < times["difference"] < times["high"]


def test_what_differs_between_the_runs_is_one_line(tmp_path):
    machine = {"host": "login1", "cores": 2, "usable_cores": 2, "load_1min": 0.1}
    header = {"machine": machine, "versions": {"dask": "2026.8.0", "python": "3.12.1"}}
    other = {
        "machine": {**machine, "host": "[red]login9", "cores": 64, "load_1min": 7.5},
        "versions": {"dask": "2026.9.0", "python": "3.12.1"},
    }
    start = {"settings": {"SchedulerParameters": "bf_interval=5"}, "threads": 30}
    a = write(tmp_path / "a.jsonl", A, [PHASES], header, start)
    b = write(tmp_path / "b.jsonl", A, [PHASES], other, {**start, "threads": 8})
    line = invoke(a, b).output.splitlines()[0]
    assert line == (
        "Not the same: host login1 in A, [red]login9 in B; cores 2 in A, 64 in B; "
        "dask 2026.8.0 in A, 2026.9.0 in B; threads at 120 slots 30 in A, 8 in B. "
        "Across machines, a comparison means little. "
        "The computer was busy before B: measure on an idle one."
    )
    same = write(tmp_path / "same.jsonl", A, [PHASES], header, start)
    assert comparison.differences(compare.load(a), compare.load(same)) == ""


def test_what_cannot_be_compared_is_one_line(tmp_path):
    a = write(tmp_path / "a.jsonl", A)
    other = write(tmp_path / "other.jsonl", A, slots=20)
    failed = tmp_path / "failed.jsonl"
    with record.Writer(failed) as writer:
        writer.write("header", schema=record.SCHEMA, version=record.VERSION, workload="sleep")
        writer.write("row", **HEADLINE, status="failed", error="job 7 is pending")
    (tmp_path / "text.jsonl").write_text("no record\n")
    for b, words in {
        a: "is on both sides: compare two different runs",
        tmp_path: "is on both sides: compare two different runs",
        other: "no point is in both: A has sleep: 500 tasks of 1 s on 120 slots, and B has",
        failed: "has no measurement: all its runs failed",
        tmp_path / "text.jsonl": "not JSON",
        tmp_path / "missing": "No such file",
    }.items():
        result = invoke(a, b)
        assert result.exit_code == 1
        [line] = result.output.strip().splitlines()
        assert line.startswith("Error: ")
        assert words in line
