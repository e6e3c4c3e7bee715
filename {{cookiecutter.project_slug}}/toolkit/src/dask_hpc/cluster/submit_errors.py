"""Turn a refused submission into an exception, and keep it until somebody is told."""

import os
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from ..batch import BatchSystem, commands
from ..errors import NoJobIdError, SubmitCommandError, SubmitError

# A refusal is an exception at wait_for_workers and the next scale; after so long, also a line.
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
            f"{error.command} was not found: jobs can be submitted only where "
            f"{batch_system.label}'s commands are, usually the cluster's login node. On "
            "a laptop, `dask-hpc: {batch-system: none}` in ~/.config/dask/dask-hpc.yaml makes "
            "get_cluster() use its own cores."
        )
    if isinstance(error, commands.CommandError) and isinstance(error.__cause__, OSError):
        return SubmitCommandError(f"{error.command} can't be run: {error.__cause__.strerror}.")
    if isinstance(error, NoJobIdError):
        return NoJobIdError(
            f"{error}. If {batch_system.label} took the job, nothing here cancels it: "
            f"`{batch_system.jobs_command_hint}` shows it."
        )
    words = (
        error.words if isinstance(error, commands.CommandError) else " ".join(str(error).split())
    )
    line = f"{batch_system.label} did not take the job: {words.rstrip('.')}."
    parts = [line, advice := batch_system.advice(words)]
    if places := origins(advice):
        parts.append(f"Here {places}.")
    prefix = batch_system.variables_before_script
    if found := sorted(name for name in os.environ if prefix and name.startswith(prefix)):
        goes = "goes" if len(found) == 1 else "go"
        parts.append(f"{', '.join(found)} in the environment {goes} before the job script.")
    return SubmitError(" ".join(filter(None, parts)))


class SubmitErrors:
    """The last refusal of a cluster's jobs, and whether the user has been told.

    Jobs are submitted in the background, where an error would only be a traceback in a log.
    """

    def __init__(self) -> None:
        self.last: SubmitError | None = None  # since the last `scale`
        self._reported = False
        self._since: float | None = None  # when it came (time.monotonic), if nobody may ask for it

    def record(self, error: SubmitError) -> None:
        self.last, self._reported = error, False
        self._since = time.monotonic()

    def clear(self) -> None:
        """Forget the refusal, since jobs are asked for anew."""
        self.last, self._reported = None, False

    def raise_unreported(self) -> None:
        """Raise the refusal, unless there was none or the user has been told."""
        if self.last is not None and not self._reported:
            self._reported = True
            raise self.last

    def pop(self) -> SubmitError | None:
        """Return the refusal that nobody has been told yet; the caller is to tell it."""
        error = None if self._reported else self.last
        self.clear()
        return error

    def overdue(self) -> SubmitError | None:
        """Return, once, a refusal that nobody asks about: a program may wait forever."""
        if self.last is None or self._reported:
            self._since = None
        if self._since is None or time.monotonic() - self._since <= REPORT_AFTER_S:
            return None
        self._since = None
        return self.last

    def leave_to_adapt(self) -> None:
        """Note that `adapt` reports the refusal."""
        self._since = None


class PendingSubmission:
    """What `scale` returns on an event loop: awaiting it raises the refusal, if there was one.

    It is not a coroutine, as Python complains about a coroutine that is never awaited.

    Parameters
    ----------
    wait : callable
        Returns an awaitable that raises the refusal.
    """

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()
