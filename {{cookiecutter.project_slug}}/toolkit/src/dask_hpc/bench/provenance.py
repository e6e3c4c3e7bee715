"""What was run, and on what: for the head of a record. No batch system is asked here."""

import datetime
import getpass
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

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
        "usable_cores": usable_cores(),
        "cgroup_quota_cores": cgroup_quota(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        # False in a build of Python without the global lock, where threads do compute together.
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    }


def usable_cores() -> int:
    """Return how many cores this process may use: those it is bound to, up to its group's quota."""
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        bound = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, bound if quota is None else min(bound, round(quota)))


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the CPU time, in cores, that a container's control group grants; None: no limit."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((root / name).read_text() for name in files).split()
            return float(quota) / float(period) if quota not in ("max", "-1") else None
        except (OSError, ValueError):
            continue
    return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
