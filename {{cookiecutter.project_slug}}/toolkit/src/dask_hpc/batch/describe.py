"""Describe the status of jobs for users."""

import dataclasses
import itertools
from collections.abc import Iterable

from .._output.formatting import format_job_ids
from . import BatchSystem, JobState, JobStatus

# Most nodes to name if several jobs ended for the same reason.
MAX_NAMED_NODES = 2


def describe(batch_system: BatchSystem, jobs: Iterable[JobStatus]) -> str:
    """Describe, on one line, what jobs are waiting for or how they ended.

    Jobs with the same description are grouped.
    """
    groups: dict[str, list[str]] = {}
    for status in sorted(jobs, key=lambda status: (len(status.job), status.job)):  # 9 before 10
        groups.setdefault(describe_one(batch_system, status), []).append(status.job)
    return "; ".join(f"{format_job_ids(ids)} {phrase}" for phrase, ids in groups.items())


def describe_one(batch_system: BatchSystem, status: JobStatus) -> str:
    why = batch_system.explain(status.reason)
    if status.state in (JobState.SUBMITTED, JobState.UNKNOWN):
        return "submitted, state not known yet"
    if status.state is JobState.PENDING:
        if why:
            return f"pending: {why}"
        ask = batch_system.reason_command_hint
        hint = f"`{ask} ID` shows why" if ask else f"{batch_system.label} gives no reason"
        return f"pending ({hint})"
    on = f" on {status.node}" if status.node else ""
    if status.state is JobState.ENDING:
        return f"ending{on}"
    if status.state is JobState.RUNNING:
        return f"running{on}, but not all workers have connected"
    if status.state is JobState.GONE:
        return "ended and no longer listed"
    return f"ended{on}, {status.state}" + (f": {why}" if why else "")


def describe_ends(batch_system: BatchSystem, ended: Iterable[JobStatus]) -> str:
    """Describe ended jobs, grouping jobs on many nodes that ended for the same reason."""
    groups: dict[tuple[JobState, str], list[JobStatus]] = {}
    for status in ended:
        groups.setdefault((status.state, status.reason), []).append(status)
    for group in groups.values():
        if len({status.node for status in group}) > MAX_NAMED_NODES:
            group[:] = [dataclasses.replace(status, node="") for status in group]
    return describe(batch_system, itertools.chain.from_iterable(groups.values()))
