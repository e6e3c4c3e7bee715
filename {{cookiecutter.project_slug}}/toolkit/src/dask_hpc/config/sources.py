"""Where a value of the configuration comes from: a variable, or a file and its line."""

import os

import dask.config

from . import nodes
from .files import files, source_file

_ABSENT = object()


def variable(*names: str) -> str:
    """Return the environment variable that sets a key, such as ``DASK_JOBQUEUE__SLURM__CORES``."""
    wanted = ".".join(names).replace("-", "_")
    for found in os.environ:
        if found.startswith("DASK_"):
            path = found.removeprefix("DASK_").lower().replace("__", ".").replace("-", "_")
            if path == wanted:
                return found
    return ""


def place(*names: str) -> str:
    """Return the file and line that the value in force is from; empty if it is from no file."""
    dotted = ".".join(names)
    value = dask.config.get(dotted, None)
    for path, content in reversed(files()):
        written = dask.config.get(dotted, _ABSENT, config=content)
        if written is not _ABSENT:
            # A program may have set another one since.
            return nodes.place(source_file(path), *names) if written == value else ""
    return ""


def where(*names: str) -> str:
    """Return how a message about a key begins: with the place that its value is from."""
    dotted = ".".join(names)
    if found := variable(*names):
        return f"{dotted} (from the variable {found})"
    found = place(*names)
    return f"{found}: {dotted}" if found else dotted
