"""``dask hpc jobs``: list the jobs of your clusters."""

import click

from ..watchdog import registry
from ._clusters import ask, head_line, is_past, print_table, warn


@click.command()
@click.option(
    "--usage",
    is_flag=True,
    help="Instead, show what these jobs and those of the last day have requested and used, "
    "according to the batch system.",
)
def jobs(usage):
    """List the jobs of your clusters on all login nodes.

    A cluster without a heartbeat for a minute is considered dead and its jobs orphaned. Jobs that
    this toolkit did not submit are not listed.
    """
    if usage:
        from ._usage import show

        show()
        return
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
