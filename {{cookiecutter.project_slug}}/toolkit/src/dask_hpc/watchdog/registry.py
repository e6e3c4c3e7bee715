"""List this user's clusters on all login nodes: one small file each, in the home directory.

A cluster's watchdog writes the file, updates its time every 10 s, and removes it when no job is
left (see `process`). A file whose time has stopped belongs to a cluster that is dead, and whose
jobs were not cancelled: they are *orphaned*. Process ids are not used, since they mean nothing on
another login node and are soon reused.
"""

import contextlib
import errno
import json
import os
import socket
import stat
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from ..batch import BATCH_SYSTEMS
from ..config import accounts

# Jobs are orphaned after six missed heartbeats. A busy login node, or a home directory that hangs
# for a moment, causes one or two.
STALE_AFTER_S = 60.0
# A file from another host whose jobs are unknown here may belong to a site that shares the home.
FOREIGN_STALE_AFTER_S = 7 * 86400.0

# Links and pipes could be another user's trap; Windows has no words against them.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

# The types of the fields in a file.
_TYPES: dict[str, type | UnionType] = {
    **dict.fromkeys(("host", "batch", "cluster", "name"), str),
    **dict.fromkeys(("cancel", "other_names", "logs", "jobs"), tuple),
    **{"pid": int, "started": int | float, "job_name": str | None},
}


@dataclass(frozen=True)
class RegisteredCluster:
    """A cluster, as described by its file.

    Attributes
    ----------
    path : Path
        The file.
    silent : float
        Seconds since the last heartbeat.
    host : str
        Where its Python runs or ran.
    pid : int
        Its process id there, only to show to users.
    started : float
        When it started, in seconds since 1970 by that host's clock.
    batch : str
        Name of the batch system.
    cancel : tuple of str
        The words of its job class's cancel command (see `commands`).
    cluster : str
        Name of its class.
    name : str
        The cluster's name, to connect to it.
    job_name : str or None
        Name of its jobs.
    other_names : tuple of str
        Other names under which the batch system may list its jobs, from the user's directives.
    logs : tuple of str
        The output files of its jobs, as patterns of `output_files`.
    jobs : tuple of str
        Ids of its unfinished jobs.
    """

    path: Path
    silent: float
    host: str
    pid: int
    started: float
    batch: str
    cancel: tuple[str, ...] = ()
    cluster: str = ""
    name: str = ""
    job_name: str | None = None
    other_names: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether the cluster is alive, and so manages its jobs itself."""
        return self.silent < STALE_AFTER_S

    def forget(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def folder() -> Path:
    """Return the registry's folder: ``$XDG_STATE_HOME/dask-hpc``; the default is in the home.

    Raises
    ------
    RuntimeError
        There is no home directory.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore relative paths.
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"  # noqa: PTH117
    return base / "dask-hpc"


def new(**about: Any) -> dict[str, Any]:
    """Return the path and content of a new cluster's file, for its watchdog.

    Parameters
    ----------
    **about
        Fields of `RegisteredCluster` that the caller knows.
    """
    host, started = socket.gethostname(), time.time()
    try:
        path = str(folder() / f"{host}-{uuid.uuid4().hex}.json")
    except RuntimeError:
        path = None
    entry = {"host": host, "pid": os.getpid(), "started": started, **about}
    return {"registry": path, "entry": entry}


def entries(warn: Callable[[str], None] = lambda _: None) -> list[RegisteredCluster]:
    """Return all clusters of this user, oldest first.

    Parameters
    ----------
    warn : callable, optional
        Takes a line about each file that is skipped, since it is damaged or another user's: its
        jobs and commands must not be acted on.
    """
    try:
        where = folder()
        if (owner := where.stat().st_uid) != accounts.this_user():
            warn(f"Ignoring {where}: it belongs to user id {owner}, not to you.")
            return []
        where.chmod(0o700)
        paths = sorted(where.glob("*.json"))
    except (OSError, RuntimeError):
        return []
    if not paths:
        return []
    found, now = [], _now(where)
    for path in paths:
        try:
            found.append(_read(path, now))
        except FileNotFoundError:
            continue  # the cluster has closed
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            warn(f"Ignoring {path}: {reason}. If it is not needed, remove it.")
    return sorted(found, key=lambda entry: entry.started)


def past_logs() -> list[str]:
    """Return the output files of past clusters' jobs, as patterns, most recent first."""
    try:
        return (folder() / "past-logs").read_text().splitlines()[::-1]
    except (OSError, RuntimeError, ValueError):
        return []


def _read(path: Path, now: float) -> RegisteredCluster:
    # Open it first, which makes a network file system refresh cached attributes.
    with open(os.open(path, _READ)) as file:  # noqa: PTH123
        status = os.fstat(file.fileno())
        if status.st_uid != accounts.this_user() or not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EPERM, "it is not a file of yours")
        found = json.load(file)
    # Another version of the toolkit may have written more fields.
    about = {name: found[name] for name in _TYPES if name in found}
    about |= {name: tuple(it) for name, it in about.items() if isinstance(it, list)}
    words = [word for it in about.values() if isinstance(it, tuple) for word in it]
    if (
        not all(isinstance(it, _TYPES[name]) for name, it in about.items())
        or not all(isinstance(word, str) for word in words)
        or not about.keys() >= {"host", "pid", "started", "batch"}
        or about["batch"] not in BATCH_SYSTEMS
    ):
        raise ValueError("not a cluster")
    return RegisteredCluster(path=path, silent=max(now - status.st_mtime, 0.0), **about)


def _now(where: Path) -> float:
    """Return the time by the clock that sets file times: that of a file server, if there is one."""
    probe = where / f".now-{uuid.uuid4().hex}"
    try:
        with probe.open("x") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
