"""Decide whether to resubmit a job that has ended.

Nothing here acts or waits, so that each rule can be read and tested as a row of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..batch import JobState, JobStatus
from .tracked_job import RestartHistory, TrackedJob

# Ends that say nothing about the job itself.
INFRASTRUCTURE_FAILURES = {JobState.NODE_FAIL, JobState.PREEMPTED}
# Ends that are not the node's fault, or that the batch system itself attributes to the node.
ENDS_NOT_BLAMING_NODE = INFRASTRUCTURE_FAILURES | {
    JobState.TIMEOUT,
    JobState.CANCELLED,
    JobState.OUT_OF_MEMORY,
    JobState.GONE,
}
# Normal ends.
EXPECTED_ENDS = {JobState.TIMEOUT, JobState.DONE}

# After a job has worked for this long, its failure count is reset.
FAILURE_RESET_S = 600.0
# A job that exited cleanly sooner than this may have had nothing to do.
SHORT_LIFE_S = 60.0
# Delay before a resubmission: doubled each time, to spare a site in trouble.
MIN_RESUBMIT_DELAY_S, MAX_RESUBMIT_DELAY_S = 1.0, 60.0


@dataclass(frozen=True)
class RestartLimits:
    """Limits on resubmission, from the cluster and its configuration.

    Attributes
    ----------
    max_resubmits : int
        How many times in a row to resubmit a job.
    worker_memory : str
        The memory of a worker, as shown to the user: "2 GiB".
    """

    max_resubmits: int
    worker_memory: str = ""


@dataclass(frozen=True)
class Resubmit:
    """The decision to resubmit a job.

    Attributes
    ----------
    delay_s : float
        Seconds to wait before that.
    message : str
        The decision, as shown to the user; empty if not worth reporting.
    examine : bool
        Whether to search the job's log for the reason why none of its workers connected.
    history : RestartHistory
        The history that the new job inherits.
    """

    delay_s: float
    message: str
    examine: bool = False
    history: RestartHistory = field(default=RestartHistory(), compare=False)


@dataclass(frozen=True)
class Abandon:
    """The decision not to resubmit a job.

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
    """Decide whether to resubmit a wanted job that has ended.

    Parameters
    ----------
    job : TrackedJob
    status : JobStatus
        The job's last status.
    limits : RestartLimits
    now : float
        The time, in seconds of the monotonic clock.
    any_worker_came : bool
        Whether any worker of any of the cluster's jobs ever connected.
    excluded : sequence of str
        Nodes that the next job will avoid.
    """
    state, history = status.state, job.history
    if state is JobState.CANCELLED and not job.lost_reason:
        return Abandon("Not resubmitting: this cluster did not request the cancellation")
    never_worked = job.first_worker_at is None
    if never_worked and state not in INFRASTRUCTURE_FAILURES and not any_worker_came:
        # Whatever kept the first job's workers from connecting would stop the others', too.
        return Abandon("Not resubmitting, because no worker ever connected", examine=True)
    if _ended_in_order(job, state):
        return _after_orderly_end(job, now)
    uptime = job.uptime(now)
    if uptime > FAILURE_RESET_S:
        history = replace(history, failures=0)
    if state in EXPECTED_ENDS and uptime > SHORT_LIFE_S:
        return Resubmit(MIN_RESUBMIT_DELAY_S, "Resubmitting", history=history)
    if state is JobState.OUT_OF_MEMORY:
        return _after_out_of_memory(history, limits)
    failures = history.failures + 1
    own = state not in ENDS_NOT_BLAMING_NODE or state is JobState.GONE
    examine = never_worked and own and failures == 1
    if failures > limits.max_resubmits:
        most = limits.max_resubmits
        return Abandon(f"Giving up after {most} resubmits" if most else "Not resubmitting", examine)
    delay = backoff(failures)
    message = f"Resubmitting in {delay:g} s ({failures} of {limits.max_resubmits})"
    if excluded:
        message += f", avoiding {', '.join(excluded)}"
    return Resubmit(delay, message, examine, replace(history, failures=failures))


def _ended_in_order(job: TrackedJob, state: JobState) -> bool:
    """Return whether a job's workers connected and then closed gracefully, however soon."""
    if job.first_worker_at is None or job.lost_reason or job.unresponsive or job.worker_died:
        return False
    if state is JobState.GONE:
        # Workers also close gracefully when their job is cancelled.
        return job.ended_in_order
    return state in EXPECTED_ENDS


def _after_orderly_end(job: TrackedJob, now: float) -> Resubmit:
    # A job that ends right after it starts, having done nothing, is not a failure, but resubmitting
    # it without a delay would burden the batch system.
    long = job.useful or job.uptime(now) > SHORT_LIFE_S
    idle = 0 if long else job.history.idle + 1
    history = replace(job.history, failures=0, idle=idle)
    if idle > 1:
        delay = backoff(idle)
        longer = delay > backoff(idle - 1)
        message = f"Resubmitting in {delay:g} s" if longer else ""
        return Resubmit(delay, message, history=history)
    message = "" if history.end_reported else "Resubmitting"
    return Resubmit(MIN_RESUBMIT_DELAY_S, message, history=replace(history, end_reported=True))


def _after_out_of_memory(history: RestartHistory, limits: RestartLimits) -> Resubmit | Abandon:
    history = replace(history, out_of_memory=history.out_of_memory + 1)
    had = limits.worker_memory
    advice = f"Each worker had {had}: set more memory, or fewer processes, per job"
    if history.out_of_memory > 1 or limits.max_resubmits < 1:
        return Abandon(f"Not resubmitting. {advice}")
    message = f"Resubmitting once. {advice}"
    return Resubmit(MIN_RESUBMIT_DELAY_S, message, history=history)


def backoff(failures: int) -> float:
    """Return the delay, in seconds, before a resubmission after this many consecutive failures."""
    return float(min(MIN_RESUBMIT_DELAY_S * 2.0 ** min(failures - 1, 10), MAX_RESUBMIT_DELAY_S))
