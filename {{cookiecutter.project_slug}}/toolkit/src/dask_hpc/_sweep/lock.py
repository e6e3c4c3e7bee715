"""One writer for each folder: a file that says who is writing.

Network file systems have no reliable locks, but they create a file, or a link to one, for a single
process only. Two writers would not damage anything, since each has shards of its own; they would
compute the same inputs.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from .._output.formatting import format_age
from ..errors import SweepInUseError
from .folder import LOCK as NAME

HEARTBEAT_S = 10.0
SHOW_SILENCE_S = 60.0  # six heartbeats
# A process with the number of the lock's owner is another one if it started at another time. The
# times of one process differ if somebody sets the clock.
START_TIME_TOLERANCE_S = 60.0
TAKE_OVER_S = 5.0  # it takes milliseconds, unless the process that does it is killed


class FolderLock:
    """Marks a folder as used by this process, from `acquire` until `release`.

    Parameters
    ----------
    folder : Path
        An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._text = ""
        self._beaten_at = 0.0

    def acquire(self) -> None:
        """Take the folder, also from a process of this computer that has ended.

        Raises
        ------
        SweepInUseError
            A process is using the folder, or may be: one on another computer cannot be checked.
        OSError
            The folder cannot be written to.
        """
        self._text = json.dumps({**_this_process(), "id": uuid.uuid4().hex})
        own = self._folder / f".{NAME}-{uuid.uuid4().hex}"
        own.write_text(self._text)
        try:
            end = time.monotonic() + TAKE_OVER_S
            while not (_create(own, self._path) or self._take_over(own)):
                if time.monotonic() > end:
                    raise SweepInUseError(
                        f"A process ended while it was taking over the folder {self._folder}. Run "
                        f"this again after you have removed {self._takeover}."
                    )
        finally:
            own.unlink(missing_ok=True)

    @property
    def _takeover(self) -> Path:
        return self._folder / f".{NAME}-taking-over"

    def _take_over(self, own: Path) -> bool:
        """Put a file in the place of a dead process's lock; raise an error for any other lock."""
        text, silent = _read(self._path)
        if text is None:
            return False  # it was released meanwhile
        owner = _parse(text)
        if not _has_ended(owner):
            raise SweepInUseError(describe_owner(self._folder, owner, silent))
        # Only one process at a time: another may have taken the lock over since it was read.
        if not _create(own, self._takeover):
            time.sleep(0.02)
            return False
        try:
            if _read(self._path)[0] != text:
                return False
            own.replace(self._path)
            return True
        finally:
            self._takeover.unlink(missing_ok=True)

    def beat(self) -> None:
        """Show that this process is alive; call it often, it acts every 10 s.

        Raises
        ------
        SweepInUseError
            Somebody removed the lock.
        """
        if time.monotonic() < self._beaten_at + HEARTBEAT_S:
            return
        self._beaten_at = time.monotonic()
        with contextlib.suppress(OSError):  # the file server does not answer: no reason to stop
            if _read(self._path)[0] not in (self._text, None):
                raise SweepInUseError(
                    f"{self._folder}: another process has taken this folder, since "
                    f"{self._path} was removed. This sweep stops; what it saved is kept."
                )
            os.utime(self._path)

    def release(self) -> None:
        """Let others use the folder."""
        with contextlib.suppress(OSError):
            if _read(self._path)[0] == self._text:
                self._path.unlink()


def owner_of(folder: Path) -> str | None:
    """Return a line about the process that uses a folder; None if there is none."""
    text, silent = _read(folder / NAME)
    if text is None or _has_ended(owner := _parse(text)):
        return None
    return _words(owner, silent)


def describe_owner(folder: Path, owner: dict[str, Any], silent: float) -> str:
    """Return the message for a second sweep of a folder."""
    line = f"The folder {folder} is in use by {_words(owner, silent)}. "
    if owner.get("host") == socket.gethostname():
        return f"{line}Wait until it ends, or choose another folder with out=."
    return (
        f"{line}That is another computer, so it cannot be checked from here whether it still runs. "
        f"If it does not, remove {folder / NAME}."
    )


def _words(owner: dict[str, Any], silent: float) -> str:
    since = time.strftime("%d %b %H:%M", time.localtime(owner.get("started", 0)))
    line = (
        f"a sweep of {owner.get('user', '?')} on {owner.get('host', '?')} "
        f"(process {owner.get('pid', '?')}, since {since}"
    )
    return f"{line}, silent for {format_age(silent)})" if silent > SHOW_SILENCE_S else f"{line})"


def _this_process() -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for the user id
        user = str(os.getuid())
    return {
        "user": user,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "started": time.time(),
    }


def _create(source: Path, path: Path) -> bool:
    """Give a file a second name; return False if something has that name already."""
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        try:  # a file system without links
            with path.open("x") as file:
                file.write(source.read_text())
        except FileExistsError:
            return False
    return True


def _read(path: Path) -> tuple[str | None, float]:
    """Return a lock's text, None if there is none, and the seconds since its heartbeat."""
    try:
        # Open it first, which makes a network file system refresh cached attributes.
        with path.open() as file:
            return file.read(), max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None, 0.0


def _parse(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _has_ended(owner: dict[str, Any]) -> bool:
    """Return whether a process of this computer is known to have ended."""
    if owner.get("host") != socket.gethostname():
        return False
    try:
        # Another process may have the number by now.
        differs = psutil.Process(owner["pid"]).create_time() - owner["created"]
        return abs(differs) > START_TIME_TOLERANCE_S
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False
