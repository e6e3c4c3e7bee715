"""Suppress a traceback when Ctrl-C interrupts a call into Dask's event loop very early.

On Ctrl-C, `distributed.utils.sync` cancels the call's future. If the loop is so busy that the call
has not started yet, its `cancel` reads a variable without a value (`future` is only annotated), and
Tornado logs the NameError. The interrupt itself is still raised.
"""

import logging

from . import upstream


def hide_calls_not_begun() -> None:
    """Keep that NameError out of the log. Calling this once per process is enough."""
    if upstream.is_known("interrupt-name-error"):
        logging.getLogger("tornado.application").addFilter(_is_another)


def _is_another(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, NameError) and error.name == "future")
