"""A column of a table, as the terminal and the report show it."""

from collections.abc import Callable
from typing import NamedTuple


class Column(NamedTuple):
    """A column of the table of points; a wide one is omitted on a narrow screen."""

    heading: str
    cell: Callable[[dict], str]
    is_wide: bool = False
