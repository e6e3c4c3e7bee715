"""Tables of the docs."""

import pytest

from .tables import markdown, read_table, replace_table, span, spread

TABLE = r"""
| | seconds |
|---|---|
| `a \| b` | 3 |
| | 5 |
""".strip()


def test_a_table_is_markdown():
    assert markdown(["", "seconds"], [["`a | b`", 3], ["", 5]]) == TABLE


def test_a_tables_cells_are_read():
    page = f"Text.\n\n{markdown(['user', 'account'], [['alice', 'lab'], ['carol', '']])}\n\nText."
    assert read_table(page, "user") == [["alice", "lab"], ["carol", ""]]


def test_a_table_goes_between_its_comments():
    page = "before\n<!-- it: begin -->\n{}\n<!-- it: end -->\nafter\n"
    assert replace_table(page.format("old"), "it", "new") == page.format("new")


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "-"), ([None], "-"), ([2.6], "3 s"), ([3, 2.9], "3 s"), ([9, None, 16.6], "9 to 17 s")],
)
def test_values_go_from_one_to_another(values, text):
    assert span(values) == text


def test_a_spread_is_median_and_range():
    assert spread([5, 1, 2], "MiB") == "2.00 MiB (1.00 to 5.00)"
