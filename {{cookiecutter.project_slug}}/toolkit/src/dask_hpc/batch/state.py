"""States of a batch job."""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace


class JobState(enum.StrEnum):
    """The state of a job, in one vocabulary for all batch systems."""

    SUBMITTED = "submitted"  # the batch system took it; nothing else is known yet
    PENDING = "pending"
    RUNNING = "running"
    ENDING = "ending"  # how it ended shows only in the next state
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"  # its walltime was over
    NODE_FAIL = "node-fail"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out-of-memory"
    GONE = "gone"  # no longer listed: it ended, how is not known
    UNKNOWN = "unknown"  # a state that the description does not name

    @property
    def ended(self) -> bool:
        """Whether a job in this state is over."""
        return self not in _ALIVE


_ALIVE = {
    JobState.SUBMITTED,
    JobState.PENDING,
    JobState.RUNNING,
    JobState.ENDING,
    JobState.UNKNOWN,
}


@dataclass(frozen=True)
class JobStatus:
    """One job as the batch system lists it.

    Attributes
    ----------
    job : str
        Its id.
    state : JobState
    reason : str
        Why it is in that state, in the batch system's own word; empty if there is none.
    node : str
        Where it runs or ran; empty before it starts.
    elapsed, left : float or None
        Seconds that it had run and could still run when it was listed; None if the list does not
        say, or there is no limit.
    name : str
        The job's name; empty if the list does not say. Two statuses that differ only in their name
        or times are equal.
    """

    job: str
    state: JobState
    reason: str = ""
    node: str = ""
    elapsed: float | None = field(default=None, compare=False)
    left: float | None = field(default=None, compare=False)
    name: str = field(default="", compare=False)


# Of several states, the one that counts for a job of several parts, an array's tasks: it runs while
# one of them does, and is over when all are.
_COUNTS = (
    JobState.RUNNING,
    JobState.ENDING,
    JobState.PENDING,
    JobState.SUBMITTED,
    JobState.UNKNOWN,
    JobState.CANCELLED,
)


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
        if part.state in _COUNTS:
            return _COUNTS.index(part.state)
        return len(_COUNTS) + (part.state is JobState.DONE)  # a failure tells more

    first = min(parts, key=rank)
    same = [part for part in parts if part.state is first.state]
    nodes = dict.fromkeys(part.node for part in same if part.node)
    soonest = min(same, key=lambda part: math.inf if part.left is None else part.left)
    return replace(first, node=",".join(nodes), elapsed=soonest.elapsed, left=soonest.left)
