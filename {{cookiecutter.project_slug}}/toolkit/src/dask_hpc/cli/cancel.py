"""``dask hpc cancel``: cancel orphaned jobs."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from .._output.formatting import format_count
from ..batch import BatchSystem, JobStatus, commands
from ..errors import DaskHPCError
from ..watchdog import registry
from ..watchdog.registry import RegisteredCluster
from ._clusters import SHOW_SILENCE_S, ask, by_command, head_line, print_table, warn


@click.command()
@click.option("--orphaned", is_flag=True, help="Cancel jobs of clusters whose process is dead.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def cancel(orphaned, yes):
    """Cancel orphaned jobs: those of your clusters whose Python process is dead.

    A cluster without a heartbeat for a minute is considered dead and its jobs orphaned. Jobs that
    this toolkit did not submit are not touched.
    """
    if not orphaned:
        raise click.UsageError(
            "Pass --orphaned to cancel the jobs of clusters whose process is dead. To cancel those "
            "of a running cluster, call its close() or scale(0)."
        )
    entries = registry.entries(warn)
    cancel_orphaned(entries, ask(entries), yes)


def cancel_orphaned(
    entries: Sequence[RegisteredCluster], statuses: dict[Path, list[JobStatus]], yes: bool
) -> None:
    """Show orphaned jobs, ask, and cancel them with one command for each batch system."""
    orphaned = _orphaned(entries, statuses)
    for entry in entries:
        if entry.alive and entry.silent > SHOW_SILENCE_S:
            click.echo(f"{head_line(entry)}; considered dead after {registry.STALE_AFTER_S:.0f} s")
    if not orphaned:
        click.echo("Nothing to cancel: no jobs are orphaned.")
        return
    for entry, rows in orphaned.items():
        click.echo(head_line(entry))
        print_table(entry, rows)
    if not yes and not _confirmed(sum(map(len, orphaned.values()))):
        click.echo("Nothing was cancelled.")
        return
    # The user may have taken an hour to answer.
    still = {entry.path for entry in registry.entries() if not entry.alive}
    for entry in orphaned:
        if entry.path not in still:
            click.echo(f"{entry.cluster} on {entry.host} is alive again: not cancelling its jobs.")
    for batch, own, members in by_command(entry for entry in orphaned if entry.path in still):
        _cancel(batch, own, [row.job for entry in members for row in orphaned[entry]])
        for entry in members:
            entry.forget()


def _orphaned(
    entries: Sequence[RegisteredCluster], statuses: dict[Path, list[JobStatus]]
) -> dict[RegisteredCluster, list[JobStatus]]:
    """Return dead clusters with their unfinished jobs, except jobs that a live cluster also has."""
    alive = {(e.batch, e.cancel, job) for e in entries if e.alive for job in e.jobs}
    found = {}
    for entry in entries:
        rows = [
            row
            for row in statuses[entry.path]
            if not row.state.ended and (entry.batch, entry.cancel, row.job) not in alive
        ]
        if rows and not entry.alive:
            found[entry] = rows
    return found


def _confirmed(number: int) -> bool:
    these = "this job" if number == 1 else f"these {number} jobs"
    if not sys.stdin.isatty():
        raise DaskHPCError(
            f"Not cancelled: no terminal to ask for confirmation. Pass --yes to cancel {these}."
        )
    return click.confirm(f"Cancel {these}?")


def _cancel(batch: BatchSystem, own: tuple[str, ...], ids: list[str]) -> None:
    try:
        asyncio.run(commands.cancel(batch, ids, own))
    except commands.CommandError as error:
        command = commands.cancel_words(batch, ids, own)
        raise DaskHPCError(
            f"{batch.label} did not cancel the jobs: {error}. Try again, or run: {command}"
        ) from None
    click.echo(f"Cancelled {format_count(len(ids), 'job')}.")
