"""Why a job runs whose workers never come: the end of its log, and what it most likely means."""

from __future__ import annotations

import re
import time
from pathlib import Path

from . import jobs, news
from .recovery import Member
from .schedulers import JobStatus

# Of death-timeout, after which a worker without a scheduler gives up: when we speak of it.
PATIENCE = 0.7
LINES = 3  # of the log, that are shown
LOOKED_AT = 20_000  # bytes at its end

# Text in a job's log → what it means. The first match counts.
CAUSES = (
    (
        r"(?:No such file or directory|not found|cannot execute|Permission denied).*python|"
        r"python[^\n]*(?:No such file or directory|not found|cannot execute|Permission denied)",
        "the workers' Python is not there on the compute node: it has to lie on a file system that "
        "the nodes see too (python in jobqueue.yaml)",
    ),
    (
        r"No module named '?(?P<what>[\w.]+)",
        "the workers' Python does not have the package {what}: it should be the one that runs your "
        "notebook (python in jobqueue.yaml)",
    ),
    (
        r"['\"]?(?P<what>[\w.@:-]+)['\"]? is not a valid network interface",
        "compute nodes have no network interface {what}: `ip address` in a job lists theirs "
        "(interface in jobqueue.yaml)",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full (local-directory and log-directory in jobqueue.yaml)",
    ),
    (
        r"(?:Timed out|timed out|TimeoutError|Timeout|Connection refused|No route to host|"
        r"Network is unreachable|[Nn]anny.{0,40}time)",
        "the node does not reach the scheduler at {address}: the wrong network (interface, and "
        "under scheduler-options, in jobqueue.yaml) or a firewall",
    ),
    (
        r"(?:command not found|unable to locate a modulefile|Unknown module|"
        r"Lmod has detected the following error)",
        "a line of job-script-prologue in jobqueue.yaml fails",
    ),
)


def likely_cause(log: str, address: str) -> str:
    """What the end of a job's log most likely means, in words; empty if it is nothing known.

    Parameters
    ----------
    log : str
    address : str
        Of the scheduler.
    """
    for pattern, words in CAUSES:
        if match := re.search(pattern, log):
            what = match.groupdict().get("what") or ""
            return words.format(what=what, address=address)
    return ""


def tail(path: str, most: int = LOOKED_AT) -> str:
    """The end of a file as text; empty if it can't be read."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - most))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_lines(text: str, number: int = LINES) -> str:
    """The last lines that say something, in one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(line[:200] for line in lines[-number:])


class Diagnosis:
    """Looks after jobs that run without any of their workers coming.

    Parameters
    ----------
    cluster : ClusterMixin
    death_timeout : float or None
        Seconds after which a worker that finds no scheduler gives up.
    """

    def __init__(self, cluster, death_timeout: float | None):
        self.causes: list[str] = []  # what was found, the last time that a job had no worker
        self._cluster = cluster
        self._patience = PATIENCE * (death_timeout or 60.0)
        self._seen: set[str] = set()

    def tend(self) -> None:
        """To be called now and then: speaks of jobs that have run for long without a worker."""
        late = [
            member
            for member in self._cluster.recovery.members
            if member.came is None
            and member.begun is not None
            and time.monotonic() - member.begun > self._patience
            and member.job_id not in self._seen
        ]
        if not late:
            return
        self._seen.update(member.job_id for member in late)
        status = self._cluster.watcher.jobs.get(late[0].job_id)
        ran = jobs.duration(time.monotonic() - late[0].begun)
        ids = jobs.names([member.job_id for member in late])
        on = f" on {status.node}" if status and status.node else ""
        run = "runs" if len(late) == 1 else "run"
        found = self.examine(late[0])
        words = f"{ids[0].upper()}{ids[1:]} {run}{on} since {ran}, and no worker of it has come"
        news.warn(f"{words}. {found}")

    def ended(self, member: Member, status: JobStatus) -> str:
        """What the log of an ended job says, if none of its workers ever came."""
        return "" if member.came is not None else self.examine(member)

    def _silent_cause(self, member: Member, address: str) -> str:
        """What it most likely means that a job has printed nothing."""
        if member.begun is not None and time.monotonic() - member.begun >= self._patience:
            return likely_cause("timed out", address)
        return (
            "it ended before Python could say anything: a line of job-script-prologue, or a full "
            "disk (log-directory), see jobqueue.yaml"
        )

    def examine(self, member: Member) -> str:
        """In a line: the end of a job's log, where it is, and the likely cause."""
        cluster = self._cluster
        paths = cluster.log_files(member.job_id)
        text, path = "", ""
        for candidate in reversed(paths):  # errors are last
            if text := tail(candidate):
                path = candidate
                break
        address = cluster.scheduler_address
        if text:
            line = f"Its log {path} ends with: {last_lines(text)}"
            cause = likely_cause(text, address)
        else:
            line = f"It has printed nothing ({paths[-1]})" if paths else ""
            cause = self._silent_cause(member, address) if paths else ""
        if cause:
            line += f" - likely, {cause}"
        self.causes = [line] if line else []
        return f"{line}." if line else ""
