"""States of a batch job."""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace


class JobState(enum.StrEnum):
    """The state of a job, the same for all batch systems."""

    SUBMITTED = "submitted"  # accepted by the batch system, but not listed yet
    PENDING = "pending"
    RUNNING = "running"
    ENDING = "ending"  # the next state will show how it ended
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"  # walltime reached
    NODE_FAIL = "node-fail"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out-of-memory"
    GONE = "gone"  # no longer listed: it ended in an unknown way
    UNKNOWN = "unknown"  # a state that is not in the batch system's description

    @property
    def ended(self) -> bool:
        """Whether a job in this state has ended."""
        return self not in _ALIVE


# In order of precedence for a job of several parts, such as an array's tasks: it is running while
# one of them is, and has ended when all have.
_ALIVE = (
    JobState.RUNNING,
    JobState.ENDING,
    JobState.PENDING,
    JobState.SUBMITTED,
    JobState.UNKNOWN,
)


@dataclass(frozen=True)
class JobStatus:
    """One job as the batch system lists it.

    Attributes
    ----------
    job : str
        The job's id.
    state : JobState
    reason : str
        The reason for the state, as the batch system gives it; empty if there is none.
    node : str
        Where it runs or ran; empty before it starts.
    elapsed, left : float or None
        Seconds that it had been running, and had left, when it was listed; None if unknown or
        unlimited.
    name : str
        The job's name; empty if unknown. Statuses that differ only in their name or times are
        equal.
    """

    job: str
    state: JobState
    reason: str = ""
    node: str = ""
    elapsed: float | None = field(default=None, compare=False)
    left: float | None = field(default=None, compare=False)
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class JobUse:
    """What one job has requested and used, according to the accounting.

    Attributes
    ----------
    job : str
    state : JobState
    elapsed : float or None
        Seconds that it ran; None if unknown, as in the next ones.
    cores : int or None
        All that it held.
    memory : float or None
        What it requested on each node, in bytes.
    cpu : float or None
        Seconds that all its processes spent on CPUs.
    script_peak, step_peak : float
        The most memory that the accounting saw in use, in bytes: by the script's processes, and
        by those that it started on a node by the batch system's own means; 0 if unknown.
    """

    job: str
    state: JobState
    elapsed: float | None = None
    cores: int | None = None
    memory: float | None = None
    cpu: float | None = None
    script_peak: float = 0.0
    step_peak: float = 0.0

    @property
    def peak(self) -> float | None:
        """The most memory in use on one node, in bytes; None if unknown."""
        return self.script_peak + self.step_peak or None


_PRECEDENCE = (*_ALIVE, JobState.CANCELLED)


def merged(parts: Iterable[JobStatus]) -> list[JobStatus]:
    """Merge the parts of each job, such as an array's tasks, into one status per job.

    Parts of a job have the same id. The times are those of the part that ends first.
    """
    jobs: dict[str, list[JobStatus]] = {}
    for part in parts:
        jobs.setdefault(part.job, []).append(part)
    return [_merged(found) if len(found) > 1 else found[0] for found in jobs.values()]


def _merged(parts: list[JobStatus]) -> JobStatus:
    def rank(part: JobStatus) -> int:
        if part.state in _PRECEDENCE:
            return _PRECEDENCE.index(part.state)
        return len(_PRECEDENCE) + (part.state is JobState.DONE)  # a failure tells more

    first = min(parts, key=rank)
    same = [part for part in parts if part.state is first.state]
    nodes = dict.fromkeys(part.node for part in same if part.node)
    soonest = min(same, key=lambda part: math.inf if part.left is None else part.left)
    return replace(first, node=",".join(nodes), elapsed=soonest.elapsed, left=soonest.left)
