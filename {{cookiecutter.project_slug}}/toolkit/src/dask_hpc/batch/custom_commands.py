"""Adapt the batch system's commands to a job class with its own cancel command.

A job class of dask-jobqueue has a cancel command. Words before the batch system's program, as in
``ssh login scancel``, and arguments after it apply to all commands. A program that is not the batch
system's is called unchanged, as dask-jobqueue would do.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from . import BatchSystem

# Programs that pass a command to another computer's shell, as one line.
_REMOTE = {"ssh", "gsissh", "rsh", "slogin"}


def split_command(command: str | None) -> list[str]:
    """Split a command into its words; a relative path to its program becomes absolute."""
    found = shlex.split(command or "")
    if found and "/" in found[0]:
        found[0] = os.path.abspath(found[0])  # noqa: PTH100 - as a str
    return found


def is_known(batch_system: BatchSystem, own: Sequence[str]) -> bool:
    """Return whether these words run the batch system's own cancel command, or are empty."""
    return not own or _place(batch_system, own) is not None


def cancel_commands(
    batch_system: BatchSystem, job_ids: Sequence[str], own: Sequence[str] = ()
) -> list[list[str]]:
    """Return the commands that cancel jobs: one or, for an unknown program, one for each job.

    Parameters
    ----------
    batch_system : BatchSystem
    job_ids : sequence of str
    own : sequence of str
        The words of the job class's cancel command; empty for the batch system's own.
    """
    if not is_known(batch_system, own):
        return [[*own, job] for job in job_ids]
    return [list_command(batch_system, batch_system.cancel_command(job_ids), own)]


def list_command(
    batch_system: BatchSystem, command: Sequence[str], own: Sequence[str] = ()
) -> list[str]:
    """Return a command of the batch system with the same additional words as the cancel command.

    Parameters
    ----------
    batch_system : BatchSystem
    command : sequence of str
    own : sequence of str
        As for `cancel_commands`.
    """
    place = _place(batch_system, own)
    if place is None:
        return list(command)
    before, program, extra = list(own[:place]), own[place], list(own[place + 1 :])
    name, *arguments = command
    if name != batch_system.cancel:
        extra = batch_system.list_extra(extra)
        program = _beside(program, name, here=not before)
    if before and PurePosixPath(before[0]).name in _REMOTE:
        arguments = [shlex.quote(word) for word in arguments]
    return [*before, program, *extra, *arguments]


def _place(batch_system: BatchSystem, own: Sequence[str]) -> int | None:
    """Return the position of the batch system's cancel command among the words, or None."""
    names = [PurePosixPath(word).name for word in own]
    return names.index(batch_system.cancel) if batch_system.cancel in names else None


def _beside(program: str, name: str, here: bool) -> str:
    """Return the path of another command in the same folder."""
    path = Path(program).with_name(name)
    return name if path.name == str(path) or (here and not path.exists()) else str(path)
