"""The jobs of a cluster, as the policies of `resilience` see them.

This is the one place that knows how SpecCluster keeps its jobs: `worker_spec` has those that are
wanted, `workers` those that were submitted, and `_correct_state` makes the second like the first.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Scheduler
from distributed.core import Status

from ..batch import BatchSystem, JobStatus
from ..batch.canceller import BatchedCanceller
from ..batch.watcher import JobWatcher
from ..errors import SubmitError
from ..resilience.tracked_job import JobKind
from ..resilience.tracking import JobTracker
from . import scaling
from .submit_errors import SubmitErrors

if TYPE_CHECKING:
    from .lifecycle import ClusterLifecycle


@dataclass(eq=False)
class ClusterJobPool:
    """Implements `resilience.interface.JobPool` for a `SpecCluster` whose workers are batch jobs.

    Parameters
    ----------
    cluster : ClusterLifecycle
    watcher : JobWatcher
    canceller : BatchedCanceller
    correct_state : callable
        SpecCluster's own: starts a round of submissions and returns an awaitable.
    any_job : callable
        Returns one of dask-jobqueue's jobs, of the kind that is submitted next.

    Attributes
    ----------
    batch : BatchSystem
    name : str
        The name of the cluster's class.
    target : int
        Number of jobs that the user, or `adapt`, asked for, less those that were abandoned.
    submit_errors : SubmitErrors
    """

    cluster: ClusterLifecycle
    watcher: JobWatcher
    canceller: BatchedCanceller
    correct_state: Callable[[], asyncio.Future[None]]
    any_job: Callable[[], Any]
    target = 0

    def __post_init__(self) -> None:
        self.batch: BatchSystem = self.cluster.batch
        self.name = type(self.cluster).__name__
        self.submit_errors = SubmitErrors()
        self._kinds: list[JobKind] = []  # those that the cluster has had
        self._kind_of: dict[str, JobKind] = {}  # by names in worker_spec
        self._submitted: set[str] = set()
        self._leaving: dict[str, Any] = {}  # dask-jobqueue's jobs, by name

    # --- what is there ----------------------------------------------------------------------------

    @property
    def scheduler(self) -> Scheduler:
        """Dask's scheduler; None until it starts."""
        return self.cluster.scheduler

    @property
    def is_running(self) -> bool:
        """Whether the cluster has started and is not closing."""
        return self.cluster.status is Status.running

    @property
    def is_adapting(self) -> bool:
        """Whether `adapt` decides on the number of jobs."""
        return self.cluster.adapting

    @property
    def names(self) -> list[str]:
        """The names of all jobs that are wanted, oldest first."""
        return list(self.cluster.worker_spec)

    def is_wanted(self, name: str) -> bool:
        """Return whether this job is among them."""
        return name in self.cluster.worker_spec

    def are_submitted(self) -> bool:
        """Return whether all jobs that are wanted have been submitted."""
        return self._submitted.issuperset(self.cluster.worker_spec)

    def kind(self, name: str | None = None) -> JobKind:
        """Return what is known of jobs like the one of this name, or like those submitted next."""
        cluster = self.cluster
        if name is None:
            return self._kind_of_spec(cluster.new_spec)
        known = self._kind_of.get(name)
        return known or self._kind_of_spec(cluster.worker_spec.get(name, cluster.new_spec))

    def _kind_of_spec(self, spec: dict[str, Any]) -> JobKind:
        """Return the kind of jobs that are submitted with this entry in ``worker_spec``."""
        # A copy: users change parts of new_spec between two calls of scale.
        options: dict[str, Any] = {
            key: copy.copy(value) if isinstance(value, (list, dict)) else value
            for key, value in spec.get("options", {}).items()
        }
        spec = {**spec, "options": options}
        for kind in self._kinds:
            if kind.spec == spec:
                return kind
        planned = options.get("processes") or len(spec.get("group", [""]))
        self._kinds.append(kind := JobKind(spec, planned))
        return kind

    def can_exclude(self, nodes: Sequence[str]) -> bool:
        """Return whether jobs can be submitted so that they do not run on these nodes."""
        directives = self.any_job().job_extra_directives
        return bool(nodes) and bool(self.batch.exclude_args(nodes, directives))

    # --- what the batch system says ---------------------------------------------------------------

    def status(self, job_id: str) -> JobStatus | None:
        """Return what the batch system said last of a job."""
        return self.watcher.status(job_id)

    @property
    def last_poll(self) -> float:
        """When it said so (`time.monotonic`)."""
        return self.watcher.last_poll

    def poll_soon(self) -> None:
        """Have the batch system asked soon, since something has happened to our jobs."""
        self.watcher.poll_soon()

    async def poll(self) -> bool:
        """Ask the batch system now; return whether it has answered."""
        before = time.monotonic()
        await self.watcher.poll()
        return self.watcher.last_poll >= before

    async def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel jobs; return when the batch system was told."""
        await self.canceller.cancel(*job_ids)

    # --- what is wanted ---------------------------------------------------------------------------

    def scale(self, target: int, tracker: JobTracker) -> None:
        """Want so many jobs, and begin to submit what is missing."""
        surplus = len(self.names) - target
        for name in scaling.choose_jobs_to_drop(self.names, surplus, tracker, self.scheduler):
            self.cluster.worker_spec.pop(name, None)
        if self.cluster.status not in (Status.closing, Status.closed):
            while len(self.cluster.worker_spec) < target:
                self.add()
        loop = self.cluster.loop
        assert loop is not None  # it starts with the cluster
        loop.add_callback(self.correct_state)

    def add(self, kind: JobKind | None = None) -> str:
        """Want one more job, and return its name; `submit` submits it."""
        [(name, spec)] = self.cluster.new_worker_spec().items()
        kind = self._kind_of[name] = kind or self._kind_of_spec(spec)
        self.cluster.worker_spec[name] = kind.spec
        return name

    async def submit(self) -> None:
        """Submit the jobs that are wanted and not submitted yet, in one round for all."""
        # Shielded: others wait for the same round, and its submissions have to be noted.
        await asyncio.shield(self.correct_state())

    def note_submitted(self, name: str) -> None:
        """Note that the batch system has taken a job."""
        self._submitted.add(name)

    def note_refused(self, refusal: SubmitError, scheduled: int) -> None:
        """Forget the jobs whose submission has failed; the next round tries others.

        Parameters
        ----------
        refusal : SubmitError
        scheduled : int
            Jobs that are about to be submitted again.
        """
        workers = self.cluster.workers
        for name in [name for name, job in workers.items() if job.status == Status.failed]:
            del workers[name]
            self.cluster.worker_spec.pop(name, None)
            self._kind_of.pop(name, None)
        self.target = min(self.target, len(self.names) + scheduled)
        self.submit_errors.record(refusal)

    def pop_submit_error(self) -> SubmitError | None:
        """Return the refusal that nobody has been told yet; the caller is to tell it."""
        return self.submit_errors.pop()

    # --- what is wanted no longer -----------------------------------------------------------------

    def unwanted(self) -> Iterator[str]:
        """Yield the names of jobs that were submitted, and are not wanted any more."""
        yield from set(self.cluster.workers) - set(self.cluster.worker_spec)

    def release(self, name: str) -> None:
        """Want a job no longer, while its workers leave; `finish` ends it."""
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
        """Forget a job that is over."""
        await self._close_job(self._take(name))

    def _take(self, name: str) -> Any:
        self.cluster.worker_spec.pop(name, None)
        self._kind_of.pop(name, None)
        self._submitted.discard(name)
        return self.cluster.workers.pop(name, None)

    @staticmethod
    async def _close_job(job: Any) -> None:
        if job is not None:
            await job.close()
