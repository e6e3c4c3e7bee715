"""What other Pythons of the same user need to find a running cluster and connect to it.

Each cluster has a folder in the home directory, so that all login nodes see it: its address and
name, and the credentials. Dask asks `load` for the credentials of an address
(``distributed.client.security-loader`` in ``config/dask-hpc.yaml``).
"""

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import dask.config
import psutil
from distributed import Security
from distributed.comm import parse_address, resolve_address

from ..config import accounts
from ..config.paths import create_folder
from ..errors import ConfigError
from ..watchdog import registry

LOADER_KEY = "distributed.client.security-loader"
ABOUT = "cluster.json"
CREDENTIALS = ("ca_file", "cert", "key")  # names of files, and of distributed's settings


@dataclass(frozen=True)
class Record:
    """A running cluster, as described by its folder.

    Attributes
    ----------
    folder : Path
    address : str
        The scheduler's.
    name : str
        The cluster's.
    host : str
        Where its Python runs.
    pid : int
        Its process id there.
    started : float
        In seconds since 1970 by that host's clock.
    http_port : int
        The dashboard's port; 0 for none.
    http_prefix : str
        The path before its pages.
    """

    folder: Path
    address: str
    name: str
    host: str
    pid: int
    started: float
    http_port: int = 0
    http_prefix: str = ""

    @property
    def security(self) -> Security | None:
        """The settings for a client; None if the cluster is not encrypted."""
        try:
            found = [(self.folder / name).read_text() for name in CREDENTIALS]
        except OSError:
            return None
        authority, certificate, key = found
        return Security(
            require_encryption=True,
            tls_ca_file=authority,
            tls_client_cert=certificate,
            tls_client_key=key,
        )

    @property
    def is_here(self) -> bool:
        """Whether the cluster's Python runs, or ran, on this computer."""
        return self.host == socket.gethostname()

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to have ended; only its own host can tell."""
        return self.is_here and not psutil.pid_exists(self.pid)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write(
    name: str,
    address: str,
    security: Security | None,
    http_port: int = 0,
    http_prefix: str = "",
) -> Record:
    """Record a cluster of this process; see `Record`.

    Raises
    ------
    OSError, RuntimeError
        The folder cannot be created, or there is no home directory.
    """
    if dask.config.get(LOADER_KEY, None) is None:  # without `dask hpc setup`
        dask.config.set({LOADER_KEY: f"{__name__}.load"})
    home = _folder()
    create_folder(home)
    for folder in (home.parent, home):
        if folder.stat().st_uid != accounts.this_user():
            raise OSError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
    for old in records():
        if old.is_dead:
            old.remove()
    about: dict[str, Any] = {"address": address, "name": name, "host": socket.gethostname()}
    about |= {"pid": os.getpid(), "started": time.time()}
    about |= {"http_port": http_port, "http_prefix": http_prefix}
    # Others read a folder when it has its final name, so when it is complete.
    draft = Path(tempfile.mkdtemp(prefix=".", dir=home))
    tls = security.get_tls_config_for_role("client") if security is not None else {}
    for name in CREDENTIALS:
        if "\n" in (text := tls.get(name) or ""):
            _write(draft / name, text)
        elif text:  # a file of the user's
            (draft / name).symlink_to(Path(text).absolute())
    _write(draft / ABOUT, json.dumps(about))
    folder = draft.rename(home / draft.name.lstrip("."))
    return Record(folder, **about)


def _write(path: Path, text: str) -> None:
    path.touch(0o600, exist_ok=False)
    path.write_text(text)


def _folder() -> Path:
    return registry.folder() / "clusters"


def records() -> Iterator[Record]:
    """Yield the clusters of this user, skipping folders that cannot be read."""
    known = {field.name for field in fields(Record)} - {"folder"}
    try:
        paths = sorted(_folder().glob(f"[!.]*/{ABOUT}"))
    except (OSError, RuntimeError):
        return
    for path in paths:
        try:
            with path.open() as file:
                owners = {os.fstat(file.fileno()).st_uid, path.parent.stat().st_uid}
                if owners == {accounts.this_user()}:
                    found = json.load(file)
                    # Another version of the toolkit may have written more, or less.
                    yield Record(path.parent, **{it: found[it] for it in known & found.keys()})
        except (OSError, ValueError, AttributeError, TypeError):
            continue


def at(address: str) -> Record | None:
    """Return the cluster at an address: the latest, on this host if several hosts have one."""
    found = [it for it in records() if it.address == address]
    return max(found, key=lambda it: (it.is_here, it.started), default=None)


def http_prefix(host: str, port: int) -> str:
    """Return the path before the pages of the dashboard of a cluster; empty if unknown."""
    for record in records():
        if record.http_port == port and parse_address(record.address)[1].startswith(f"{host}:"):
            return record.http_prefix
    return ""


def has_dashboard(port: int, path: str) -> bool:
    """Return whether a path belongs to the dashboard of a running cluster on this computer."""
    return any(
        it.is_here
        and it.http_port == port
        and not it.is_dead
        and it.http_prefix
        and path.startswith(f"{it.http_prefix}/")
        for it in records()
    )


def load(info: dict[str, Any]) -> Security | None:
    """Return the credentials for the cluster at ``info["address"]``; Dask's clients call this.

    Raises
    ------
    ConfigError
        There are none, or the cluster is encrypted and the address is not.
    """
    scheme, place = parse_address(info["address"])
    if scheme not in ("tcp", "tls"):
        return None
    place = resolve_address(f"tcp://{place}").removeprefix("tcp://")
    record = at(f"tls://{place}")
    if scheme == "tcp":
        if record is None:
            return None
        raise ConfigError(f"The cluster at {place} is encrypted: connect to {record.address}.")
    if record is not None and (security := record.security) is not None:
        return security
    if Security().get_tls_config_for_role("client").get("cert"):
        return None  # Dask's own configuration has the keys
    raise ConfigError(
        f"There are no credentials for {info['address']}: this cluster has closed, or it is not "
        "yours."
    )
