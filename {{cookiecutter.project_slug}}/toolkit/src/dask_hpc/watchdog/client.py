"""Start the watchdog from the cluster's side, and tell it of every job."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tornado.ioloop import PeriodicCallback

from . import process

MAX_STARTS = 3  # how often in all it is started, where something ends it


class WatchdogClient:
    """A cluster's end of the pair. All methods are to be called on the cluster's event loop.

    It never gets in the way: if something goes wrong, it says so once, and the cluster works
    without it.

    Parameters
    ----------
    describe : callable
        Returns what the child needs to know (see `process.Watchdog`), and its ``environment``;
        called when the child is started.
    warn : callable
        Takes one line for the user.
    """

    def __init__(self, describe: Callable[[], dict[str, Any]], warn: Callable[[str], None]):
        self._describe = describe
        self._warn = warn
        self._jobs: dict[str, None] = {}
        self._answers: dict[str, None] = {}  # files into which running submissions print
        self._folder: str | None = None  # where these are
        self._description: dict[str, Any] | None = None
        self._submissions = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket  # ours, where there is a process
        self._unsent = bytearray()
        self._starts = 0
        self._disabled = False
        self._checks = PeriodicCallback(self.check, process.HEARTBEAT_S * 1000)

    def set_job_state(self, job: str, ended: bool) -> None:
        """Note that a job was submitted, or is over."""
        if ended and job in self._jobs:
            del self._jobs[job]
            self._write(f"- {job}")
        elif not ended and job not in self._jobs:
            self._jobs[job] = None
            self._write(f"+ {job}")

    @contextlib.contextmanager
    def record_submission(self) -> Iterator[BinaryIO | None]:
        """Accompany a submission, until its job is noted.

        Yields the file into which it should print, so that the job's id can still be read if
        Python is killed before it has read it; None where there is no such file.
        """
        if self._process is None and not self._disabled:
            self._start()
        self._submissions += 1
        answer = Path(self._folder or os.devnull, str(self._submissions))
        try:
            file = answer.open("x+b")
        except OSError:
            # No room, or somebody has cleared up there: the usual pipe.
            yield None
            return
        self._answers[str(answer)] = None
        self._write(f"? {answer}")
        try:
            yield file
        finally:
            del self._answers[str(answer)]
            self._write(f"! {answer}")
            file.close()
            with contextlib.suppress(OSError):
                answer.unlink()

    async def close(self) -> None:
        """Let the child go: the cluster is closed. It cancels jobs that are still not over."""
        self._checks.stop()
        self._disabled = True
        if self._process is not None:
            self._send()
            self._read_messages()
            self._socket.close()
            if self._jobs:
                return
            end = time.monotonic() + 5
            while self._process.poll() is None and time.monotonic() < end:
                await asyncio.sleep(0.01)
        self._cleanup()

    def check(self) -> None:
        """Pass on what the child has to say, and start it again if it is gone."""
        if self._process is None:
            return
        self._send()
        self._read_messages()
        if self._process.poll() is not None:
            self._socket.close()
            self._process = None
            self._start()

    def _start(self) -> None:
        self._starts += 1
        try:
            if self._starts > MAX_STARTS:
                raise OSError(f"it ended {MAX_STARTS} times")
            if self._description is None:
                with contextlib.suppress(OSError):
                    self._folder = tempfile.mkdtemp(prefix="dask-hpc-")
                self._description = self._describe() | {"answers": self._folder}
            self._socket, other = socket.socketpair()
            try:
                self._process = subprocess.Popen(
                    # -I -S: what variables and files tell the user's Python is not for it.
                    [sys.executable, "-I", "-S", process.__file__, str(os.getpid())],
                    stdin=other.fileno(),
                    # A pipe that somebody reads to its end must not wait for it.
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=self._description.get("environment"),
                    start_new_session=True,  # Ctrl-C and the end of an ssh session are not for it
                )
            except BaseException:
                self._socket.close()
                raise
            finally:
                other.close()
        except Exception as error:
            self._disabled = True
            self._cleanup()
            self._warn(
                "Nothing watches over this cluster's jobs: if Python is killed, they run on until "
                f"they notice it, and jobs that wait until you cancel them. The reason: {error}."
            )
            return
        self._socket.setblocking(False)
        self._unsent.clear()
        lines = [f"? {path}" for path in self._answers] + [f"+ {job}" for job in self._jobs]
        self._write("\n".join([json.dumps(self._description), *lines]))
        if not self._checks.is_running():
            self._checks.start()

    def _cleanup(self) -> None:
        # What a child that was killed has left: without its signs of life the cluster would look
        # as if it were gone.
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._description is not None and self._description["registry"]:
            with contextlib.suppress(OSError):
                Path(self._description["registry"]).unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        if self._process is not None:
            self._unsent += text.encode() + b"\n"
            self._send()

    def _send(self) -> None:
        # What does not fit now, since the child is held up, is sent at the next occasion. A signal
        # would end a program that has taken back Python's ignoring of SIGPIPE.
        flags = getattr(socket, "MSG_NOSIGNAL", 0)
        with contextlib.suppress(OSError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent, flags)]

    def _read_messages(self) -> None:
        said = b""
        with contextlib.suppress(OSError):
            while part := self._socket.recv(4096):
                said += part
        for line in said.decode(errors="replace").splitlines():
            self._warn(line)
