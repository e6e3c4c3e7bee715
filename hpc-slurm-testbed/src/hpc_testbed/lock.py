"""A lock between processes of one user on this machine: a file for each testbed's name."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from hpc_testbed.errors import TestbedError

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked(name: str, *, busy: str, wait: bool = True) -> Iterator[None]:
    """Hold a lock for the duration of the block.

    Parameters
    ----------
    name : str
        Name of the lock.
    busy : str
        The message if another process holds it, printed after a second of waiting.
    wait : bool
        Whether to wait for it, or to fail at once.

    Raises
    ------
    TestbedError
        The file cannot be opened; or, without `wait`, another process holds the lock.
    """
    if sys.platform == "win32":  # has no fcntl: nothing is locked
        yield
        return
    path = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}.lock"
    try:
        # Anyone may write to that folder, so do not follow links.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise TestbedError(f"cannot open the lock {path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise TestbedError(busy) from None
            late = threading.Timer(1, print, [busy], {"file": sys.stderr, "flush": True})
            late.start()
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            finally:
                late.cancel()
        yield
    finally:
        os.close(file)


def exclusive(name: str) -> AbstractContextManager[None]:
    """Wait until no other command is starting, scaling, or stopping this testbed."""
    busy = f"Waiting for another command that is starting, scaling, or stopping testbed {name}."
    return locked(f"{name}-change", busy=busy)
