"""Tell the user what a cluster does: one line at a time, on the logger ``dask_hpc``.

Where nobody has configured logging, as in a notebook or a plain script, the bare line goes to
stderr. Otherwise it is a log record like any other. To hear only of trouble, or of nothing::

    logging.getLogger("dask_hpc").setLevel("WARNING")   # or "CRITICAL"

The same in Dask's configuration is ``logging: {dask_hpc: warning}``.
"""

import logging
import sys
from collections import deque

# Lines that a cluster remembers.
MAX_RECENT = 100

logger = logging.getLogger("dask_hpc")


def info(text: str) -> None:
    """Tell the user what has happened; `text` is one line."""
    _tell(logging.INFO, text)


def warning(text: str) -> None:
    """Tell the user of trouble; `text` is one line."""
    _tell(logging.WARNING, text)


class Messages:
    """What one cluster tells the user.

    Attributes
    ----------
    recent : deque of str
        The last lines of trouble, oldest first.
    """

    def __init__(self) -> None:
        self.recent: deque[str] = deque(maxlen=MAX_RECENT)

    def info(self, text: str) -> None:
        """Tell the user what has happened; `text` is one line."""
        info(text)

    def warning(self, text: str) -> None:
        """Tell the user of trouble; `text` is one line."""
        self.recent.append(text)
        warning(text)


class _LastResort(logging.Handler):
    """Like `logging.lastResort`, active only while nobody has configured logging."""

    def handle(self, record):
        return super().handle(record) if _unconfigured() else False

    def emit(self, record):
        # Looked up each time, since notebooks and tests replace it; a daemon has none.
        stream = sys.stderr
        if stream is None:
            return
        try:
            stream.write(self.format(record) + "\n")
            stream.flush()
        except (OSError, ValueError):
            pass  # a closed terminal is no reason to fail


_handler = _LastResort()
logger.addHandler(_handler)


def _unconfigured() -> bool:
    return not logging.getLogger().handlers and logger.handlers == [_handler]


def _tell(level: int, text: str) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, text, stacklevel=3)
    elif (
        # Left alone, the level is the root's WARNING. To set one here would show our lines in the
        # log of a program that has configured the root, and wants warnings only.
        logger.level == logging.NOTSET and logger.manager.disable < level and _unconfigured()
    ):
        _handler.handle(logger.makeRecord(logger.name, level, "", 0, text, (), None))
