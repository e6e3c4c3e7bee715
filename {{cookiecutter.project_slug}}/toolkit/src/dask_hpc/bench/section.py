"""A part of a report."""

from dataclasses import dataclass
from pathlib import Path

from .columns import Column


@dataclass(frozen=True)
class Section:
    """What a report says of a workload.

    Attributes
    ----------
    title, words : str
        `words` are a paragraph with the result.
    drawing : str
        An SVG figure, or nothing.
    columns, rows : list
        A table.
    paths : list of Path
        Files of the figure.
    finding : str
        A sentence for the top of the page, or nothing.
    """

    title: str
    words: str
    drawing: str
    columns: list[Column]
    rows: list[list[str]]
    paths: list[Path]
    finding: str = ""
