"""Say how far a sweep is, from its folder."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from .._output.formatting import format_count
from ..errors import SweepError
from .display import MAX_NAMED
from .lock import owner_of
from .payloads import Failure
from .results import iterate_failures
from .store import load


@dataclass(frozen=True)
class Status:
    """How far a sweep is. `str` returns it in words.

    Attributes
    ----------
    folder : Path
    function : str
        The function's name.
    total : int or None
        Number of inputs; None if it is not known yet.
    done, failed : int
        Numbers of results and of failed inputs.
    running : str or None
        Who is computing now; None if nobody is.
    failures : list of Failure
        The first failed inputs, with their errors.
    damaged : int
        Records that cannot be read.
    """

    folder: Path
    function: str
    total: int | None
    done: int
    failed: int
    running: str | None
    failures: list[Failure]
    damaged: int = 0

    @property
    def left(self) -> int | None:
        """Number of inputs that are not computed yet; None if it is not known."""
        return None if self.total is None else max(0, self.total - self.done - self.failed)

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        line = f"{self.folder}: {self.function}, {self.done}{of} done, {self.failed} failed"
        if self.left is not None:
            line += f", {self.left} left"
        lines = [line]
        lines.append(f"running: {self.running}" if self.running else "not running")
        lines += [f"failed: {failure}" for failure in self.failures]
        if (more := self.failed - len(self.failures)) > 0:
            lines.append(f"and {more} more")
        if self.damaged:
            count = format_count(self.damaged, "damaged record")
            lines.append(f"{count}: run the sweep again to compute what is missing")
        return "\n".join(lines)


def nothing_saved(folder: Path) -> str:
    """Return the message for a folder without results."""
    if owner := owner_of(folder):
        return f"Nothing is saved in {folder} yet. It is in use by {owner}."
    return f"No sweep has saved results in {folder}."


def read_status(out: str | Path) -> Status:
    """Return how far the sweep in a folder is.

    Raises
    ------
    SweepError
        The folder has no sweep, or cannot be read.
    """
    folder = Path(out)
    store = load(folder)
    if store.session is None:
        raise SweepError(nothing_saved(folder))
    keys = [store.key(number) for number in range(len(store))]
    failed = sum(key in store.failures for key in keys)
    return Status(
        folder,
        store.session.function,
        store.total,
        sum(key in store.results for key in keys),
        failed,
        owner_of(folder),
        list(itertools.islice(iterate_failures(store), MAX_NAMED)),
        store.damaged,
    )
