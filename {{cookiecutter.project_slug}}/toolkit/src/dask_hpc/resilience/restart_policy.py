"""Decide what follows from the end of a job: another one is submitted, or none.

Nothing here acts or waits, so that each rule can be read, and tested, as a line of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..batch import JobState, JobStatus
from .tracked_job import RestartHistory, TrackedJob

# Ends that say nothing about the job itself.
INFRASTRUCTURE_FAILURES = {JobState.NODE_FAIL, JobState.PREEMPTED}
# Ends for which the node is not to blame, or of which the batch system knows itself.
ENDS_NOT_BLAMING_NODE = INFRASTRUCTURE_FAILURES | {
    JobState.TIMEOUT,
    JobState.CANCELLED,
    JobState.OUT_OF_MEMORY,
    JobState.GONE,
}
# Ends that come in the life of every job.
EXPECTED_ENDS = {JobState.TIMEOUT, JobState.DONE}

# A job that worked for so long starts the row anew (seconds).
FAILURE_RESET_S = 600.0
# One that ended in order before it worked for so long may have had nothing to do.
SHORT_LIFE_S = 60.0
# Before a job is submitted again: doubled each time, so that a site in trouble is left alone.
MIN_RESUBMIT_DELAY_S, MAX_RESUBMIT_DELAY_S = 1.0, 60.0


@dataclass(frozen=True)
class RestartLimits:
    """What the cluster and its configuration say about jobs that end.

    Attributes
    ----------
    max_resubmits : int
        How many times in a row a job is submitted again.
    worker_memory : str
        The memory of a worker, in words.
    """

    max_resubmits: int
    worker_memory: str = ""


@dataclass(frozen=True)
class Resubmit:
    """Submit another job.

    Attributes
    ----------
    delay_s : float
        After so many seconds.
    message : str
        That in words; empty if the user need not hear of it.
    examine : bool
        Whether to look in the job's log for the reason why none of its workers came.
    history : RestartHistory
        The new job's.
    """

    delay_s: float
    message: str
    examine: bool = False
    history: RestartHistory = field(default=RestartHistory(), compare=False)


@dataclass(frozen=True)
class Abandon:
    """Submit no other job.

    Attributes
    ----------
    message, examine
        As for `Resubmit`.
    """

    message: str
    examine: bool = False


def decide(
    job: TrackedJob,
    status: JobStatus,
    limits: RestartLimits,
    *,
    now: float,
    any_worker_came: bool,
    excluded: Sequence[str] = (),
) -> Resubmit | Abandon:
    """Decide what follows from the end of a job that was wanted.

    Parameters
    ----------
    job : TrackedJob
    status : JobStatus
        The last one.
    limits : RestartLimits
    now : float
        By the monotonic clock.
    any_worker_came : bool
        Whether any worker of any of the cluster's jobs ever came.
    excluded : sequence of str
        Nodes on which the next job will not run.
    """
    state, history = status.state, job.history
    if state is JobState.CANCELLED and not job.lost_reason:
        return Abandon("Cancelled by somebody else, so it is not submitted again")
    never_worked = job.first_worker_at is None
    if never_worked and state not in INFRASTRUCTURE_FAILURES and not any_worker_came:
        # What kept the first job from working keeps the others from it, too.
        return Abandon("None of its workers came, so it is not submitted again", examine=True)
    if _ended_in_order(job, state):
        return _after_orderly_end(job, now)
    uptime = job.uptime(now)
    if uptime > FAILURE_RESET_S:
        history = replace(history, failures=0)
    if state in EXPECTED_ENDS and uptime > SHORT_LIFE_S:
        return Resubmit(MIN_RESUBMIT_DELAY_S, "Another one is submitted", history=history)
    if state is JobState.OUT_OF_MEMORY:
        return _after_out_of_memory(history, limits)
    failures = history.failures + 1
    own = state not in ENDS_NOT_BLAMING_NODE or state is JobState.GONE
    examine = never_worked and own and failures == 1
    if failures > limits.max_resubmits:
        times = f" after {limits.max_resubmits} times in a row" if limits.max_resubmits else ""
        return Abandon(f"It is not submitted again{times}", examine)
    delay = backoff(failures)
    message = f"It is submitted again in {delay:g} s ({failures} of {limits.max_resubmits})"
    if excluded:
        message += f", not on {', '.join(excluded)}"
    return Resubmit(delay, message, examine, replace(history, failures=failures))


def _ended_in_order(job: TrackedJob, state: JobState) -> bool:
    """Return whether a job's workers came and then left as they were told, however soon."""
    if job.first_worker_at is None or job.lost_reason or job.unresponsive or job.worker_died:
        return False
    if state is JobState.GONE:
        # Workers also close by themselves when their job is cancelled.
        return job.ended_in_order
    return state in EXPECTED_ENDS


def _after_orderly_end(job: TrackedJob, now: float) -> Resubmit:
    # One that ends as soon as it has come, before it has done anything, is no failure, but the
    # batch system is not to be kept busy with it.
    long = job.useful or job.uptime(now) > SHORT_LIFE_S
    idle = 0 if long else job.history.idle + 1
    history = replace(job.history, failures=0, idle=idle)
    if idle > 1:
        delay = backoff(idle)
        longer = delay > backoff(idle - 1)
        message = f"Another one is submitted in {delay:g} s" if longer else ""
        return Resubmit(delay, message, history=history)
    message = "" if history.end_reported else "Another one is submitted"
    return Resubmit(MIN_RESUBMIT_DELAY_S, message, history=replace(history, end_reported=True))


def _after_out_of_memory(history: RestartHistory, limits: RestartLimits) -> Resubmit | Abandon:
    history = replace(history, out_of_memory=history.out_of_memory + 1)
    had = limits.worker_memory
    advice = f"Each worker had {had}: give more memory, or fewer processes a job"
    if history.out_of_memory > 1 or limits.max_resubmits < 1:
        return Abandon(f"It is not submitted again. {advice}")
    message = f"It is submitted again once. {advice}"
    return Resubmit(MIN_RESUBMIT_DELAY_S, message, history=history)


def backoff(failures: int) -> float:
    """Return the seconds before a job is submitted again after so many failures in a row."""
    return float(min(MIN_RESUBMIT_DELAY_S * 2.0 ** min(failures - 1, 10), MAX_RESUBMIT_DELAY_S))
