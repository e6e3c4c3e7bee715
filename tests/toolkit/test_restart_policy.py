"""Each rule of `restart_policy.decide`, as a line of a table."""

from dataclasses import replace

import pytest

from dask_hpc.batch import JobState, JobStatus
from dask_hpc.resilience.restart_policy import (
    EXPECTED_ENDS,
    INFRASTRUCTURE_FAILURES,
    Abandon,
    RestartLimits,
    Resubmit,
    backoff,
    decide,
)
from dask_hpc.resilience.tracked_job import JobKind, RestartHistory, TrackedJob

NOW = 10_000.0
LIMITS = RestartLimits(max_resubmits=5, worker_memory="all of its job's 4 GiB")


def job(uptime=None, history=None, **known):
    """Return a job whose first worker came so many seconds ago; None: none has come."""
    first = None if uptime is None else NOW - uptime
    tracked = TrackedJob("SLURMCluster-0", "7", JobKind({}, 1), RestartHistory(**(history or {})))
    return replace(tracked, first_worker_at=first, **known)


def decided(ended, state, any_worker_came=True, limits=LIMITS, excluded=()):
    status = JobStatus("7", state)
    return decide(
        ended, status, limits, now=NOW, any_worker_came=any_worker_came, excluded=excluded
    )


AGAIN = "Resubmitting in {} s ({} of 5)"
ANOTHER = "Resubmitting"
CANCELLED = "Not resubmitting: this cluster did not request the cancellation"
GIVEN_UP = "Giving up after 5 resubmits"
NEVER_CAME = "Not resubmitting, because no worker ever connected"


@pytest.mark.parametrize(
    ("ended", "state", "expected"),
    [
        # Somebody else's decision.
        (job(), "cancelled", Abandon(CANCELLED)),
        (job(5), "cancelled", Abandon(CANCELLED)),
        (job(5, lost_reason="gone"), "cancelled", Resubmit(1.0, AGAIN.format(1, 1))),
        # Failures, one after another.
        (job(5), "failed", Resubmit(1.0, AGAIN.format(1, 1))),
        (job(5, {"failures": 1}), "failed", Resubmit(2.0, AGAIN.format(2, 2))),
        (job(5, {"failures": 4}), "failed", Resubmit(16.0, AGAIN.format(16, 5))),
        (job(5, {"failures": 5}), "failed", Abandon(GIVEN_UP)),
        (job(601, {"failures": 5}), "failed", Resubmit(1.0, AGAIN.format(1, 1))),
        (job(5), "node-fail", Resubmit(1.0, AGAIN.format(1, 1))),
        (job(), "node-fail", Resubmit(1.0, AGAIN.format(1, 1))),
        (job(), "preempted", Resubmit(1.0, AGAIN.format(1, 1))),
        # Its log may say why no worker came; once is enough.
        (job(), "failed", Resubmit(1.0, AGAIN.format(1, 1), examine=True)),
        (job(), "gone", Resubmit(1.0, AGAIN.format(1, 1), examine=True)),
        (job(None, {"failures": 1}), "failed", Resubmit(2.0, AGAIN.format(2, 2))),
        # In order.
        (job(5), "done", Resubmit(1.0, ANOTHER)),
        (job(5), "timeout", Resubmit(1.0, ANOTHER)),
        (job(5, {"end_reported": True}, useful=True), "done", Resubmit(1.0, "")),
        (job(5, {"idle": 1}), "done", Resubmit(2.0, ANOTHER + " in 2 s")),
        (job(5, {"idle": 2}), "done", Resubmit(4.0, ANOTHER + " in 4 s")),
        (job(5, {"idle": 7}), "done", Resubmit(60.0, "")),
        (job(61, {"idle": 7}), "done", Resubmit(1.0, ANOTHER)),
        (job(5, ended_in_order=True), "gone", Resubmit(1.0, ANOTHER)),
        (job(5), "gone", Resubmit(1.0, AGAIN.format(1, 1))),
        # Not in order, although the batch system says so.
        (job(5, worker_died=True), "done", Resubmit(1.0, AGAIN.format(1, 1))),
        (job(5, unresponsive=True), "done", Resubmit(1.0, AGAIN.format(1, 1))),
        (job(61, worker_died=True), "done", Resubmit(1.0, ANOTHER)),
        (job(), "done", Resubmit(1.0, AGAIN.format(1, 1), examine=True)),
    ],
)
def test_decision(ended, state, expected):
    assert decided(ended, JobState(state)) == expected


@pytest.mark.parametrize("state", sorted(set(JobState) - INFRASTRUCTURE_FAILURES))
def test_first_jobs_without_a_worker_are_abandoned(state):
    if not state.ended or state is JobState.CANCELLED:
        return
    assert decided(job(), state, any_worker_came=False) == Abandon(NEVER_CAME, examine=True)


@pytest.mark.parametrize("state", sorted(INFRASTRUCTURE_FAILURES))
def test_a_failing_node_is_not_the_jobs_fault(state):
    assert isinstance(decided(job(), state, any_worker_came=False), Resubmit)


@pytest.mark.parametrize(
    ("history", "limits", "again"),
    [({}, 5, True), ({}, 1, True), ({"out_of_memory": 1}, 5, False), ({}, 0, False)],
)
def test_out_of_memory_is_tried_once_more(history, limits, again):
    limits = replace(LIMITS, max_resubmits=limits)
    decision = decided(job(5, history), JobState.OUT_OF_MEMORY, limits=limits)
    assert isinstance(decision, Resubmit) is again
    assert "Each worker had all of its job's 4 GiB: set more memory" in decision.message


def test_excluded_nodes_are_named():
    decision = decided(job(5), JobState.FAILED, excluded=["n1", "n2"])
    assert decision.message.endswith("(1 of 5), avoiding n1, n2")


def test_no_resubmits_are_allowed():
    decision = decided(job(5), JobState.FAILED, limits=replace(LIMITS, max_resubmits=0))
    assert decision == Abandon("Not resubmitting")


@pytest.mark.parametrize(
    ("ended", "state", "history"),
    [
        (job(5, {"failures": 1}), "failed", {"failures": 2}),
        (job(5, {"failures": 3, "idle": 1}), "done", {"idle": 2, "end_reported": False}),
        (job(5, {"idle": 2}), "done", {"idle": 3}),
        (job(5, {"failures": 3}, useful=True), "done", {"end_reported": True}),
        (job(700, {"failures": 3}), "out-of-memory", {"out_of_memory": 1}),
        (job(5, {"failures": 3}), "out-of-memory", {"failures": 3, "out_of_memory": 1}),
        (job(61, {"failures": 3}, worker_died=True), "timeout", {"failures": 3}),
    ],
)
def test_the_next_job_inherits(ended, state, history):
    assert decided(ended, JobState(state)).history == RestartHistory(**history)


def test_decide_changes_nothing():
    ended = job(5, {"failures": 1})
    before = replace(ended)
    decided(ended, JobState.FAILED)
    assert vars(ended) == vars(before)


def test_delays_are_bounded():
    assert [backoff(failures) for failures in (1, 2, 3, 7, 2000)] == [1.0, 2.0, 4.0, 60.0, 60.0]


def test_states_are_known():
    assert set(JobState) > INFRASTRUCTURE_FAILURES | EXPECTED_ENDS
