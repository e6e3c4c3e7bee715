"""``dask hpc lock``: record the packages of this environment."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--check", is_flag=True, help="Write nothing; say whether this environment equals the lock."
)
@click.argument("project", required=False, type=click.Path(file_okay=False, path_type=Path))
def lock(check, project):
    """Record the packages of this environment in the lab's lock.

    Writes requirements.lock in PROJECT (default: the project that contains the current directory),
    with the version and hashes of each package; in a conda environment, conda-linux-64.lock, with
    the address of each package (the name says for which computers). Commit it, so that others can
    install the same packages. With --check, the exit code is 1 if the environment differs.
    """
    from .._output.formatting import format_count
    from ..config import files
    from ..environment import lock as locks

    folder = files.find_project(project)
    if check:
        path, number = locks.check(folder)
        packages = format_count(number, "package")
        click.echo(f"This environment equals {path.name}: {packages}.")
        return
    new = locks.write(folder)
    click.echo(f"Wrote {new.path}: {format_count(new.packages, 'package')}. Commit it.")
    if new.note:
        click.secho(f"Note: {new.note}", fg="yellow", err=True)
