"""What the policies of this package may see and touch of a cluster."""

from collections.abc import Sequence
from typing import Protocol

from distributed import Scheduler

from ..batch import BatchSystem, JobStatus
from ..errors import SubmitError
from .tracked_job import JobKind


class JobPool(Protocol):
    """The jobs that a cluster wants, by name, and the batch system that runs them.

    A job's name is its cluster's own, given before the batch system knows the job; its id is the
    batch system's. All methods are to be called on the cluster's event loop.

    Attributes
    ----------
    batch : BatchSystem
    name : str
        The name of the cluster's class.
    target : int
        Number of jobs that the user, or `adapt`, asked for, less those that were abandoned.
    """

    batch: BatchSystem
    name: str
    target: int

    @property
    def scheduler(self) -> Scheduler:
        """Dask's scheduler; None until it starts."""

    @property
    def is_running(self) -> bool:
        """Whether the cluster has started and is not closing."""

    @property
    def is_adapting(self) -> bool:
        """Whether `adapt` decides on the number of jobs."""

    @property
    def names(self) -> list[str]:
        """The names of all jobs that are wanted, oldest first."""

    def is_wanted(self, name: str) -> bool:
        """Return whether this job is among them."""

    def status(self, job_id: str) -> JobStatus | None:
        """Return what the batch system said last of a job."""

    @property
    def last_poll(self) -> float:
        """When it said so (`time.monotonic`)."""

    def poll_soon(self) -> None:
        """Have the batch system asked soon, since something has happened to our jobs."""

    async def poll(self) -> bool:
        """Ask the batch system now; return whether it has answered."""

    def add(self, kind: JobKind | None = None) -> str:
        """Want one more job, and return its name; `submit` submits it."""

    async def submit(self) -> None:
        """Submit the jobs that are wanted and not submitted yet, in one round for all."""

    def pop_submit_error(self) -> SubmitError | None:
        """Return the refusal that nobody has been told yet; the caller is to tell it."""

    def release(self, name: str) -> None:
        """Want a job no longer, while its workers leave; `finish` ends it."""

    async def finish(self, name: str) -> None:
        """End a job that was released."""

    async def remove(self, name: str) -> None:
        """Forget a job that is over."""

    async def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel jobs; return when the batch system was told."""

    def can_exclude(self, nodes: Sequence[str]) -> bool:
        """Return whether jobs can be submitted so that they do not run on these nodes."""


class JobOutput(Protocol):
    """Where the jobs of a cluster print to, and with what they run their workers."""

    @property
    def python(self) -> str:
        """The workers' Python, if the shell on the node knows it by the same name; else empty."""

    @property
    def shebang(self) -> str:
        """The first line of the job script; empty if it has none."""

    @property
    def patterns(self) -> list[str]:
        """The files, as patterns of `output_files`; those of errors last."""

    def files(self, job_id: str) -> list[str]:
        """Return the files that a job prints to; that of errors last."""
