"""`make bench`: which workloads run, and with which one a stopped run goes on."""

import runpy
import sys
from pathlib import Path

import pytest

from dask_hpc.bench import record
from dask_hpc.bench.workloads import WORKLOADS

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def suite():
    sys.path.insert(0, str(FOLDER))
    try:
        return runpy.run_path(str(FOLDER / "suite.py"))
    finally:
        sys.path.remove(str(FOLDER))


def write(folder, words, complete=True):
    """Write the record of a run, as `dask hpc bench` does."""
    command = " ".join(["dask", "hpc", "bench", *words, "--out", "results", "--no-next"])
    with record.Writer(folder / f"{words[1]}.jsonl") as writer:
        header = {"schema": record.SCHEMA, "version": record.VERSION, "workload": words[1]}
        writer.write("header", **header, command=command)
        if complete:
            writer.write("end")


def test_the_short_suite_takes_ten_minutes_and_the_full_one_has_every_workload(suite):
    assert sum(run.minutes for run in suite["SHORT"]) < 10
    assert sum(run.minutes for run in suite["FULL"]) < 90
    assert {run.workload for run in suite["FULL"]} == set(WORKLOADS)


def test_a_stopped_suite_goes_on_with_the_first_workload_that_is_not_complete(suite, tmp_path):
    chosen = suite["Suite"](list(suite["SHORT"]), is_local=False, folder=tmp_path)
    assert chosen.missing() == chosen.runs
    write(tmp_path, chosen.words(chosen.runs[0]))
    write(tmp_path, chosen.words(chosen.runs[1]), complete=False)
    assert chosen.missing() == chosen.runs[1:]


def test_a_record_of_other_numbers_does_not_count(suite, tmp_path):
    chosen = suite["Suite"](list(suite["FULL"]), is_local=False, folder=tmp_path)
    write(tmp_path, ["run", "sleep", "--repeats", "2"])
    assert chosen.missing() == chosen.runs


def test_the_words_of_each_run_are_accepted_by_the_command_line(suite):
    from dask_hpc.cli.bench import run as command

    for runs in (suite["SHORT"], suite["FULL"]):
        for is_local in (False, True):
            for run in runs:
                words = suite["Suite"](runs, is_local).words(run)
                command.make_context("run", words[1:])


def test_unknown_workloads_are_one_line(suite):
    assert [run.workload for run in suite["chosen_runs"](["gil"], False)] == ["gil"]
    with pytest.raises(SystemExit, match="unknown workload sleeep: choose from sleep, strong"):
        suite["chosen_runs"](["sleeep"], False)
