"""Messages for the user about a cluster, one line each, on the logger ``dask_hpc``.

If logging is not configured, as in a notebook or a plain script, the line goes to stderr.
Otherwise, it is a log record like any other. To show only warnings, or nothing::

    logging.getLogger("dask_hpc").setLevel("WARNING")   # or "CRITICAL"

or, in Dask's configuration, ``logging: {dask_hpc: warning}``.
"""

import contextlib
import logging
import sys
from collections import deque

# Number of warnings that a cluster remembers.
MAX_RECENT = 100

logger = logging.getLogger("dask_hpc")


def info(text: str) -> None:
    """Show an informational message; `text` is one line."""
    _tell(logging.INFO, text)


def warning(text: str) -> None:
    """Show a warning; `text` is one line."""
    _tell(logging.WARNING, text)


class Messages:
    """The messages of one cluster.

    Attributes
    ----------
    recent : deque of str
        The last warnings, oldest first.
    """

    def __init__(self) -> None:
        self.recent: deque[str] = deque(maxlen=MAX_RECENT)

    def info(self, text: str) -> None:
        """Show an informational message; `text` is one line."""
        info(text)

    def warning(self, text: str) -> None:
        """Show a warning, and remember it; `text` is one line."""
        self.recent.append(text)
        warning(text)


class _LastResort(logging.Handler):
    """Like `logging.lastResort`, active only while logging is not configured."""

    def handle(self, record):
        return super().handle(record) if _unconfigured() else False

    def emit(self, record):
        # Look it up each time, since notebooks and tests replace it; a daemon has none.
        if (stream := sys.stderr) is not None:
            with contextlib.suppress(OSError, ValueError):  # the terminal may be closed
                print(self.format(record), file=stream, flush=True)


_handler = _LastResort()
logger.addHandler(_handler)


def _unconfigured() -> bool:
    return not logging.getLogger().handlers and logger.handlers == [_handler]


def _tell(level: int, text: str) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, text, stacklevel=3)
    elif (
        # By default, the level is WARNING, the root's. If we set one, our messages would also show
        # in the log of a program that configures the root logger to show only warnings.
        logger.level == logging.NOTSET and logger.manager.disable < level and _unconfigured()
    ):
        _handler.handle(logger.makeRecord(logger.name, level, "", 0, text, (), None))
