"""Keep a list of this user's clusters on all login nodes: one small file each, in the home.

A cluster's watchdog writes the file, renews its time every 10 s, and removes it when no job is left
(see `process`). A file whose time stands still belongs to a cluster that is gone and whose jobs
nobody has cancelled: they are *orphaned*. Process ids decide nothing, since they mean nothing on
another login node and are soon reused.
"""

import contextlib
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

# Seconds without a sign of life after which jobs are orphaned: six heartbeats. A login node
# under load, or a home directory that hangs for a moment, makes it miss one or two.
STALE_AFTER_S = 60.0
# A file from another host whose jobs are unknown here may be of a site that shares the home.
FOREIGN_STALE_AFTER_S = 7 * 86400.0


@dataclass(frozen=True)
class RegisteredCluster:
    """A cluster, as its file describes it.

    Attributes
    ----------
    path : Path
        The file.
    silent : float
        Seconds since its last sign of life.
    host : str
        Where its Python runs or ran.
    pid : int
        The process there, for people to read; nothing depends on it.
    started : float
        Seconds since 1970, by that host's clock.
    batch : str
        Name of the batch system.
    cancel : tuple of str
        The words of its job class's cancel command (see `commands`).
    cluster : str
        Name of its class.
    job_name : str or None
    other_names : tuple of str
        Further names under which the batch system may list its jobs, from the user's directives.
    logs : tuple of str
        The files with its jobs' output, as patterns of `output_files`.
    jobs : tuple of str
        Ids of its jobs that were not over.
    """

    path: Path
    silent: float
    host: str
    pid: int
    started: float
    batch: str
    cancel: tuple[str, ...] = ()
    cluster: str = ""
    job_name: str | None = None
    other_names: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether the cluster is there, and looks after its jobs itself."""
        return self.silent < STALE_AFTER_S

    def forget(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def folder() -> Path:
    """Return the files' folder: ``$XDG_STATE_HOME/dask-hpc``, in the home without that variable.

    Raises
    ------
    RuntimeError
        There is no home directory.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification of XDG: what is no absolute path does not count.
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"  # noqa: PTH117
    return base / "dask-hpc"


def new(**about: Any) -> dict[str, Any]:
    """Return what a watchdog needs to know about a new cluster's file: its path and content.

    Parameters
    ----------
    **about
        Fields of `RegisteredCluster`, as far as the caller knows them.
    """
    host, started = socket.gethostname(), time.time()
    try:
        path = str(folder() / f"{host}-{uuid.uuid4().hex}.json")
    except RuntimeError:
        path = None
    entry = {"host": host, "pid": os.getpid(), "started": started, **about}
    return {"registry": path, "entry": entry}


def entries() -> list[RegisteredCluster]:
    """Return all clusters of this user, oldest first; files that can't be read are left out."""
    try:
        where = folder()
        paths = sorted(where.glob("*.json"))
    except (OSError, RuntimeError):
        return []
    if not paths:
        return []
    now = _now(where)
    found = [_read(path, now) for path in paths]
    return sorted((entry for entry in found if entry is not None), key=lambda e: e.started)


def past_logs() -> list[str]:
    """Return the files with the output of past clusters' jobs, as patterns, latest first."""
    try:
        return (folder() / "past-logs").read_text().splitlines()[::-1]
    except (OSError, RuntimeError, ValueError):
        return []


def _read(path: Path, now: float) -> RegisteredCluster | None:
    try:
        # Opened first: that is when a network's file system looks whether what it knows is old.
        with path.open() as file:
            silent = now - os.fstat(file.fileno()).st_mtime
            found = json.load(file)
        # Another version of the toolkit may have written more.
        known = {field.name for field in fields(RegisteredCluster)} & found.keys()
        about: dict[str, Any] = {name: found[name] for name in known}
        about |= {name: tuple(it) for name, it in about.items() if isinstance(it, list)}
        return RegisteredCluster(path=path, silent=max(silent, 0.0), **about)
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _now(where: Path) -> float:
    """Return the time by the clock that sets the files' times: a file server's, if there is one."""
    probe = where / f".now-{uuid.uuid4().hex}"
    try:
        with probe.open("x") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
