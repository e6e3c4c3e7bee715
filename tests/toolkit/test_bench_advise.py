"""`dask hpc bench advise`: what it measures, what it makes of that, and what it says."""

import itertools
import random
import statistics
import time

import pytest
from click.testing import CliRunner

from dask_hpc.bench import advice, advice_words, trial
from dask_hpc.cli.main import main


def measured(seconds=1.0, *, cpu=0.0, gain=4.0, start=20.0, cores=8, processes=8, call=20.0):
    """Return what calls of this length would need, in a job of the lab's shape."""
    return advice.Trial(
        alone_s=[seconds] * 5,
        cpu_s=[cpu] * 5,
        busy_s=[seconds] * 5,
        thread_gain=gain,
        threads=4,
        base_mib=80.0,
        call_mib=call,
        start_s=start,
        cores=cores,
        processes=processes,
    )


# --- the forecast -----------------------------------------------------------------------------


def test_equal_calls_run_in_waves():
    assert advice.makespan_s([1.1], 300, 32) == pytest.approx(11.0, abs=0.02)
    assert advice.makespan_s([1.1] * 5, 300, 300) == pytest.approx(1.1, abs=0.01)


def test_uneven_calls_take_their_share_and_wait_for_the_last():
    draw = random.Random(1)
    times = [draw.lognormvariate(0, 0.5) for _ in range(60)]
    share = 300 * statistics.fmean(times) / 30
    found = advice.makespan_s(times, 300, 30)
    assert share < found < share + max(times)
    assert found == advice.makespan_s(times, 300, 30)
    many = advice.makespan_s(times, 1_000_000, 30)
    assert many == pytest.approx(1_000_000 * statistics.fmean(times) / 30, rel=0.01)


