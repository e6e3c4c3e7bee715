"""``dask hpc setup``: install a lab's configuration."""

from pathlib import Path

import click


@click.command(short_help="Make the lab's configuration count here.")
@click.argument("project", required=False, type=click.Path(file_okay=False, path_type=Path))
def setup(project):
    """Make the lab's configuration count in this environment.

    Links config/*.yaml of PROJECT (default: the one around this folder) into the environment's
    etc/dask, and prints what a cluster now means, where each value comes from, and what looks
    doubtful. Doing it again does no harm.
    """
    from ..config import files, summary

    before = files.installed_project()
    paths = files.install(project)
    for path in paths:
        how = "is linked to" if path.is_symlink() else "is a copy (links are not allowed here) of"
        aim = path.readlink() if path.is_symlink() else "the project's; repeat this after each edit"
        click.echo(f"{path} {how} {aim}")
    if before not in (None, files.installed_project()):
        click.echo(f"Until now this environment had the configuration of {before}.")
    for line in summary.describe():
        click.echo(line)
    for line in summary.lint():
        click.secho(f"Warning: {line}", fg="yellow", err=True)
