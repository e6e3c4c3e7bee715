"""Signals that end a command."""

import signal
import threading

from .._compat import interrupts


def treat_as_interrupts() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that workers and jobs end too.

    `kill` and batch systems send SIGTERM, a closed ssh session sends SIGHUP.
    """
    interrupts.hide_calls_not_begun()
    if threading.current_thread() is threading.main_thread():
        for name in {"SIGTERM", "SIGHUP"} & signal.Signals.__members__.keys():
            number = signal.Signals[name]  # Windows has no SIGHUP
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, signal.default_int_handler)
