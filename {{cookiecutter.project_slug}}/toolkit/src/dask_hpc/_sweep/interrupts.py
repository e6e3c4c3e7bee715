"""Keep each Ctrl-C, also one that Python would ignore."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from .._compat import interrupts

Handler = Callable[[int, FrameType | None], None]


class Interrupts:
    """A context in which no Ctrl-C is lost.

    Python raises KeyboardInterrupt wherever it is, and ignores exceptions in callbacks of its
    garbage collector, in `__del__`, and in callbacks of weak references (cpython #95959). Dask has
    such callbacks. So a Ctrl-C that comes there is raised later, by `raise_lost`.

    It does nothing in other threads, and where Ctrl-C has a handler of the program's own. Other
    signals that are treated like Ctrl-C, as by the command line, are kept as well.
    """

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Self:
        interrupts.hide_calls_not_begun()
        self._replace(signal.default_int_handler, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._replace(self._handle, signal.default_int_handler)

    def _replace(self, old: Handler, new: Handler) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in signal.valid_signals():
                if signal.getsignal(number) == old:
                    signal.signal(number, new)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        if not _is_ignoring(frame):
            signal.default_int_handler(number, frame)

    def raise_lost(self) -> None:
        """Raise KeyboardInterrupt if one has come."""
        if self._came:
            raise KeyboardInterrupt

    def forget(self) -> None:
        """Begin anew, after code of the caller's, which has seen its interrupts itself."""
        self._came = False


def _is_ignoring(frame: FrameType | None) -> bool:
    """Return whether Python would ignore an exception here, and print its traceback."""
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        if frame.f_code in callbacks or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
