"""Say in one line what is wrong with a file of the configuration that YAML can't read.

Without Dask, which refuses to be imported while one of its files can't be read.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError


def read(path: Path) -> dict[str, Any]:
    """Read one YAML file of Dask's configuration.

    Raises
    ------
    ConfigError
        It can't be read, or is not a mapping at its top; the message says where in the file.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(_describe(path, error)) from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path} holds no sections: it should begin like `jobqueue:`.")
    return content or {}


def _describe(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    if mark is None:
        return f"{path} is not valid YAML: {problem}. Save it as UTF-8 text."
    remedy = "compare its indentation, quotes, and brackets with the lines above."
    if "\\t" in problem:
        problem, remedy = "a tab", "YAML is indented with spaces; replace each tab."
    elif "mapping values are not allowed" in problem:
        remedy = "put text with a colon in quotes, and indent keys of one section equally."
    return f"{path}:{mark.line + 1}: not valid YAML ({problem}): {remedy}"


def explain(error: ValueError) -> ConfigError | None:
    """Return the error for what Dask says of a file that it can't read; None for another error."""
    found = re.match(r"A dask config file at '(.+?)' is malformed", str(error))
    if found is None:
        return None
    try:
        read(Path(found[1]).resolve())  # not the link in an environment
    except ConfigError as ours:
        return ours
    return None
