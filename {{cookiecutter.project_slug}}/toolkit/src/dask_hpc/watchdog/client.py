"""The cluster's side of the watchdog: start its process, and report every job to it."""

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

MAX_STARTS = 3  # in total, if the process keeps ending


class WatchdogClient:
    """A cluster's connection to its watchdog. Call all methods on the cluster's event loop.

    The watchdog is optional: if something goes wrong, the client warns once, and the cluster works
    without it.

    Parameters
    ----------
    describe : callable
        Returns the data for the watchdog (see `process.Watchdog`), and its ``environment``; called
        when the process is started.
    warn : callable
        Takes one line for the user.
    """

    def __init__(self, describe: Callable[[], dict[str, Any]], warn: Callable[[str], None]):
        self._describe = describe
        self._warn = warn
        self._jobs: dict[str, None] = {}
        self._answers: dict[str, None] = {}  # output files of running submissions
        self._folder: str | None = None  # the folder of these files
        self._description: dict[str, Any] | None = None
        self._submissions = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket  # our end; set while there is a process
        self._unsent = bytearray()
        self._starts = 0
        self._disabled = False
        self._checks = PeriodicCallback(self.check, process.HEARTBEAT_S * 1000)

    def set_job_state(self, job: str, ended: bool) -> None:
        """Record that a job was submitted, or has ended."""
        if ended and job in self._jobs:
            del self._jobs[job]
            self._write(f"- {job}")
        elif not ended and job not in self._jobs:
            self._jobs[job] = None
            self._write(f"+ {job}")

    @contextlib.contextmanager
    def record_submission(self) -> Iterator[BinaryIO | None]:
        """Keep track of a submission until its job is recorded.

        Yields a file for the submit command's output, from which the watchdog can read the job's id
        if Python is killed first; None if the file cannot be created.
        """
        if self._process is None and not self._disabled:
            self._start()
        self._submissions += 1
        answer = Path(self._folder or os.devnull, str(self._submissions))
        try:
            file = answer.open("x+b")
        except OSError:
            # The disk is full, or the folder was deleted: use a pipe, as usual.
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
        """Disconnect when the cluster has closed. The watchdog cancels jobs that are left."""
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
        """Pass on the watchdog's messages, and restart it if it has died."""
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
            with other, contextlib.ExitStack() as on_failure:
                on_failure.callback(self._socket.close)
                self._process = subprocess.Popen(
                    # -I -S: ignore the variables and files that configure the user's Python.
                    [sys.executable, "-I", "-S", process.__file__, str(os.getpid())],
                    stdin=other.fileno(),
                    # Do not keep a pipe open that something reads to its end.
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=self._description.get("environment"),
                    start_new_session=True,  # to survive Ctrl-C and the end of an ssh session
                )
                on_failure.pop_all()
        except Exception as error:
            self._disabled = True
            self._cleanup()
            self._warn(
                f"Cannot start the watchdog ({error}). If this process is killed, running jobs end "
                "only after death-timeout, and you must cancel pending jobs yourself."
            )
            return
        self._socket.setblocking(False)
        self._unsent.clear()
        lines = [f"? {path}" for path in self._answers] + [f"+ {job}" for job in self._jobs]
        self._write("\n".join([json.dumps(self._description), *lines]))
        if not self._checks.is_running():
            self._checks.start()

    def _cleanup(self) -> None:
        # Clean up after a watchdog that was killed: without its heartbeat, the cluster would look
        # dead.
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
        # Send the rest later if the watchdog is too busy to read it. MSG_NOSIGNAL, since SIGPIPE
        # would kill a program that has restored its default handler.
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
