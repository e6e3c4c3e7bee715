"""Explain in one line why a configuration file is not valid YAML.

This does not use Dask, since importing it fails while one of its files is invalid.
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
        The file cannot be read, or its top level is not a mapping; the message gives the line.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(_describe(path, error)) from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path} has no sections: add one, such as `jobqueue:`.")
    return content or {}


def _describe(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    if mark is None:
        return f"{path} is not valid YAML: {problem}. Save it as UTF-8 text."
    remedy = "check indentation, quotes, and brackets here and in the lines above."
    if "\\t" in problem:
        problem, remedy = "a tab", "indent with spaces instead of tabs."
    elif "mapping values are not allowed" in problem:
        remedy = "quote text that contains a colon, and indent all keys of a section equally."
    return f"{path}:{mark.line + 1}: not valid YAML ({problem}): {remedy}"


def explain(error: ValueError) -> ConfigError | None:
    """Return our error for Dask's error about an invalid file; None for any other error."""
    if found := re.match(r"A dask config file at '(.+?)' is malformed", str(error)):
        try:
            read(Path(found[1]).resolve())  # the project's file, not the link in an environment
        except ConfigError as ours:
            return ours
    return None
