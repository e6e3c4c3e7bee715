"""Know whether Dask still has the lines that a workaround was written for.

The toolkit does not limit which Dask it runs with, so a part that replaces or relies on private
lines of Dask looks at them first. Where a release has changed them, that part is left out: Dask
does what it does without the toolkit, and the log says what is missing. What a cluster can't do
without is not in ``upstream.toml``; docs/development/upstream/index.md lists both.
"""

import importlib
import inspect
import logging
import tomllib
from functools import cache, reduce
from pathlib import Path
from typing import Any

logger = logging.getLogger("dask_hpc")

PARTS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)


@cache
def is_known(part: str) -> bool:
    """Return whether all lines that a part relies on are there; the log says where one is not."""
    for place, lines in PARTS[part]["lines"].items():
        if _dense(lines) not in _dense(_source(place)):
            # Not a message to the user, who can do nothing about it.
            logger.info("Dask has changed %s: %s.", place, PARTS[part]["without"])
            return False
    return True


def _source(place: str) -> str:
    """Return the source of a function; empty where there is no such function, or no source."""
    module, _, name = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        return inspect.getsource(reduce(getattr, name.split("."), found))
    except (ImportError, AttributeError, TypeError, OSError):
        return ""


def _dense(text: str) -> str:
    return "".join(text.split())
