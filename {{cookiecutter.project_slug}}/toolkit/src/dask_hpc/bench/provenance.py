"""Versions, packages, and the machine, for a record. This does not query a batch system."""

import contextlib
import datetime
import functools
import getpass
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from dask.system import CPU_COUNT

from .. import __version__
from ..environment import packages

PACKAGES = ("dask", "distributed", "dask-jobqueue", "tornado", "click")
# Of Debian's packages: Slurm, and Python. The testbed has nothing else that matters to a result.
SYSTEM_PACKAGES = ("slurm*", "munge", "python3", "python3.*")
DPKG_TIMEOUT_S = COMMIT_TIMEOUT_S = 10.0


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


@functools.cache  # one process has one environment
def environment() -> dict:
    """Return a digest of the installed Python packages, their number, Debian's, and the commit.

    This takes a quarter of a second. Call it when nothing is measured.
    """
    installed = packages.installed()
    found = {
        "digest": packages.digest(installed),
        "packages": len(installed),
        "system_packages": system_packages(),
    }
    return found | ({"commit": name} if (name := commit()) else {})


def commit(folder: Path | None = None) -> str:
    """Return the commit of a folder's project, by git or `BENCH_COMMIT`, or nothing."""
    if given := os.environ.get("BENCH_COMMIT"):
        return given
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=COMMIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def system_packages() -> dict[str, str]:
    """Return versions of Debian's packages of Slurm and Python; empty on other systems."""
    form = "${db:Status-Status}\t${Package}\t${Version}\n"
    command = ["dpkg-query", "--show", f"--showformat={form}", *SYSTEM_PACKAGES]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DPKG_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    # It fails if one of the names has no package, but lists the others.
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {name: version for status, name, version in rows if status == "installed"}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
