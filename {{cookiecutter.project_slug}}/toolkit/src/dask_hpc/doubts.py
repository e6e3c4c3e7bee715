"""Warnings about the configuration, when a cluster is made: each once in a process."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import dask.config

from . import config, config_check, hiding
from .errors import ConfigWarning

PACKAGE = str(Path(__file__).parent)
_said: set[str] = set()


def warn(text: str) -> None:
    """Warn of it, if that has not been done yet, at the line of the user's that led here."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, ConfigWarning, stacklevel=_depth())


def _depth() -> int:
    """How far above `warn` the first frame is that is not the toolkit's."""
    frame, depth = inspect.currentframe().f_back, 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return depth


def about_keys(files: list[tuple[Path, dict[str, Any]]], sections: Collection[str] = ()) -> None:
    """Warn of what nobody reads in these files, as far as a cluster of these sections goes."""
    hidden = hiding.lines(sections)
    for line in [*hidden.values(), *config_check.about_keys(files, sections, set(hidden))]:
        warn(line)


def about_values(
    files: list[tuple[Path, dict[str, Any]]],
    sections: Collection[str],
    arguments: Collection[str] = (),
) -> None:
    """The same of doubtful values, but for those that are not in force.

    An argument may stand before them, or `dask.config.set`, or a variable of the environment.
    """
    for path, section, key, line in config_check.about_values(files, sections):
        name = f"jobqueue.{section}.{key}"
        written = dask.config.merge(*(content for _, content in files))
        in_force = dask.config.get(name, None) == dask.config.get(name, None, config=written)
        if in_force and key.replace("-", "_") not in arguments:
            warn(f"{path}: {name}: {line}")


def files() -> list[tuple[Path, dict[str, Any]]]:
    """The files that Dask reads here, each by the name under which people edit it."""
    return _read(tuple(dask.config.paths))


@cache
def _read(_: tuple[str, ...]) -> list[tuple[Path, dict[str, Any]]]:
    # Kept, since reading them takes as long as the rest of making a cluster; an edit counts from
    # the next start of Python on in any case.
    return [(config.origin(path), content) for path, content in config.files()]
