"""Show progress: a status line that is replaced, and lines that stay.

For example::

    with progress.start(sys.stderr) as line:
        line.status("0 of 8 workers; job 12 pending")
        line.note("job 12 ended, failed")
        line.status("0 of 8 workers")
        line.end("8 of 8 workers connected.")

The caller need not know where this is shown: a terminal overwrites the status line, a notebook does
so in the cell's output, and a log has one line for each new status.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import IO

from .formatting import format_exact_duration


def start(stream: IO[str] | None, total_s: float | None = None) -> Progress:
    """Return the kind of progress display that suits `stream`.

    Parameters
    ----------
    stream : file or None
        None, as for a daemon's stderr, shows nothing. A notebook always uses stdout, since it marks
        stderr as errors.
    total_s : float, optional
        The approximate duration, in seconds. A terminal then shows a bar that fills over time. The
        bar takes over stdout and stderr, so that other output appears above it; use it only in our
        own programs, not in functions that users call in theirs.
    """
    if stream is None:
        return Progress()
    if type(stream).__module__.startswith("ipykernel."):
        return _Notebook(sys.stdout)
    if not stream.isatty():
        return _Log(stream)
    return _Terminal(stream) if total_s is None else _TimeBar(stream, total_s)


class Progress(contextlib.AbstractContextManager):
    """A status line and the lines above it. This base class shows nothing; see `start`."""

    def status(self, text: str, log: bool = True) -> None:
        """Replace the status line with `text`.

        With ``log=False``, a log, where lines cannot be replaced, omits it.
        """

    def note(self, text: str) -> None:
        """Print a line that stays."""

    def end(self, text: str = "") -> None:
        """Remove the status line; a notebook, which cannot remove lines, shows `text` instead."""

    def __exit__(self, *_):
        self.end()


class _Log(Progress):
    """Print a line for each note and each new status."""

    _replaces = False

    def __init__(self, stream: IO[str]):
        self._stream = stream
        self._shown = ""  # the status

    def status(self, text: str, log: bool = True) -> None:
        if text != self._shown and (log or self._replaces):
            self._write(self._form_status(text))
            self._shown = text

    def note(self, text: str) -> None:
        self._write(self._form_note(text))
        if self._replaces and self._shown:
            shown, self._shown = self._shown, ""
            self.status(shown)

    def _form_status(self, text: str) -> str:
        return f"{text}\n"

    def _form_note(self, text: str) -> str:
        return f"{text}\n"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class _Terminal(_Log):
    """Overwrite the status line, and cut it at the width of the terminal."""

    _replaces = True
    _erase = "\r\x1b[K"

    def end(self, text: str = "") -> None:  # noqa: ARG002 - nothing stays
        if self._shown:
            self._write(self._erase)
            self._shown = ""

    def _form_status(self, text: str) -> str:
        return f"{self._erase}{text[: shutil.get_terminal_size().columns - 1]}"

    def _form_note(self, text: str) -> str:
        return f"{self._erase if self._shown else ''}{text}\n"


class _Notebook(_Log):
    """Overwrite the status line, padded with spaces, since a cell's output cannot be erased."""

    _replaces = True

    def end(self, text: str = "") -> None:
        if self._shown:
            self._write(self._form_note(text or self._shown))
            self._shown = ""

    def _form_status(self, text: str) -> str:
        return f"\r{text.ljust(len(self._shown))}"

    def _form_note(self, text: str) -> str:
        return f"{self._form_status(text)}\n"


class _TimeBar(Progress):
    """Show a status line with a bar, the elapsed time, and the expected time."""

    def __init__(self, stream: IO[str], total_s: float):
        # Imported here, since most programs do not need it.
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._total_s = total_s
        self._began = time.monotonic()
        self._text = ""
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self._line,
            console=Console(file=stream, highlight=False),
            refresh_per_second=2,  # drawing takes time away from the scheduler in this process
            transient=True,
        )

    def status(self, text: str, log: bool = True) -> None:  # noqa: ARG002 - it is replaced here
        self._text = text
        self._live.start()  # the first time
        self._live.refresh()  # otherwise, a note before the next refresh would show the old text

    def note(self, text: str) -> None:
        self._live.console.print(text, markup=False)

    def end(self, text: str = "") -> None:  # noqa: ARG002 - nothing stays
        self._live.stop()

    def _line(self):
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        passed = time.monotonic() - self._began
        times = f"{format_exact_duration(passed)} of about {format_exact_duration(self._total_s)}"
        bar = ProgressBar(self._total_s, min(passed, 0.99 * self._total_s), width=24)
        line = Table.grid(padding=(0, 1))
        line.add_row(self._spinner, Text(self._text), bar, Text(times))
        return line
