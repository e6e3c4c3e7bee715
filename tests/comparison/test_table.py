"""The comparison in docs/reference/dask-jobqueue.md is what the recorded results say."""

import json

import pytest

from ..tables import replace_table
from .expectations import CASES
from .render import DATA, PAGE, ROWS, collected, table

RECORD = json.loads(DATA.read_text())


def test_the_page_has_the_table_of_the_record():
    page = PAGE.read_text()
    new = replace_table(page, "comparison", table(RECORD))
    assert new == page, "run `python -m tests.comparison.render`"


def test_every_case_has_a_row_and_every_row_its_cases():
    assert {case for row in ROWS for case in row["cases"]} == set(CASES)


@pytest.mark.parametrize("side", ["ours", "plain"])
def test_the_recorded_results_are_what_the_words_say(side):
    wrong = {
        case: problems
        for case, sides in RECORD["cases"].items()
        if side in sides and (problems := CASES[case].problems(side, sides[side]))
    }
    assert wrong == {}


def test_newer_results_replace_the_recorded_ones(tmp_path):
    (tmp_path / "yaml.ours.json").write_text('{"new": true}')
    record = collected(tmp_path, DATA)
    assert record["cases"]["yaml"]["ours"] == {"new": True}
    assert record["about"] == RECORD["about"]
