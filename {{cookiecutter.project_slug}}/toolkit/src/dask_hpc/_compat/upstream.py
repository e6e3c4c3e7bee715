"""Check whether Dask still has the lines of code that a workaround was written for.

The toolkit runs with any version of Dask, so a part that replaces or relies on private code of Dask
checks that code first. If a release has changed it, that part is disabled: Dask behaves as without
the toolkit, and the log says what is missing. ``upstream.toml`` does not contain parts that a
cluster cannot do without; docs/development/upstream/index.md lists all.
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
    """Return whether Dask has all lines that a part relies on; log the first place where not."""
    for place, lines in PARTS[part]["lines"].items():
        if _dense(lines) not in _dense(_source(place)):
            # Not a message to users, who cannot do anything about it.
            logger.info("Dask has changed %s: %s.", place, PARTS[part]["without"])
            return False
    return True


def _source(place: str) -> str:
    """Return the source of a function; empty if there is no such function, or no source."""
    module, _, name = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        return inspect.getsource(reduce(getattr, name.split("."), found))
    except (ImportError, AttributeError, TypeError, OSError):
        return ""


def _dense(text: str) -> str:
    return "".join(text.split())
