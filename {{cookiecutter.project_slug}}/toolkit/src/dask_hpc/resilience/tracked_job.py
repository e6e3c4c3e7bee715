"""Records of a cluster's job, of its kind, and of the jobs that it replaces."""

from dataclasses import dataclass, field
from typing import Any

from ..batch import JobState


@dataclass(eq=False)
class JobKind:
    """A kind of job: all jobs that were submitted with the same arguments.

    Attributes
    ----------
    spec : dict
        Their entry in the cluster's ``worker_spec``.
    planned : int
        Number of workers per job, according to the arguments.
    """

    spec: dict[str, Any]
    planned: int
    _most: int = 0  # most workers seen in one of these jobs at the same time
    _settled: int = 0  # the same, in jobs that had time to start all workers

    @property
    def workers(self) -> int:
        """Number of workers per job, as far as known.

        The arguments do not determine it if the worker command starts one worker for each GPU, or
        if the user's own options set the number.
        """
        return max(self._settled or self.planned, self._most)

    def record_workers(self, workers: int, settled: bool = False) -> None:
        """Record that one of these jobs has this many workers."""
        self._most = max(self._most, workers)
        if settled:
            self._settled = max(self._settled, workers)


@dataclass(frozen=True)
class RestartHistory:
    """How the jobs ended that a job replaces, one after another."""

    kind: JobKind | None = None  # a job is replaced by one of the same kind
    failures: int = 0  # consecutive
    out_of_memory: int = 0
    idle: int = 0  # consecutive short jobs that ended gracefully without finishing a task
    end_reported: bool = False  # that a job ended gracefully and is resubmitted
    # The predecessor may exist until then (monotonic clock), so a job limit that rejects the job
    # now may accept it later.
    predecessor_until: float = 0.0


@dataclass(eq=False)
class TrackedJob:
    """A job of the cluster, from submission to end. All times are in seconds, monotonic clock.

    Policies store their state here, so that all of it is gone when the job has ended.
    """

    name: str  # as in the cluster's worker_spec
    job_id: str
    kind: JobKind
    history: RestartHistory
    number: int = 0  # in order of submission
    state: JobState = JobState.SUBMITTED
    node: str = ""  # where it runs
    running_since: float | None = None  # when it was first seen running
    # Its workers.
    addresses: set[str] = field(default_factory=set)  # of the connected workers
    nannies: set[str] = field(default_factory=set)  # addresses of all nannies so far
    first_worker_at: float | None = None  # when the first worker connected
    last_worker_at: float = 0.0  # when the last worker connected
    without_workers_since: float | None = None  # when the last worker left; None if any is left
    useful: bool = False  # one of its workers finished a task
    worker_died: bool = False  # a worker died with tasks and has not been replaced
    deaths: list[float] = field(default_factory=list)  # when workers died with tasks, lately
    ended_in_order: bool = False  # the last worker that left closed gracefully
    # What was done about it.
    nannies_asked_at: float = 0.0  # when its nannies last answered
    unresponsive: bool = False  # a worker was removed because it stopped responding
    lost_reason: str = ""  # why we gave up on the job, as shown to the user
    is_draining: bool = False  # its workers are draining, because its walltime is near
    is_examined: bool = False  # the lack of workers was reported

    def uptime(self, now: float) -> float:
        """Return the seconds since the first worker connected."""
        return 0.0 if self.first_worker_at is None else now - self.first_worker_at
