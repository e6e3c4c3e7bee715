"""What a user's jobs have requested and used, from the batch system's accounting."""

import asyncio
from collections.abc import Sequence

import click

from .. import batch as batch_systems
from .._output.formatting import format_clock
from ..batch import BatchSystem, JobState, JobUse, commands
from ..config import options
from ..errors import DaskHPCError
from ..resources import format_gib, is_worthwhile, memory_for, round_up
from ..watchdog import registry
from ._clusters import aligned, by_command, warn
from ._log_files import recent_jobs

# The accounting looks at memory every 30 s by default, and does not know when tasks ran: suggest
# something only for jobs that have worked for so long, with this part of their cores.
MIN_ELAPSED_S, MIN_BUSY_FRACTION = 600.0, 0.5
ENDED_BY_ITSELF_OR_US = JobState.DONE, JobState.CANCELLED, JobState.TIMEOUT
INSTEAD = "A cluster reports what its workers used when it closes."


def show() -> None:
    """Print what the jobs of clusters, and of the last day's log files, have used.

    Raises
    ------
    DaskHPCError
        The accounting does not answer.
    """
    groups = {
        (batch.name, own): list(dict.fromkeys(job for entry in members for job in entry.jobs))
        for batch, own, members in by_command(registry.entries(warn))
    }
    listed = {job for jobs in groups.values() for job in jobs}
    if (configured := options.batch_system()).section:
        past = [job for job in recent_jobs() if job not in listed]
        groups.setdefault((configured.name, ()), []).extend(past)
    groups = {group: jobs for group, jobs in groups.items() if jobs}
    for (name, own), jobs in groups.items():
        _show(batch_systems.get(name), jobs, own)
    if not groups:
        click.echo("You have no recent jobs.")


def _show(batch: BatchSystem, jobs: Sequence[str], own: Sequence[str]) -> None:
    if not batch.usage_command(jobs):
        click.echo(f"There are no such figures for {batch.label}. {INSTEAD}")
        return
    try:
        found = asyncio.run(commands.query_usage(batch, jobs, own))
    except commands.CommandError as error:
        raise DaskHPCError(
            f"Cannot query {batch.label} for what your jobs used: {error}. {INSTEAD}"
        ) from None
    if not found:
        known = f"{batch.label}'s accounting does not know these jobs"
        click.echo(f"{known}: {', '.join(jobs)}. {INSTEAD}")
        return
    head = ("job", "state", "elapsed", "cores busy", "memory used", "enough next time")
    for line in aligned([head, *map(_row, found)]):
        click.echo(line)
    ended = [use for use in found if use.state.ended]
    if ended and not any(use.peak or use.cpu for use in ended):
        click.echo(f"{batch.label} measures neither memory nor CPU time here. {INSTEAD}")


def _row(use: JobUse) -> tuple[str, ...]:
    ended = use.state.ended  # before, the accounting has no figures
    busy = use.cpu / use.elapsed if ended and use.cpu and use.elapsed else None
    peak = use.peak if ended else None
    return (
        use.job,
        str(use.state),
        "-" if use.elapsed is None else format_clock(use.elapsed),
        f"{'-' if busy is None else f'{busy:.1f}'} of {use.cores or '-'}",
        f"{_gib(peak)} of {_gib(use.memory)}",
        _enough(use, busy),
    )


def _gib(size: float | None) -> str:
    return "-" if size is None else format_gib(size)


def _enough(use: JobUse, busy: float | None) -> str:
    """Return the memory to request next time; empty if that is not certain, or much the same."""
    if not (busy and use.peak and use.memory and use.cores and use.elapsed):
        return ""
    worked = use.elapsed >= MIN_ELAPSED_S and busy >= MIN_BUSY_FRACTION * use.cores
    enough = round_up(memory_for(use.peak))
    certain = worked and use.state in ENDED_BY_ITSELF_OR_US
    return f"{enough} GiB" if certain and is_worthwhile(enough, use.memory) else ""
