"""Versions and the machine, for the header of a record. This does not query a batch system."""

import contextlib
import datetime
import getpass
import importlib.metadata
import os
import platform
import sys

from dask.system import CPU_COUNT

from .. import __version__

PACKAGES = ("dask", "distributed", "dask-jobqueue", "tornado", "click")


def now() -> str:
    """Return the time in UTC, in ISO 8601 format."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Return the versions of Python and relevant packages, omitting missing ones."""
    found = {"dask-hpc": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine() -> dict:
    """Describe the computer that distributes the tasks, such as its total and usable cores."""
    return {
        "host": platform.node(),
        "user": _user(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": CPU_COUNT,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        # False in a free-threaded build of Python, where threads can compute in parallel.
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
