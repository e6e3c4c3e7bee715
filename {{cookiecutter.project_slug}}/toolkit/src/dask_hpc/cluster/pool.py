"""The jobs of a cluster, in the form in which the policies of `resilience` use them.

Only this module knows how SpecCluster stores its jobs: `worker_spec` has the wanted jobs, `workers`
the submitted ones, and `_correct_state` makes the second match the first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from distributed.core import Status

from ..batch import BatchSystem, JobStatus
from ..resilience.tracked_job import JobKind
from . import scaling
from .job_kinds import JobKinds
from .submit_errors import SubmitErrors

if TYPE_CHECKING:
    from distributed import Scheduler

    from ..batch.canceller import BatchedCanceller
    from ..batch.watcher import JobWatcher
    from ..errors import SubmitError
    from ..resilience.tracking import JobTracker
    from .lifecycle import ClusterLifecycle


class ClusterJobPool:
    """Implementation of `resilience.interface.JobPool` for a `SpecCluster` of batch jobs.

    Parameters
    ----------
    cluster : ClusterLifecycle
    watcher : JobWatcher
    canceller : BatchedCanceller
    correct_state : callable
        SpecCluster's method: starts a round of submissions and returns an awaitable.
    any_job : callable
        Returns one of dask-jobqueue's jobs, of the kind to be submitted next.

    Attributes
    ----------
    batch : BatchSystem
    name : str
        The name of the cluster's class.
    target : int
        Number of jobs that the user or `adapt` requested, minus abandoned jobs.
    submit_errors : SubmitErrors
    """

    def __init__(
        self,
        cluster: ClusterLifecycle,
        watcher: JobWatcher,
        canceller: BatchedCanceller,
        correct_state: Callable[[], asyncio.Future[None]],
        any_job: Callable[[], Any],
    ):
        self.batch: BatchSystem = cluster.batch
        self.name = type(cluster).__name__
        self.target = 0
        self.submit_errors = SubmitErrors()
        self._cluster = cluster
        self._watcher = watcher
        self._canceller = canceller
        self._correct_state = correct_state
        self._any_job = any_job
        self._kinds = JobKinds()
        self._submitted: set[str] = set()
        self._leaving: dict[str, Any] = {}  # dask-jobqueue's jobs, by name

    # --- state ------------------------------------------------------------------------------------

    @property
    def scheduler(self) -> Scheduler:
        """Dask's scheduler; None until it starts."""
        return self._cluster.scheduler

    @property
    def is_running(self) -> bool:
        """Whether the cluster has started and is not closing."""
        return self._cluster.status is Status.running

    @property
    def is_adapting(self) -> bool:
        """Whether `adapt` decides on the number of jobs."""
        return self._cluster.adapting

    @property
    def names(self) -> list[str]:
        """The names of all wanted jobs, oldest first."""
        return list(self._cluster.worker_spec)

    def is_wanted(self, name: str) -> bool:
        """Return whether a job is wanted."""
        return name in self._cluster.worker_spec

    def are_submitted(self) -> bool:
        """Return whether all wanted jobs have been submitted."""
        return self._submitted.issuperset(self._cluster.worker_spec)

    def kind(self, name: str | None = None) -> JobKind:
        """Return the kind of the job with this name or, without a name, of the next job."""
        cluster = self._cluster
        if name is not None and (known := self._kinds.of_job(name)) is not None:
            return known
        spec = cluster.new_spec if name is None else cluster.worker_spec.get(name, cluster.new_spec)
        return self._kinds.of_spec(spec)

    def can_exclude(self, nodes: Sequence[str]) -> bool:
        """Return whether jobs can be kept off these nodes at submission."""
        directives = self._any_job().job_extra_directives
        return bool(nodes) and bool(self.batch.exclude_args(nodes, directives))

    # --- the batch system -------------------------------------------------------------------------

    def status(self, job_id: str) -> JobStatus | None:
        """Return a job's status as of the last poll."""
        return self._watcher.status(job_id)

    @property
    def last_poll(self) -> float:
        """When the batch system last answered (`time.monotonic`, in seconds)."""
        return self._watcher.last_poll

    def poll_soon(self) -> None:
        """Request a poll soon, since something has happened to our jobs."""
        self._watcher.poll_soon()

    async def poll(self) -> bool:
        """Poll the batch system now; return whether it answered."""
        before = time.monotonic()
        await self._watcher.poll()
        return self._watcher.last_poll >= before

    async def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel jobs; return once the cancel command has run."""
        await self._canceller.cancel(*job_ids)

    # --- adding jobs ------------------------------------------------------------------------------

    def scale(self, target: int, tracker: JobTracker) -> None:
        """Set the number of wanted jobs, and start submitting missing ones."""
        surplus = len(self.names) - target
        for name in scaling.choose_jobs_to_drop(self.names, surplus, tracker, self.scheduler):
            self._cluster.worker_spec.pop(name, None)
        if self._cluster.status not in (Status.closing, Status.closed):
            while len(self._cluster.worker_spec) < target:
                self.add()
        loop = self._cluster.loop
        assert loop is not None  # it starts with the cluster
        loop.add_callback(self._correct_state)

    def add(self, kind: JobKind | None = None) -> str:
        """Add a wanted job and return its name; `submit` submits it."""
        [(name, spec)] = self._cluster.new_worker_spec().items()
        kind = kind or self._kinds.of_spec(spec)
        self._kinds.add_job(name, kind)
        self._cluster.worker_spec[name] = kind.spec
        return name

    async def submit(self) -> None:
        """Submit all jobs that are wanted and not submitted yet, in one round."""
        # Shielded, since others wait for the same round, and its submissions must be recorded.
        await asyncio.shield(self._correct_state())

    def note_submitted(self, name: str) -> None:
        """Record that the batch system has accepted a job."""
        self._submitted.add(name)

    def note_refused(self, refusal: SubmitError, scheduled: int) -> None:
        """Forget the jobs whose submission failed; the next round submits new ones.

        Parameters
        ----------
        refusal : SubmitError
        scheduled : int
            Number of jobs that are about to be resubmitted.
        """
        workers = self._cluster.workers
        for name in [name for name, job in workers.items() if job.status == Status.failed]:
            del workers[name]
            self._cluster.worker_spec.pop(name, None)
            self._kinds.forget(name)
        self.target = min(self.target, len(self.names) + scheduled)
        self.submit_errors.record(refusal)

    def pop_submit_error(self) -> SubmitError | None:
        """Return the submit error that has not been reported yet, if any; the caller reports it."""
        return self.submit_errors.pop()

    # --- removing jobs ----------------------------------------------------------------------------

    def unwanted(self) -> Iterator[str]:
        """Yield the names of submitted jobs that are no longer wanted."""
        yield from set(self._cluster.workers) - set(self._cluster.worker_spec)

    def release(self, name: str) -> None:
        """Stop wanting a job, while its workers drain; `finish` ends it."""
        self._leaving[name] = self._take(name)

    async def finish(self, name: str) -> None:
        """End a job that was released."""
        await self._close_job(self._leaving.get(name))
        self._leaving.pop(name, None)

    async def finish_all(self) -> None:
        """End all jobs that were released."""
        for name in list(self._leaving):
            await self.finish(name)

    async def remove(self, name: str) -> None:
        """Forget a job that has ended."""
        await self._close_job(self._take(name))

    def _take(self, name: str) -> Any:
        self._cluster.worker_spec.pop(name, None)
        self._kinds.forget(name)
        self._submitted.discard(name)
        return self._cluster.workers.pop(name, None)

    @staticmethod
    async def _close_job(job: Any) -> None:
        if job is not None:
            await job.close()
