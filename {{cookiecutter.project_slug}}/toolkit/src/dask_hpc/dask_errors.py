"""Errors that are subclasses of distributed's, see `errors`."""

from typing import Any

from distributed import exceptions
from distributed.scheduler import KilledWorker

from .errors import DaskHPCError


class _OneLineError(DaskHPCError):
    """Shows its message, and not what distributed makes of the other arguments."""

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
    """The requested workers did not arrive in time.

    Attributes
    ----------
    available_workers, expected_workers : int
        Numbers of workers (processes) that had arrived at the end, and that were requested.
    timeout : float or None
        Seconds.
    """

    def __init__(
        self, message: str, available_workers: int, expected_workers: int, timeout: float | None
    ) -> None:
        super().__init__(message, available_workers, expected_workers, timeout)
        # As a TimeoutError it is an OSError, which takes three arguments for a file's.
        self.errno = self.strerror = self.filename = None

    def __reduce__(self) -> tuple[Any, ...]:
        numbers = self.available_workers, self.expected_workers, self.timeout
        return type(self), (self.message, *numbers)


class JobsEndedError(WorkerStartTimeoutError):
    """All jobs ended before the requested workers arrived: waiting longer does not help."""


class TaskExceedsWalltimeError(_OneLineError, KilledWorker):
    """A task was stopped again and again by the end of the job that it ran in.

    Attributes
    ----------
    task : str
        Its key.
    last_worker : None
    allowed_failures : int
        How often it was stopped.
    """
