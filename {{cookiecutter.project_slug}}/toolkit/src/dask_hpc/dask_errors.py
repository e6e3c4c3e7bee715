"""Errors that are subclasses of distributed's; see `errors`."""

from typing import Any

from distributed import exceptions
from distributed.scheduler import KilledWorker

from .errors import DaskHPCError


class _OneLineError(DaskHPCError):
    """An error that shows its message instead of distributed's."""

    def __init__(self, message: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, *self.args)


class WorkerStartTimeoutError(_OneLineError, exceptions.WorkerStartTimeoutError):
    """Too few workers connected before the timeout.

    Attributes
    ----------
    available_workers, expected_workers : int
        Numbers of workers (processes) that had connected, and that were requested.
    timeout : float or None
        The timeout, in seconds.
    """

    def __init__(
        self, message: str, available_workers: int, expected_workers: int, timeout: float | None
    ) -> None:
        super().__init__(message, available_workers, expected_workers, timeout)
        # A TimeoutError is an OSError, which would interpret three arguments as those of a file.
        self.errno = self.strerror = self.filename = None

    def __reduce__(self) -> tuple[Any, ...]:
        numbers = self.available_workers, self.expected_workers, self.timeout
        return type(self), (self.message, *numbers)


class JobsEndedError(WorkerStartTimeoutError):
    """All jobs ended before the requested workers connected: waiting longer would not help."""


class TaskExceedsWalltimeError(_OneLineError, KilledWorker):
    """A task was interrupted repeatedly because its job reached the walltime.

    Attributes
    ----------
    task : str
        The task's key.
    last_worker : None
    allowed_failures : int
        How many times the task was interrupted.
    """
