"""``dask hpc cancel``: cancel orphaned jobs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..batch import JobStatus, commands
from ..errors import DaskHPCError
from ..watchdog import registry
from ..watchdog.registry import RegisteredCluster
from ._clusters import SHOW_SILENCE_S, Key, ask, batch_system, head_line, print_table


@click.command()
@click.option("--orphaned", is_flag=True, help="Cancel jobs of clusters whose Python is gone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cancel(orphaned, yes):
    """Cancel jobs of your clusters that nobody looks after any more.

    A cluster without a heartbeat for a minute is considered dead and its jobs orphaned. Jobs that
    were not submitted by this toolkit are not touched.
    """
    if not orphaned:
        raise DaskHPCError(
            "Say --orphaned to cancel the jobs of clusters whose Python is gone; a living cluster's "
            "own close() or scale(0) cancels its jobs."
        )
    entries = registry.entries()
    cancel_orphaned(entries, ask(entries), yes)


def cancel_orphaned(
    entries: Sequence[RegisteredCluster], statuses: dict[Path, list[JobStatus]], yes: bool
) -> None:
    alive = {(e.batch, e.cancel, job) for e in entries if e.alive for job in e.jobs}

    def left_behind(entry: RegisteredCluster) -> list[JobStatus]:
        rows = statuses[entry.path]
        return [
            row
            for row in rows
            if not row.state.ended and (entry.batch, entry.cancel, row.job) not in alive
        ]

    left = [entry for entry in entries if not entry.alive and left_behind(entry)]
    for entry in entries:
        if entry.alive and entry.silent > SHOW_SILENCE_S:
            click.echo(
                f"{head_line(entry)}; it counts as left after {registry.STALE_AFTER_S:.0f} s"
            )
    if not left:
        click.echo("Nothing to cancel: no cluster has left jobs behind.")
        return
    for entry in left:
        click.echo(head_line(entry))
        print_table(entry, left_behind(entry))
    number = sum(len(left_behind(entry)) for entry in left)
    these = "this job" if number == 1 else f"these {number} jobs"
    if not yes:
        if not sys.stdin.isatty():
            raise DaskHPCError(
                f"Nothing was cancelled: there is nobody to ask. To cancel {these}, give --yes."
            )
        if not click.confirm(f"Cancel {these}?"):
            click.echo("Nothing was cancelled.")
            return
    # Somebody may have taken an hour to answer.
    still = {entry.path for entry in registry.entries() if not entry.alive}
    groups: dict[Key, list[RegisteredCluster]] = {}
    for entry in left:
        if entry.path in still:
            groups.setdefault((entry.batch, entry.cancel), []).append(entry)
        else:
            click.echo(f"{entry.cluster} on {entry.host} has come back: its jobs are left alone.")
    for (name, own), members in groups.items():
        batch = batch_system(name)
        ids = [row.job for entry in members for row in left_behind(entry)]
        try:
            asyncio.run(commands.cancel(batch, ids, own))
        except commands.CommandError as error:
            command = commands.cancel_words(batch, ids, own)
            raise DaskHPCError(
                f"{batch.label} did not cancel them: {error}. Try again, or: {command}"
            ) from None
        for entry in members:
            entry.forget()
        click.echo(f"Cancelled {len(ids)} {'job' if len(ids) == 1 else 'jobs'}.")
