"""Refused jobs: the error, and the awaitable that raises it."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ..batch import BatchSystem, commands
from ..errors import SubmitError

if TYPE_CHECKING:
    from .mixin import ClusterMixin


class NoJobIdError(ValueError):
    """A submit command ended well, but printed no job id."""


def submit_error(batch_system: BatchSystem, error: Exception) -> SubmitError:
    """Describe a failed submission in one line: the batch system's own words, what to change."""
    if isinstance(error, commands.CommandError) and error.missing:
        return SubmitError(
            f"{error.command} was not found: jobs can be submitted only where "
            f"{batch_system.label}'s commands are, usually the cluster's login node."
        )
    if isinstance(error, commands.CommandError) and isinstance(error.__cause__, OSError):
        return SubmitError(f"{error.command} can't be run: {error.__cause__.strerror}.")
    if isinstance(error, NoJobIdError):
        return SubmitError(
            f"{error}. If {batch_system.label} took the job, nothing here cancels it: "
            f"`{batch_system.jobs_command_hint}` shows it."
        )
    words = (
        error.words if isinstance(error, commands.CommandError) else " ".join(str(error).split())
    )
    line = f"{batch_system.label} did not take the job: {words.rstrip('.')}."
    parts = [line, batch_system.advice(words)]
    prefix = batch_system.variables_before_script
    if found := sorted(name for name in os.environ if prefix and name.startswith(prefix)):
        goes = "goes" if len(found) == 1 else "go"
        parts.append(f"{', '.join(found)} in the environment {goes} before the job script.")
    return SubmitError(" ".join(filter(None, parts)))


class PendingSubmission:
    """What `scale` returns on an event loop: awaiting it raises the refusal, if there was one.

    It is not a coroutine, as Python complains about a coroutine that is never awaited.
    """

    def __init__(self, cluster: ClusterMixin) -> None:
        self._cluster = cluster

    def __await__(self) -> Generator[Any, None, None]:
        return self._cluster._submitted_or_refused().__await__()
