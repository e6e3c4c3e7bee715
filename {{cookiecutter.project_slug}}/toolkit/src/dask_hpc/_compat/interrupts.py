"""Ctrl-C in the first moment of a call into Dask's event loop, without a traceback.

`distributed.utils.sync` cancels on Ctrl-C what the call has begun. Where the loop is so busy that
nothing has begun yet, its `cancel` reads a variable that has no value, and Tornado logs the
NameError (`future` is only annotated). The interrupt itself is raised all the same.
"""

import logging

from . import upstream


def hide_calls_not_begun() -> None:
    """Keep that NameError out of the log; once is enough for a process."""
    if upstream.is_known("interrupt-name-error"):
        logging.getLogger("tornado.application").addFilter(_is_another)


def _is_another(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, NameError) and error.name == "future")
