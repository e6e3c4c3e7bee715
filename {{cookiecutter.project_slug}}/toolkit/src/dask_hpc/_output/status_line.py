"""A line that is rewritten while something is awaited."""

from __future__ import annotations

import shutil
import sys


class StatusLine:
    """A status line that is overwritten during a wait; in a log, a new line for each change.

    Parameters
    ----------
    stream : file, optional
        Default: stderr; in a notebook, where stderr is for errors, stdout.
    """

    def __init__(self, stream=None):
        stream = sys.stderr if stream is None else stream
        self._notebook = type(stream).__module__.startswith("ipykernel.")
        self._stream = sys.stdout if self._notebook else stream
        self._terminal = bool(stream) and not self._notebook and stream.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        if self._stream is None or text == self._shown:
            return
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{text[:width]}")
        elif self._notebook:
            self._stream.write(f"\r{text.ljust(len(self._shown))}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
        self._shown = text

    def end(self, text: str = "") -> None:
        """Remove the line; in a notebook, where a line stays in any case, leave the given text."""
        if not self._shown:
            return
        if self._terminal:
            self._stream.write("\r\x1b[K")
        elif self._notebook:
            self.show(text or self._shown)
            self._stream.write("\n")
        if self._stream is not None:
            self._stream.flush()
