"""Run the commands of a batch system."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from . import BatchSystem, JobStatus, JobUse, custom_commands

LIST_TIMEOUT_S = 30.0


class CommandError(RuntimeError):
    """A command of the batch system failed.

    Attributes
    ----------
    command : str
        The command's name.
    words : str
        Its error message, on one line.
    lines : list of str
        The lines of its error message.
    missing : bool
        Whether the command does not exist here.
    out : str
        Its standard output before it failed.
    """

    def __init__(self, command: str, *lines: str, missing: bool = False, out: str = ""):
        self.command = command
        self.lines = list(lines)
        self.words = "; ".join(lines)
        self.missing = missing
        self.out = out
        super().__init__(f"{command}: {self.words}")


async def run(
    argv: Sequence[str],
    *,
    timeout: float | None = None,
    stdin: Path | str = os.devnull,
    answer: BinaryIO | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command of the batch system and return its output.

    Parameters
    ----------
    argv : sequence of str
        The command and its arguments.
    stdin : path
        The file for its standard input.
    timeout : float, optional
        Seconds after which to kill the command. Without a timeout, it keeps running even if the
        caller is cancelled, since it may be a submission.
    answer : file, optional
        File for its standard output, which can still be read if this process is killed.
    env : mapping, optional
        Its environment; by default, that of this process.

    Raises
    ------
    CommandError
        The command failed, does not exist, or took too long.
    """
    command = argv[0]
    try:
        with open(stdin, "rb") as file:  # noqa: PTH123 - os.devnull is a str
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=file,
                stdout=asyncio.subprocess.PIPE if answer is None else answer,
                stderr=asyncio.subprocess.PIPE,
                # oarsub starts the job in the folder PWD, and fails without it. Only a shell sets
                # PWD: os.chdir does not change it, and a service may not have it.
                env={**(os.environ if env is None else env), "PWD": os.getcwd()},  # noqa: PTH109
                # Ctrl-C in a terminal signals all processes of the foreground group. It must not
                # interrupt a submission (we would not learn the job's id) or a cancellation.
                start_new_session=True,
            )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        words = "command not found" if missing else str(error.strerror)
        raise CommandError(command, words, missing=missing) from error
    try:
        # Not wait_for: before Python 3.12, it can lose a cancellation that arrives just when the
        # process ends.
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except (TimeoutError, asyncio.CancelledError) as error:
        if timeout is None:
            raise  # a submission, which continues
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()  # read its pipes to the end, so that the loop closes them
        if isinstance(error, asyncio.CancelledError):
            raise
        raise CommandError(command, f"no response within {timeout:g} s") from None
    if answer is not None:
        answer.seek(0)
        out = answer.read()
    printed, said = out.decode(errors="replace"), err.decode(errors="replace")
    if process.returncode:
        lines = _lines(command, said) or _lines(command, printed)
        raise CommandError(command, *(lines or [describe_exit(process.returncode)]), out=printed)
    return printed


def describe_exit(code: int) -> str:
    """Describe how a process ended: its exit code, or the signal that ended it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _lines(command: str, text: str) -> list[str]:
    """Return the distinct lines that a command printed, without its name as a prefix."""
    lines: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.strip().removeprefix(f"{command}:").strip()
        line = re.sub(r"(?i)^(?:(?:error|fatal)\s*:|\[error\])\s*", "", line)
        # Skip repetitions with another number, such as "…, attempt number -4".
        if line:
            lines.setdefault(re.sub(r"-?\b\d+$", "", line), line)
    return list(lines.values())


async def list_jobs(
    batch_system: BatchSystem, job_ids: Sequence[str], own: Sequence[str] = ()
) -> dict[str, JobStatus]:
    """Return the status of the jobs that the batch system lists, by id, with one call.

    Parameters
    ----------
    batch_system : BatchSystem
    job_ids : sequence of str
    own : sequence of str
        The words of the job class's cancel command; see `custom_commands`.

    Raises
    ------
    CommandError
        The batch system did not answer.
    """
    command = custom_commands.list_command(batch_system, batch_system.list_command(job_ids), own)
    out = await _ask(batch_system, command)
    known = set(job_ids)
    return {s.job: s for s in batch_system.parse_list(out) if s.job in known}


async def query_accounting(
    batch_system: BatchSystem, job_ids: Sequence[str], own: Sequence[str] = ()
) -> dict[str, JobStatus]:
    """Return the status of the jobs that the batch system's accounting knows, by id.

    Parameters
    ----------
    batch_system : BatchSystem
    job_ids : sequence of str
    own : sequence of str
        As for `list_jobs`.

    Raises
    ------
    CommandError
        There is no accounting here, it does not answer, or it knows none of the jobs.
    """
    found: dict[str, JobStatus] = {}
    failure: CommandError | None = None
    begun = time.monotonic()
    for command in batch_system.accounting_commands(job_ids):
        # If each job needs a command, each may read a long file.
        if time.monotonic() - begun > LIST_TIMEOUT_S:
            break
        try:
            command = custom_commands.list_command(batch_system, command, own)
            out = await _ask(batch_system, command)
        except CommandError as error:
            failure = error
            continue
        found |= {s.job: s for s in batch_system.parse_accounting(out) if s.job in job_ids}
    if failure is not None and not found:
        raise failure
    return found


async def query_usage(
    batch_system: BatchSystem, job_ids: Sequence[str], own: Sequence[str] = ()
) -> list[JobUse]:
    """Return what jobs have used; empty if the batch system has no such figures.

    Parameters
    ----------
    batch_system : BatchSystem
    job_ids : sequence of str
    own : sequence of str
        As for `list_jobs`.

    Raises
    ------
    CommandError
        There is no accounting here, or it does not answer.
    """
    command = batch_system.usage_command(job_ids)
    if not command:
        return []
    out = await _ask(batch_system, custom_commands.list_command(batch_system, command, own))
    return [use for use in batch_system.parse_usage(out) if use.job in job_ids]


async def _ask(batch_system: BatchSystem, command: Sequence[str]) -> str:
    """Run a command for jobs; return its output, even if it fails because some have ended."""
    try:
        return await run(command, timeout=LIST_TIMEOUT_S, env=batch_system.reading(os.environ))
    except CommandError as error:
        if not batch_system.means_already_gone(error.lines):
            raise
        return error.out  # some of the jobs are no longer known


async def cancel(
    batch_system: BatchSystem, job_ids: Iterable[str], own: Sequence[str] = ()
) -> None:
    """Cancel these jobs with one call; it is not an error if some have already ended.

    Parameters
    ----------
    batch_system : BatchSystem
    job_ids : iterable of str
    own : sequence of str
        As for `list_jobs`.

    Raises
    ------
    CommandError
        The batch system did not answer, or could not cancel the jobs.
    """
    if job_ids := list(dict.fromkeys(job_ids)):
        for command in custom_commands.cancel_commands(batch_system, job_ids, own):
            await _ask(batch_system, command)


def cancel_words(batch_system: BatchSystem, job_ids: Iterable[str], own: Sequence[str] = ()) -> str:
    """Return the command line that cancels these jobs."""
    job_ids = list(dict.fromkeys(job_ids))
    return "; ".join(map(shlex.join, custom_commands.cancel_commands(batch_system, job_ids, own)))
