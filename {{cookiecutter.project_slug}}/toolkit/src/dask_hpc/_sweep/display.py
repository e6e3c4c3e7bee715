"""Show how far a sweep is, and sum it up at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._output import progress
from .._output.formatting import format_count, format_duration, format_exact_duration

STATUS_INTERVAL_S = 0.5
LOG_INTERVAL_S = 60.0  # in a file, where each status is a line
QUIET_START_S = 2.0  # no status for what takes less time than this
MAX_NAMED = 5  # failed inputs in the summary


@dataclass
class Counts:
    """Numbers of a sweep's inputs.

    Attributes
    ----------
    total : int or None
        None if it is not known.
    done, failed : int
        Results and failures, with those of earlier sweeps.
    new : int
        Those that this sweep computed.
    saved_ahead : int
        Results of earlier sweeps for inputs that have not been taken yet, if the inputs are the
        same as then.
    """

    total: int | None = None
    done: int = 0
    failed: int = 0
    new: int = 0
    saved_ahead: int = 0

    @property
    def known(self) -> int:
        """Number of results, with those ahead."""
        return self.done + self.saved_ahead

    @property
    def left(self) -> int | None:
        return None if self.total is None else max(0, self.total - self.known - self.failed)


def describe(counts: Counts, elapsed_s: float, slots: int | None = None) -> str:
    """Return the status line.

    Parameters
    ----------
    counts : Counts
    elapsed_s : float
        Seconds since the first input was sent.
    slots : int, optional
        Threads of all workers.
    """
    done = (
        f"{counts.known} done" if counts.total is None else f"{counts.known} of {counts.total} done"
    )
    parts = [done]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    if counts.left is not None:
        parts.append(f"{counts.left} left")
    if slots == 0:
        parts.append("waiting for workers")
    elif counts.left and counts.new:
        parts.append(f"about {format_duration(counts.left * elapsed_s / counts.new)} to go")
    return ", ".join(parts)


def sum_up(
    counts: Counts, folder: str, elapsed_s: float, failures: Sequence[str] = ()
) -> list[str]:
    """Return the lines at the end.

    Parameters
    ----------
    counts : Counts
    folder : str
    elapsed_s : float
        Seconds that the sweep took.
    failures : sequence of str
        The first failed inputs, with their errors.
    """
    number = format_count(counts.done + counts.failed, "input")
    saved = counts.done + counts.failed - counts.new
    before = f", {saved} of them before" if saved else ""
    took = format_exact_duration(elapsed_s)
    if not counts.failed:
        return [f"{number} done{before}, in {took}. Results: {folder}"]
    lines = [f"{number}: {counts.done} done, {counts.failed} failed{before}, in {took}."]
    lines += [f"  failed: {line}" for line in failures]
    if (more := counts.failed - len(failures)) > 0:
        lines.append(f"  and {more} more")
    return [
        *lines,
        f"Results: {folder}. To try the failed inputs again: retry_failed=True (--retry-failed).",
    ]


class Display:
    """Shows a sweep's status, where stderr leads to.

    Parameters
    ----------
    is_shown : bool
        Whether to show anything.
    clock : callable
        Returns seconds.
    """

    def __init__(self, is_shown: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._line = progress.start(sys.stderr) if is_shown else progress.Progress()
        self._clock = clock
        self._begin = clock()
        self._sent_at: float | None = None
        self._next = self._begin + QUIET_START_S
        self._next_log = self._begin + QUIET_START_S

    def sent(self) -> None:
        """Note that inputs were sent to workers."""
        if self._sent_at is None:
            self._sent_at = self._clock()

    def update(self, counts: Counts, slots: int | None) -> None:
        """Show the status, if the last one is old enough."""
        if (now := self._clock()) < self._next:
            return
        self._next = now + STATUS_INTERVAL_S
        if is_logged := now >= self._next_log:
            self._next_log = now + LOG_INTERVAL_S
        began = now if self._sent_at is None else self._sent_at
        self._line.status(describe(counts, now - began, slots), log=is_logged)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._line.note(text)

    def end(self, counts: Counts, folder: str, failures: Sequence[str] = ()) -> None:
        """Replace the status by the summary."""
        lines = sum_up(counts, folder, self._clock() - self._begin, failures)
        self.close()
        for line in lines:
            self._line.note(line)

    def close(self) -> None:
        """Remove the status."""
        self._line.end()
