"""The parts of a cluster that the policies of this package may use."""

from collections.abc import Sequence
from typing import Protocol

from distributed import Scheduler

from ..batch import BatchSystem, JobStatus
from ..errors import SubmitError
from .tracked_job import JobKind


class JobPool(Protocol):
    """The jobs that a cluster wants, by name, and the batch system that runs them.

    The cluster gives a job its name before submission; the batch system gives it its id. Call all
    methods on the cluster's event loop.

    Attributes
    ----------
    batch : BatchSystem
    name : str
        The name of the cluster's class.
    target : int
        Number of jobs that the user or `adapt` requested, minus abandoned jobs.
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
        """The names of all wanted jobs, oldest first."""

    def is_wanted(self, name: str) -> bool:
        """Return whether a job is wanted."""

    def status(self, job_id: str) -> JobStatus | None:
        """Return a job's status as of the last poll."""

    @property
    def last_poll(self) -> float:
        """When the batch system last answered (`time.monotonic`, in seconds)."""

    def poll_soon(self) -> None:
        """Request a poll soon, since something has happened to our jobs."""

    async def poll(self) -> bool:
        """Poll the batch system now; return whether it answered."""

    def add(self, kind: JobKind | None = None) -> str:
        """Add a wanted job and return its name; `submit` submits it."""

    async def submit(self) -> None:
        """Submit all jobs that are wanted and not submitted yet, in one round."""

    def pop_submit_error(self) -> SubmitError | None:
        """Return the submit error that has not been reported yet, if any; the caller reports it."""

    def release(self, name: str) -> None:
        """Stop wanting a job, while its workers drain; `finish` ends it."""

    async def finish(self, name: str) -> None:
        """End a job that was released."""

    async def remove(self, name: str) -> None:
        """Forget a job that has ended."""

    async def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel jobs; return once the cancel command has run."""

    def can_exclude(self, nodes: Sequence[str]) -> bool:
        """Return whether jobs can be kept off these nodes at submission."""


class JobOutput(Protocol):
    """Where a cluster's jobs write their output, and which programs run its workers."""

    @property
    def python(self) -> str:
        """The workers' Python, if the node's shell reports it under the same name; else empty."""

    @property
    def shebang(self) -> str:
        """The first line of the job script; empty if it has none."""

    @property
    def patterns(self) -> list[str]:
        """The output files, as patterns of `output_files`; stderr last."""

    def files(self, job_id: str) -> list[str]:
        """Return a job's output files; stderr last."""
