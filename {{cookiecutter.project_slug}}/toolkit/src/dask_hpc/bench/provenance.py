"""What was run, and on what: for the head of a record. No batch system is asked here."""

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
    """Return the time in UTC, as ISO 8601 writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Return the versions of what takes part; a missing package is left out."""
    found = {"dask-hpc": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict:
    """Describe the computer that hands out the tasks: its cores, and how many it may use."""
    return {
        "host": platform.node(),
        "user": _user(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": CPU_COUNT,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        # False in a build of Python without the global lock, where threads do compute together.
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