def test_more_jobs_are_asked_for_until_they_cost_more_than_they_save():
    found = advice.advise(measured(1.1), 300)
    assert 3 <= found.best.jobs <= 5
    assert found.best.work_s == pytest.approx(-(-300 // (8 * found.best.jobs)) * 1.1, abs=0.1)
    assert found.best.total_s == pytest.approx(20 + found.best.work_s)
    assert found.quickest.jobs > found.best.jobs
    least = min(forecast.total_s for forecast in found.ladder)
    assert found.quickest.total_s <= 1.1 * least
    totals = [forecast.total_s for forecast in found.ladder]
    assert all(a >= b for a, b in itertools.pairwise(totals))


def test_a_few_short_calls_need_one_job():
    assert advice.advise(measured(0.1), 20).best.jobs == 1
    assert advice.advise(measured(), 1).ladder[-1].jobs == 1


def test_no_more_jobs_than_there_can_be():
    assert advice.advise(measured(100.0), 10_000, max_jobs=4).quickest.jobs == 4


@pytest.mark.parametrize(("gain", "processes"), [(1.0, 8), (3.9, 1)])
def test_calls_that_hold_pythons_lock_get_a_process_each(gain, processes):
    found = measured(cpu=1.0, gain=gain, processes=1)
    assert advice.advise(found, 100).processes == processes
    assert found.computes


def test_what_was_measured_under_the_lock_is_not_what_processes_would_take():
    found = measured(cpu=1.0, gain=1.0, processes=1)
    contended = advice.Trial(**{**vars(found), "busy_s": [8.0] * 8})
    assert advice.advise(contended, 8).best.work_s == pytest.approx(1.0, abs=0.1)


def test_memory_has_a_margin_and_is_for_all_workers_of_a_job():
    # Dask begins to move data to disk at 54 % of a worker's share.
    assert advice.memory_gib(measured(call=20.0), 8) == 2  # 8 x 100 MiB / 0.54
    assert advice.memory_gib(measured(call=944.0, processes=2), 8) == 16  # 8 x 1 GiB / 0.54
    # Four calls at once in each of two workers.
    assert advice.memory_gib(measured(call=944.0, processes=2), 2) == 14  # 2 x 3.77 GiB / 0.54


# --- what is measured -------------------------------------------------------------------------


def test_threads_gain_where_a_call_waits():
    assert trial._thread_gain(lambda _: time.sleep(0.1), range(4)) > 2.5


def test_calls_of_different_lengths_gain_as_much():
    assert trial._thread_gain(time.sleep, [0.02, 0.02, 0.02, 0.2]) > 3


@pytest.mark.parametrize("rounds", [10_000, 400_000])  # shorter and longer than a thread's turn
def test_threads_gain_nothing_under_pythons_lock(rounds):
    def burn(_):
        total = 0
        for n in range(rounds):
            total += n

    gain = trial._thread_gain(burn, range(4))
    assert not measured(gain=gain).threads_help, gain


def test_a_call_tells_its_duration_its_cpu_time_and_its_error():
    seconds, used, error = trial._call(time.sleep, 0.1)
    assert seconds >= 0.1
    assert used < 0.09
    assert error == ""
    assert trial._call(lambda _: 1 / 0, 0)[2] == "ZeroDivisionError: division by zero"
    with pytest.raises(trial.TrialError, match="the call for the input 7 failed: KeyError: 'x'"):
        trial._checked([6, 7], [(1.0, 0.0, ""), (1.0, 0.0, "KeyError: 'x'")])


@pytest.mark.parametrize(
    ("alone", "inputs", "calls"),
    [
        ([1.0] * 5, 300, 60),
        ([0.3, 0.5, 1.0, 1.2, 2.0], 300, 142),  # the more they differ
        ([0.1, 0.1, 10.0], 1000, 47),  # as many as there is time for
        ([600.0] * 3, 300, 8),  # each core of the job has one
        ([1.0] * 5, 3, 3),
        ([0.0] * 20, 300, 60),
    ],
)
def test_more_calls_are_made_if_their_lengths_differ_and_time_allows(alone, inputs, calls):
    assert trial.busy_calls(alone, 8, inputs) == calls


def test_calls_end_when_the_time_is_up_after_a_few():
    assert len(trial._one_by_one(time.sleep, [0.01] * 20, budget_s=0)) == trial.LEAST_ALONE
    assert len(trial._one_by_one(time.sleep, [0.01] * 5, budget_s=60)) == 5
    failed = trial._one_by_one(lambda _: 1 / 0, range(20), budget_s=60)
    assert len(failed) == 1


# --- what is said -----------------------------------------------------------------------------


def test_the_advice_in_words():
    found = advice.advise(measured(1.1), 300)
    text = "\n".join([*advice_words.measured(found.trial), *advice_words.advised(found)])
    assert "5 calls one by one: 1.1 s in the mean (1.1 s to 1.1 s), 0 % of it CPU time" in text
    assert "threads help" in text
    assert f"Ask for {found.best.jobs} jobs of 8 processes, memory: 2 GiB." in text
    assert "of work after a start of about 20 s" in text
    assert "Beyond that, nothing is saved." in text
    assert "processes: " not in text  # as the lab has it


def test_another_number_of_processes_is_said_with_the_key():
    found = advice.advise(measured(cpu=1.0, gain=1.0, processes=1), 300)
    assert "that is `processes: 8`, which is 1 now." in "\n".join(advice_words.advised(found))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (9.94, "10 s"), (99.6, "100 s"), (119, "119 s"), (150, "2.5 min")],
)
def test_durations_have_two_digits(seconds, text):
    assert advice_words.duration(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("math:nope", "--inputs", 3), "has no function nope."),
        (("nomodule:f", "--inputs", 3), "Cannot import nomodule"),
        (("math:sqrt", "--inputs", 0), "--inputs: 0 has no inputs"),
        (("math:sqrt", "--inputs", "*.nc"), "No file matches *.nc"),
        (("math:sqrt", "--inputs", "no.txt"), "--inputs: cannot read no.txt: No such file"),
        (("math:sqrt", "--inputs", "bad.json"), "--inputs: bad.json is not JSON"),
        (("math:sqrt", "--inputs", "dict.json"), "--inputs: dict.json is not a list"),
        (("math:sqrt", "--inputs", "empty.txt"), "--inputs: empty.txt has no inputs"),
        (("math:sqrt",), "Missing option '--inputs'"),
        (("math:sqrt", "--inputs", 3, "--timeout", "nan"), "'nan' is not a number"),
        (("math:sqrt", "--inputs", 3, "--out", "empty.txt/x"), "--out: cannot write to empty.txt"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("[1, 2")
    (tmp_path / "dict.json").write_text('{"a": 1}')
    (tmp_path / "empty.txt").write_text("")
    result = CliRunner().invoke(main, ["bench", "advise", *map(str, arguments)])
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert "starting" not in result.output


def test_the_figure_is_an_image(tmp_path):
    found = advice.advise(measured(1.1), 300)
    png, svg = advice_words.save(found, "my_lab.example:slow_square, 300 inputs", tmp_path / "a")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"core-hours" in svg.read_bytes()
