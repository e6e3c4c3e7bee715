"""Columns of tables, for the terminal and the report."""

from collections.abc import Callable
from typing import NamedTuple

from .metrics import Summary


class Column(NamedTuple):
    """A column of the table of points; a wide one is omitted on a narrow screen."""

    heading: str
    cell: Callable[[dict], str]
    is_wide: bool = False


def range_of(times: Summary) -> str:
    """Return the range of several values as text."""
    return f"{times.low:.2f} to {times.high:.2f}" if times.n > 1 else ""
