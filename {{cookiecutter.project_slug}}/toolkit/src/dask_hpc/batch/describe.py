"""Describe jobs in words."""

from __future__ import annotations

from collections.abc import Iterable

from .._output.formatting import format_job_ids
from . import BatchSystem, JobState, JobStatus


def describe(batch_system: BatchSystem, jobs: Iterable[JobStatus]) -> str:
    """Describe in plain words, on one line, what these jobs wait for or how they ended.

    Jobs for which the same is true are named together.
    """
    groups: dict[str, list[str]] = {}
    for status in sorted(jobs, key=lambda status: (len(status.job), status.job)):  # 9 before 10
        groups.setdefault(describe_one(batch_system, status), []).append(status.job)
    return "; ".join(f"{format_job_ids(ids)} {phrase}" for phrase, ids in groups.items())


def describe_one(batch_system: BatchSystem, status: JobStatus) -> str:
    why = batch_system.explain(status.reason)
    if status.state in (JobState.SUBMITTED, JobState.UNKNOWN):
        return "submitted, nothing more is known yet"
    if status.state is JobState.PENDING:
        if why:
            return f"pending: {why}"
        ask = batch_system.reason_command_hint
        hint = f"`{ask}` with its id says why" if ask else f"{batch_system.label} gives no reason"
        return f"pending ({hint})"
    on = f" on {status.node}" if status.node else ""
    if status.state is JobState.ENDING:
        return f"ending{on}"
    if status.state is JobState.RUNNING:
        return f"running{on}, but not all workers have come"
    if status.state is JobState.GONE:
        return "over and no longer listed"
    return f"ended{on}, {status.state}" + (f": {why}" if why else "")
