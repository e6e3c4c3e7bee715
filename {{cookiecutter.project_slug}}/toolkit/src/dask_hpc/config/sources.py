"""Find where a configuration value comes from: an environment variable, or a file and line."""

import os

import dask.config

from . import nodes
from .files import files, installed_project, source_file

_ABSENT = object()


def variable(*names: str) -> str:
    """Return the environment variable that sets a key, such as ``DASK_JOBQUEUE__SLURM__CORES``."""
    wanted = "__".join(names).replace("-", "_").lower()
    ours = (name for name in os.environ if name.startswith("DASK_"))
    return next((it for it in ours if it[5:].replace("-", "_").lower() == wanted), "")


def place(*names: str) -> str:
    """Return the file and line that the value in effect comes from; empty if it is no file."""
    dotted = ".".join(names)
    value = dask.config.get(dotted, None)
    for path, content in reversed(files()):
        written = dask.config.get(dotted, _ABSENT, config=content)
        if written is not _ABSENT:
            # A program may have set another value since.
            return nodes.place(source_file(path), *names) if written == value else ""
    return ""


def origin(*names: str) -> str:
    """Return the variable, or file and line, that the value in effect comes from; else empty.

    The path is relative to the project whose configuration is active here, if it is in there.
    """
    if found := variable(*names):
        return f"the variable {found}"
    return place(*names).removeprefix(f"{installed_project()}/")


def where(*names: str) -> str:
    """Return the start of a message about a key: the place that its value comes from."""
    dotted = ".".join(names)
    if found := variable(*names):
        return f"{dotted} (from the variable {found})"
    return f"{found}: {dotted}" if (found := place(*names)) else dotted
