"""Cancel a cluster's jobs when its Python process has died.

This module runs as a separate process, the watchdog. It is a child of the user's Python, starts
with a cluster's first job, and holds one end of a socket pair. The cluster reports every job to it.
When the other end is closed, for whatever reason, the watchdog cancels all jobs that it knows of in
one call; a cluster that closed normally leaves none. Meanwhile it keeps the cluster's file in the
registry up to date (see `registry`), so that a slow home directory does not block the program, and
a busy program does not delay the file.

It is run as a script, ``python -I -S process.py``. To start fast, it imports only a small part of
the standard library. `client` is the cluster's side.
"""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HEARTBEAT_S = 10.0  # interval of heartbeats in the registry
# Delays between attempts to cancel. A controller that restarts is back within a minute or two.
CANCEL_RETRY_S = (1, 2, 5, 10, 20, 40, 80)
COMMAND_TIMEOUT_S = 30.0
# A submission that is running when Python dies continues. Its job is cancelled with the others if
# its id appears within the first time, and separately until the second one.
SUBMIT_GRACE_S, SUBMIT_TIMEOUT_S = 3.0, 60.0
MAX_PAST_LOGS = 40  # patterns of log files to keep


class Watchdog:
    """The watchdog process.

    Parameters
    ----------
    parent : int
        Process id of the cluster's Python.
    start : dict
        ``cancel``: the cancel command, without job ids. ``one_by_one``: whether it takes only one
        id. ``over``: substrings of its messages about jobs that have already ended. ``pattern``:
        matches a job id in the output of the submit command. ``answers``: the folder of these
        outputs, or None. ``registry``: the path of the cluster's file, or None; ``entry``: its
        content. ``pauses``: as `CANCEL_RETRY_S`.
    """

    def __init__(self, parent: int, start: dict[str, Any]):
        self.parent = parent
        self.start = start
        self.jobs: dict[str, None] = {}
        self.answers: dict[str, None] = {}
        self.uncancelled: set[str] = set()  # those of `jobs` that could not be cancelled
        self.changed = threading.Event()
        self.parent_gone = self.stopping = False
        self.registry_thread = threading.Thread(target=self.update_registry, daemon=True)

    def handle_message(self, line: str) -> None:
        """Process one line from the cluster."""
        sign, _, value = line.partition(" ")
        if sign in "+-":
            self.jobs.pop(value, None)
            if sign == "+":
                self.jobs[value] = None
            self.changed.set()
        elif sign == "?":
            self.answers[value] = None
        elif sign == "!":
            self.answers.pop(value, None)

    def wait_for_parent_exit(self, buffer: bytes) -> None:
        """Process messages from the cluster; return when its process is gone."""
        while True:
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                self.handle_message(line.decode())
            # A forked child of the user's program may keep the other end open for a long time.
            orphan = os.getppid() != self.parent
            ready, _, _ = select.select([0], [], [], 0 if orphan else 1)
            if ready:
                try:
                    data = os.read(0, 65536)
                except OSError:
                    data = b""
                if not data:
                    return
                buffer += data
            elif orphan:
                return

    def cancel_remaining(self) -> None:
        """Cancel the remaining jobs; `jobs` keeps those that could not be cancelled."""
        begin = time.monotonic()
        while True:
            self.read_answers()
            waited = time.monotonic() - begin
            if not self.answers or waited > SUBMIT_GRACE_S:
                self.cancel([job for job in self.jobs if job not in self.uncancelled])
            if not self.answers or waited > SUBMIT_TIMEOUT_S:
                return
            time.sleep(0.1)

    def read_answers(self) -> None:
        for path in list(self.answers):
            with contextlib.suppress(OSError):
                text = Path(path).read_text(errors="replace")
                if match := re.search(self.start["pattern"], text):
                    self.jobs[match["job_id"]] = None
                    del self.answers[path]

    def cancel(self, jobs: list[str]) -> None:
        size = 1 if self.start.get("one_by_one") else max(len(jobs), 1)
        for first in range(0, len(jobs), size):
            together = jobs[first : first + size]
            if self.run_cancel_command(together):
                for job in together:
                    del self.jobs[job]
            else:
                self.uncancelled.update(together)

    def run_cancel_command(self, jobs: list[str]) -> bool:
        for pause in (*self.start.get("pauses", CANCEL_RETRY_S), None):
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                done = subprocess.run(
                    [*self.start["cancel"], *jobs],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=COMMAND_TIMEOUT_S,
                    check=False,
                )
                said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
                over = [any(part in line for part in self.start["over"]) for line in said]
                if done.returncode == 0 or (over and all(over)):
                    return True
            if pause is not None:
                time.sleep(pause)
        return False

    def update_registry(self) -> None:
        """Keep the cluster's file up to date: its list of jobs, and its time as a heartbeat."""
        path = Path(self.start["registry"])
        draft = path.with_suffix(".new")
        told = written = False
        while True:
            last = self.stopping  # read before the jobs, so that the last write has the final list
            try:
                if last or self.changed.is_set() or not written:
                    self.changed.clear()
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.parent.chmod(0o700)
                    if not written:
                        self.remember_logs(path.parent / "past-logs")
                    entry = self.start["entry"] | {"jobs": list(self.jobs)}
                    draft.write_text(json.dumps(entry, indent=1))
                    draft.replace(path)  # atomic: readers see either the old file or the new one
                    written = True
                elif not self.parent_gone:
                    os.utime(path)  # without a time, to use the file server's clock
            except OSError as error:
                written = False
                if not told:
                    told = True
                    text = f"`dask hpc jobs` cannot show this cluster: {path}: {error.strerror}."
                    with contextlib.suppress(OSError):
                        os.write(0, f"{text}\n".encode())
                time.sleep(HEARTBEAT_S)
            if last:
                return
            self.changed.wait(HEARTBEAT_S)

    def remember_logs(self, path: Path) -> None:
        """Record where `dask hpc logs` can find the logs when the cluster is gone."""
        ours = self.start["entry"].get("logs", [])
        lines = path.read_text().splitlines() if path.exists() else []
        if ours and ours != lines[-len(ours) :]:
            lines = [*(line for line in lines if line not in ours), *ours][-MAX_PAST_LOGS:]
            draft = path.with_name(f".logs-{os.getpid()}")
            draft.write_text("\n".join(lines) + "\n")
            draft.replace(path)

    def run(self, buffer: bytes) -> None:
        if self.start["registry"]:
            self.registry_thread.start()
        self.wait_for_parent_exit(buffer)
        self.parent_gone = True
        self.cancel_remaining()
        if self.start["answers"]:
            shutil.rmtree(self.start["answers"], ignore_errors=True)
        if self.start["registry"]:
            self.stopping = True
            self.changed.set()
            self.registry_thread.join(5)
            # Keep the file of jobs that could not be cancelled: they show up as orphaned.
            if not self.jobs and not self.registry_thread.is_alive():
                for suffix in (".new", ".json"):
                    with contextlib.suppress(OSError):
                        Path(self.start["registry"]).with_suffix(suffix).unlink(missing_ok=True)
        os._exit(0)  # even if a write hangs


def main() -> None:
    # Whatever signals all processes of a session, or all named python, also ends the cluster's
    # Python, and then this process is needed. It exits by itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    buffer = b""
    while b"\n" not in buffer:
        data = os.read(0, 65536)
        if not data:
            return
        buffer += data
    first, _, rest = buffer.partition(b"\n")
    Watchdog(int(sys.argv[1]), json.loads(first)).run(rest)


if __name__ == "__main__":
    main()
