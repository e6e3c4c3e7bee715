"""The batch system's commands in a job class's own words.

A job class of dask-jobqueue's names its cancel command. Words before the batch system's program, as
in ``ssh login scancel``, and arguments after it go for every command; a program that the batch
system's description does not know is called as it is, as dask-jobqueue would.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from . import BatchSystem

# They hand a command to another computer's shell, as one line.
_REMOTE = {"ssh", "gsissh", "rsh", "slogin"}


def split_command(command: str | None) -> list[str]:
    """Split a command into its words; a relative path to its program becomes absolute."""
    found = shlex.split(command or "")
    if found and "/" in found[0]:
        found[0] = os.path.abspath(found[0])  # noqa: PTH100 - a str
    return found


def is_known(batch_system: BatchSystem, own: Sequence[str]) -> bool:
    """Return whether these words run the batch system's own cancel command, or are empty."""
    return not own or _place(batch_system, own) is not None


def cancel_commands(
    batch_system: BatchSystem, job_ids: Sequence[str], own: Sequence[str] = ()
) -> list[list[str]]:
    """Return the commands that cancel jobs: one, or with an unknown program one for each job.

    Parameters
    ----------
    batch_system : BatchSystem
    job_ids : sequence of str
    own : sequence of str
        The cancel command's words; if empty, the batch system's command is used as it is.
    """
    if not is_known(batch_system, own):
        return [[*own, job] for job in job_ids]
    return [list_command(batch_system, batch_system.cancel_command(job_ids), own)]


def list_command(
    batch_system: BatchSystem, command: Sequence[str], own: Sequence[str] = ()
) -> list[str]:
    """Return a command of the batch system with the same words around it as the cancel command.

    Parameters
    ----------
    batch_system : BatchSystem
    command : sequence of str
    own : sequence of str
        The cancel command's words, as for `cancelling`.
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
    """Return the position of the batch system's cancel command among the words, if it is there."""
    names = [PurePosixPath(word).name for word in own]
    return names.index(batch_system.cancel) if batch_system.cancel in names else None


def _beside(program: str, name: str, here: bool) -> str:
    """Return the path of another command in the same folder."""
    path = Path(program).with_name(name)
    return name if path.name == str(path) or (here and not path.exists()) else str(path)
