"""``dask hpc logs``: show the end of a job's log."""

import os
import re
from pathlib import Path

import click

from ..batch import output_files
from ..errors import DaskHPCError
from ._clusters import size_of
from ._log_files import places

MAX_FOLDERS = 3  # that are named where there is no log
JOB_ID = re.compile(r"\w[\w.\[\]-]*")  # 12, 12_3, 12[3], 12.0, 12.server


@click.command()
@click.argument("job", required=False)
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(1), help="Number of lines."
)
def logs(job, lines):
    """Show the end of JOB's log or, without JOB, of the most recent one.

    Searches the log directories of clusters that you started on this computer, and the one that
    the configuration gives for jobs submitted from the current directory.
    """
    if job is not None and not JOB_ID.fullmatch(job):
        raise click.UsageError(f"{job!r} is not a job id; `dask hpc jobs` lists yours.")
    forms = places()
    found = [file for form in forms for file in output_files.find_files(form, job)]
    found = [file for file in dict.fromkeys(found) if Path(file).is_file()]
    filled = [file for file in found if size_of(file)]
    files = filled or found
    what = f"No log found for job {job}."
    if job is None:
        files = [max(filled, key=os.path.getmtime)] if filled else []
        what = "No nonempty log found."
    if not files:
        folders = list(dict.fromkeys(_looked_in(form, job) for form in forms))
        more = f" and {len(folders) - MAX_FOLDERS} more" if len(folders) > MAX_FOLDERS else ""
        shown = f"Searched {', '.join(folders[:MAX_FOLDERS])}{more}."
        click.echo(shown if folders else "log-directory is not set.", err=True)
        raise DaskHPCError(what)
    for file in files:
        click.echo(click.style(f"==> {file} <==", bold=True))
        # Read only the end: the log may be large.
        text = output_files.tail(file, max(65536, 400 * lines))
        click.echo("\n".join(text.splitlines()[-lines:]) or "(empty)")


def _looked_in(form: str, job: str | None) -> str:
    return os.path.dirname(output_files.show_pattern(form, job or "*"))  # noqa: PTH120 - a str
