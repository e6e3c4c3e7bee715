"""``dask hpc setup``: install a lab's configuration."""

from pathlib import Path

import click

# For a project whose toolkit is older.
CHANGED = """
New in this version of the toolkit: other users of the network cannot use your clusters.
  Connections are encrypted. (`security: false` in the section dask-hpc turns that off.)
  The dashboard listens on this computer only, and its link has a secret part: copy the whole link.
  Restart JupyterLab and your notebooks. Client("tls://...") then works in all of them."""


@click.command()
@click.option(
    "--user",
    is_flag=True,
    help="Activate it for you alone, in ~/.config/dask, if the environment is not yours.",
)
@click.argument("project", required=False, type=click.Path(file_okay=False, path_type=Path))
def setup(user, project):
    """Activate the lab's configuration in this environment.

    Links config/*.yaml of PROJECT (default: the project that contains the current directory) into
    the environment's etc/dask, and lets its JupyterLab forward to dashboards. Prints the settings
    that clusters now get, where each comes from, and warnings about likely mistakes. It is safe to
    run this repeatedly.
    """
    from ..config import files, summary

    before, is_new = files.installed_project(), not files.is_own_file_installed()
    paths = files.install(project, user=user)
    for path in paths:
        how = "links to" if path.is_symlink() else "is a copy, since links are not allowed here:"
        aim = path.readlink() if path.is_symlink() else "rerun this command after each edit"
        click.echo(f"{path} {how} {aim}")
    if before not in (None, files.installed_project()):
        where = "for you" if user else "in this environment"
        click.echo(f"This replaces the configuration of {before} {where}.")
    if before is not None and is_new:
        click.echo(CHANGED)
    for line in summary.describe():
        click.echo(line)
    for line in summary.lint():
        click.secho(f"Warning: {line}", fg="yellow", err=True)
