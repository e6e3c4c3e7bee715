"""``dask hpc jobs``: list the jobs of your clusters."""

import click

from ..watchdog import registry
from ._clusters import ask, head_line, is_past, print_table, warn


@click.command()
def jobs():
    """List the jobs of your clusters on all login nodes.

    A cluster without a heartbeat for a minute is considered dead and its jobs orphaned. Jobs that
    this toolkit did not submit are not listed.
    """
    entries = registry.entries(warn)
    statuses = ask(entries)
    shown = False
    for entry in entries:
        rows = statuses[entry.path]
        ended = all(row.state.ended for row in rows)
        if not entry.alive and ended and is_past(entry):
            entry.forget()
            continue
        if shown:
            click.echo()
        shown = True
        click.echo(head_line(entry))
        print_table(entry, rows)
    if not shown:
        click.echo("You have no clusters with jobs.")
