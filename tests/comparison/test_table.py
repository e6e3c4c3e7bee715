"""The comparison in docs/reference/dask-jobqueue.md is what the recorded results say."""

import json

import pytest

from .expectations import CASES
from .render import BEGIN, DATA, END, PAGE, collected, replaced, table
from .table_text import ROWS

RECORD = json.loads(DATA.read_text())


def test_the_page_has_the_table_of_the_record():
    page = PAGE.read_text()
    assert replaced(page, table(RECORD)) == page, "run `python -m tests.comparison.render`"


def test_every_case_has_a_row_and_every_row_its_cases():
    assert {case for row in ROWS for case in row.cases} == set(CASES)


@pytest.mark.parametrize("side", ["ours", "plain"])
def test_the_recorded_results_are_what_the_words_say(side):
    wrong = {
        case: problems
        for case, sides in RECORD["cases"].items()
        if side in sides and (problems := CASES[case].problems(side, sides[side]))
    }
    assert wrong == {}


def test_a_row_that_was_not_seen_on_both_sides_says_so():
    empty = {"about": RECORD["about"], "cases": {}}
    lines = [line for line in table(empty).splitlines() if line.startswith("| ")][1:]
    assert len(lines) == len(ROWS)
    assert all(line.count("(not measured yet)") == 2 for line in lines)


def test_newer_results_replace_the_recorded_ones(tmp_path):
    (tmp_path / "yaml.ours.json").write_text('{"new": true}')
    record = collected(tmp_path, DATA)
    assert record["cases"]["yaml"]["ours"] == {"new": True}
    assert record["about"] == RECORD["about"]


def test_the_table_goes_between_its_comments():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
