"""Warnings about the configuration, when a cluster is made: each once in a process."""

import inspect
import shutil
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import dask.config

from .. import batch
from ..errors import ConfigWarning
from . import fields, lint, shadowed, sources
from . import files as config_files

PACKAGE = str(Path(__file__).parents[1])
_said: set[str] = set()


def warn(text: str) -> None:
    """Warn once, with the user's line of code that led here."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, ConfigWarning, stacklevel=_depth())


def _depth() -> int:
    """Return how far above `warn` the first frame outside the toolkit is."""
    here = inspect.currentframe()
    frame, depth = None if here is None else here.f_back, 1
    while frame and frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return depth


def warn_about_keys(
    files: list[tuple[Path, dict[str, Any]]], sections: Collection[str] = ()
) -> None:
    """Warn of what nobody reads in these files, if it concerns a cluster of these sections."""
    for line in lint.lint_keys(files, sections, set(shadowed.describe_all(sections))):
        warn(line)


def warn_about_hidden_keys(sections: Collection[str], arguments: Collection[str]) -> None:
    """Warn of files and variables that hide the lab's keys, if no argument takes precedence."""
    for line in shadowed.describe_all(sections, arguments).values():
        warn(line)


def warn_about_old_names(renamed: Mapping[str, str], sections: Collection[str]) -> None:
    """Warn of old names of keys that are in force but in no file, such as those set by a program.

    dask-jobqueue itself does not see old names.
    """
    for section in sections:
        for old, new in renamed.items():
            names = ("jobqueue", section, old)
            if dask.config.get(".".join(names), None) and not sources.origin(*names):
                warn(f"{sources.where(*names)}: its name is now {new}")


def warn_about_no_configuration() -> None:
    """Warn if there is a batch system, and no file says that this computer is to be used."""
    if "batch-system" in (dask.config.get(fields.SECTION, None) or {}):
        return
    commands = {system.submit for system in batch.BATCH_SYSTEMS.values()}
    if found := sorted(filter(shutil.which, commands - {""})):
        warn(
            f"{found[0]} is here, but no configuration names a batch system: the cluster is this "
            "computer's cores. `dask hpc setup` in the project puts its config/ in force."
        )


def source_files() -> list[tuple[Path, dict[str, Any]]]:
    """Return the files that Dask reads here, each by the name that people edit, and variables."""
    named = [(config_files.source_file(path), content) for path, content in config_files.files()]
    return named + config_files.variables()
