"""Turn a rejected submission into an exception, and keep it until it is reported."""

import math
import os
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from ..batch import BatchSystem, commands
from ..errors import NoJobIdError, SubmitCommandError, SubmitError

# wait_for_workers and the next scale raise a submit error; after this long, it is printed, too.
REPORT_AFTER_S = 3.0


def submit_error(
    batch_system: BatchSystem, error: Exception, origins: Callable[[str], str] = lambda _text: ""
) -> SubmitError:
    """Describe a failed submission in one line: the batch system's own words, what to change.

    Parameters
    ----------
    batch_system : BatchSystem
    error : Exception
    origins : callable, optional
        As `JobSettings.origins`.
    """
    if isinstance(error, commands.CommandError) and error.missing:
        return SubmitCommandError(
            f"{error.command} not found: submit jobs from a computer with {batch_system.label}'s "
            "commands, usually the cluster's login node. On a laptop, set "
            "`dask-hpc: {batch-system: none}` in ~/.config/dask/dask-hpc.yaml for get_cluster() to "
            "use the laptop's own cores."
        )
    if isinstance(error, commands.CommandError) and isinstance(error.__cause__, OSError):
        return SubmitCommandError(f"Cannot run {error.command}: {error.__cause__.strerror}.")
    if isinstance(error, NoJobIdError):
        return NoJobIdError(
            f"{error}. If {batch_system.label} accepted the job, cancel it yourself: "
            f"`{batch_system.jobs_command_hint}` shows it."
        )
    words = (
        error.words if isinstance(error, commands.CommandError) else " ".join(str(error).split())
    )
    line = f"{batch_system.label} rejected the job: {words.rstrip('.')}."
    parts = [line, advice := batch_system.advice(words)]
    if places := origins(advice):
        parts.append(f"Currently, {places}.")
    prefix = batch_system.variables_before_script
    if found := sorted(name for name in os.environ if prefix and name.startswith(prefix)):
        goes = "overrides" if len(found) == 1 else "override"
        parts.append(f"{', '.join(found)} in the environment {goes} the job script.")
    return SubmitError(" ".join(filter(None, parts)))


class SubmitErrors:
    """The last submit error of a cluster, and whether it was reported.

    Jobs are submitted in the background, where an error would only be a traceback in a log.
    """

    def __init__(self) -> None:
        self.last: SubmitError | None = None  # since the last `scale`
        self._unreported: SubmitError | None = None  # the same, until it is raised or returned
        self._due = math.inf  # when to print it (time.monotonic)

    def record(self, error: SubmitError) -> None:
        self.last = self._unreported = error
        self._due = time.monotonic() + REPORT_AFTER_S

    def clear(self) -> None:
        """Forget the error, because new jobs are being requested."""
        self.last = self._unreported = None

    def raise_unreported(self) -> None:
        """Raise the error, if there is one that was not reported yet."""
        if error := self._unreported:
            self._unreported = None
            raise error

    def pop(self) -> SubmitError | None:
        """Return the error that has not been reported yet, if any; the caller reports it."""
        error = self._unreported
        self.clear()
        return error

    def overdue(self) -> SubmitError | None:
        """Return, once, an error that nothing has raised: the program may be waiting forever."""
        if self._unreported is None or time.monotonic() <= self._due:
            return None
        self._due = math.inf
        return self._unreported

    def leave_to_adapt(self) -> None:
        """Record that `adapt` reports the error."""
        self._due = math.inf


class PendingSubmission:
    """Returned by `scale` on an event loop; awaiting it raises the submit error, if any.

    It is not a coroutine, since Python warns about coroutines that are never awaited.

    Parameters
    ----------
    wait : callable
        Returns an awaitable that raises the error.
    """

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()
