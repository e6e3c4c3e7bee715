"""Warnings about the configuration when a cluster is created, each once per process."""

import inspect
import shutil
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import dask.config

from .. import batch
from ..errors import ConfigWarning
from . import fields, lint, shadowed, sources
from . import files as config_files

PACKAGE = str(Path(__file__).parents[1])
_said: set[str] = set()


def warn(text: str) -> None:
    """Warn once, showing the line of the user's code that led here."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, ConfigWarning, stacklevel=_depth())


def _depth() -> int:
    """Return how many levels above `warn` the first frame outside the toolkit is."""
    here = inspect.currentframe()
    frame, depth = None if here is None else here.f_back, 1
    while frame and frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return depth


def warn_about_keys(sections: Collection[str] = ()) -> None:
    """Warn about keys without effect that concern clusters of these sections."""
    hidden = set(shadowed.describe_all(sections))
    for line in lint.lint_keys(config_files.named_files(), sections, hidden):
        warn(line)


def warn_about_hidden_keys(sections: Collection[str], arguments: Collection[str]) -> None:
    """Warn about files and variables that override the lab's keys, unless an argument does."""
    for line in shadowed.describe_all(sections, arguments).values():
        warn(line)


def warn_about_old_names(renamed: Mapping[str, str], sections: Collection[str]) -> None:
    """Warn about old names of keys that are not in a file, such as those set by a program.

    dask-jobqueue itself does not notice old names.
    """
    for section in sections:
        for old, new in renamed.items():
            names = ("jobqueue", section, old)
            if dask.config.get(".".join(names), None) and not sources.origin(*names):
                warn(f"{sources.where(*names)}: renamed: use {new}")


def warn_about_no_configuration() -> None:
    """Warn if a batch system is installed, but the configuration does not choose one."""
    if "batch-system" in (dask.config.get(fields.SECTION, None) or {}):
        return
    commands = {system.submit for system in batch.BATCH_SYSTEMS.values()}
    if found := sorted(filter(shutil.which, commands - {""})):
        warn(
            f"{found[0]} is installed, but no configuration names a batch system: the cluster uses "
            "this computer's cores. To activate a project's config/, run `dask hpc setup` there."
        )
