"""``dask hpc jobs``: list the jobs of your clusters."""

from __future__ import annotations

import click

from ..errors import DaskHPCError
from ..watchdog import registry
from ._clusters import ask, head_line, is_past, living, print_table
from .cancel import cancel_orphaned


@click.command()
@click.option("--cancel", is_flag=True, help="Cancel jobs of clusters whose Python is gone.")
@click.option("--yes", is_flag=True, help="With --cancel: do not ask.")
def jobs(cancel, yes):
    """Show the jobs of your clusters, on whichever login node they were made.

    A cluster that has given no sign of life for a minute is gone, and its jobs are left behind.
    Jobs that were not made by this toolkit are neither shown nor touched.
    """
    if yes and not cancel:
        raise DaskHPCError("--yes is for --cancel: nothing is asked without it.")
    entries = registry.entries()
    statuses = ask(entries)
    if cancel:
        cancel_orphaned(entries, statuses, yes)
        return
    shown = False
    for entry in entries:
        rows = statuses[entry.path]
        if not entry.alive and not living(rows) and is_past(entry):
            entry.forget()
            continue
        if shown:
            click.echo()
        shown = True
        click.echo(head_line(entry))
        print_table(entry, rows)
    if not shown:
        click.echo("You have no clusters with jobs.")
