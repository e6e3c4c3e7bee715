"""What is known of one job of a cluster, of jobs like it, and of those that it replaces."""

from dataclasses import dataclass, field
from typing import Any

from ..batch import JobState


@dataclass(eq=False)
class JobKind:
    """Jobs that were submitted with the same arguments.

    Attributes
    ----------
    spec : dict
        Their entry in the cluster's ``worker_spec``.
    planned : int
        Number of workers of a job, according to the arguments.
    """

    spec: dict[str, Any]
    planned: int
    _most: int = 0  # workers that were seen at the same time in one of these jobs
    _settled: int = 0  # likewise, in one that had its time to start them

    @property
    def workers(self) -> int:
        """Number of workers of a job, as far as it is known.

        The arguments do not tell it where a worker command starts one worker for each GPU, or
        where the user's own options give the number.
        """
        return max(self._settled or self.planned, self._most)

    def record_workers(self, workers: int, settled: bool = False) -> None:
        """Note that one of these jobs has that many workers."""
        self._most = max(self._most, workers)
        if settled:
            self._settled = max(self._settled, workers)


@dataclass(frozen=True)
class RestartHistory:
    """What became of a job and of the jobs that it replaces, one after another."""

    kind: JobKind | None = None  # a job is replaced by one of its kind
    failures: int = 0  # in a row
    out_of_memory: int = 0
    idle: int = 0  # short lives in a row that ended in order, before any task did
    end_reported: bool = False  # that a job ended in order and another one is submitted
    # Its predecessor is there until then (monotonic clock): what a limit of jobs refuses now may be
    # taken later.
    predecessor_until: float = 0.0


@dataclass(eq=False)
class TrackedJob:
    """A job of the cluster, from its submission to its end. All moments are the monotonic clock's.

    Policies keep here what they know of it, so that nothing of it is left when it is over.
    """

    name: str  # as in the cluster's worker_spec
    job_id: str
    kind: JobKind
    history: RestartHistory
    number: int = 0  # in the order of submission
    state: JobState = JobState.SUBMITTED
    node: str = ""  # where it runs
    running_since: float | None = None  # when it was first seen to run
    # Its workers.
    addresses: set[str] = field(default_factory=set)  # of those that are there
    nannies: set[str] = field(default_factory=set)  # addresses of all that its workers have had
    first_worker_at: float | None = None  # when the first one came
    last_worker_at: float = 0.0  # when the last one did
    without_workers_since: float | None = None  # if there were some, and none is there
    useful: bool = False  # a task ended on one of them
    worker_died: bool = False  # one was gone while it had tasks, and none came in its place
    ended_in_order: bool = False  # the last one that left had been retired, or retired itself
    # What was done about it.
    nannies_asked_at: float = 0.0  # when its nannies were last asked whether they start workers
    unresponsive: bool = False  # a worker was removed, since nothing was heard from it
    lost_reason: str = ""  # why it was given up by us, in words
    is_draining: bool = False  # its workers leave, since its walltime is near
    is_examined: bool = False  # it was reported that none of its workers comes

    def uptime(self, now: float) -> float:
        """Return the seconds since its first worker came."""
        return 0.0 if self.first_worker_at is None else now - self.first_worker_at
