"""Show how far something is: a status line that is replaced, and lines that stay.

Whoever waits for something, or runs many things, writes::

    with progress.start(sys.stderr) as line:
        line.status("0 of 8 workers; job 12 pending")
        line.note("job 12 ended, failed")
        line.status("0 of 8 workers")
        line.end("8 of 8 workers are there.")

and need not know where it is shown: a terminal overwrites the status line, a notebook does so in
the output of its cell, and a log has a line for each new status.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import IO

from .formatting import format_exact_duration


def start(stream: IO[str] | None, total_s: float | None = None) -> Progress:
    """Return what suits the place where `stream` leads to.

    Parameters
    ----------
    stream : file or None
        For None, as a daemon's stderr is, nothing is shown. In a notebook, where stderr is for
        errors, it is stdout in any case.
    total_s : float, optional
        About how long it takes, in seconds. A terminal shows a bar, which the time fills. It takes
        over stdout and stderr meanwhile, so that other output comes above it: this is for programs
        of our own, not for a function that somebody calls in theirs.
    """
    if stream is None:
        return Progress()
    if type(stream).__module__.startswith("ipykernel."):
        return _Notebook(sys.stdout)
    if not stream.isatty():
        return _Log(stream)
    return _Terminal(stream) if total_s is None else _TimeBar(stream, total_s)


class Progress(contextlib.AbstractContextManager):
    """A status line and the lines above it. This one shows nothing; see `start` for the others."""

    def status(self, text: str, log: bool = True) -> None:
        """Replace the status line by `text`.

        With ``log=False`` it is not worth a line where nothing can be replaced, as in a log.
        """

    def note(self, text: str) -> None:
        """Print a line that stays."""

    def end(self, text: str = "") -> None:
        """Remove the status line; in a notebook, where a line stays in any case, leave `text`."""

    def __exit__(self, *_):
        self.end()


class _Log(Progress):
    """Each line, and each new status, is a line."""

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
    """The status line is overwritten, and cut where the terminal ends."""

    _replaces = True
    _erase = "\r\x1b[K"

    def end(self, text: str = "") -> None:  # noqa: ARG002 - nothing has to stay
        if self._shown:
            self._write(self._erase)
            self._shown = ""

    def _form_status(self, text: str) -> str:
        return f"{self._erase}{text[: shutil.get_terminal_size().columns - 1]}"

    def _form_note(self, text: str) -> str:
        return f"{self._erase if self._shown else ''}{text}\n"


class _Notebook(_Log):
    """The status line is overwritten with blanks at its end: a cell's output can't erase."""

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
    """The status line has a bar, the time that has passed, and the time expected."""

    def __init__(self, stream: IO[str], total_s: float):
        # Loaded here, since most programs do without.
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
            refresh_per_second=2,  # drawing takes time of the process that hands out the tasks
            transient=True,
        )

    def status(self, text: str, log: bool = True) -> None:  # noqa: ARG002 - it is replaced here
        self._text = text
        self._live.start()  # the first time
        self._live.refresh()  # a note that comes before the next one would show the old text

    def note(self, text: str) -> None:
        self._live.console.print(text, markup=False)

    def end(self, text: str = "") -> None:  # noqa: ARG002 - nothing has to stay
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
