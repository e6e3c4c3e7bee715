"""``dask hpc logs``: show the end of a job's log."""

import glob
import os
import re
from pathlib import Path

import click

from ..batch import output_files
from ..errors import DaskHPCError
from ..watchdog import registry
from ._clusters import size_of

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
    places = _places()
    found = [file for form in places for file in output_files.find_files(form, job)]
    found = [file for file in dict.fromkeys(found) if Path(file).is_file()]
    filled = [file for file in found if size_of(file)]
    files = filled or found
    what = f"No log found for job {job}."
    if job is None:
        files = [max(filled, key=os.path.getmtime)] if filled else []
        what = "No nonempty log found."
    if not files:
        folders = list(dict.fromkeys(_looked_in(form, job) for form in places))
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


def _places() -> list[str]:
    """Return patterns of the files where logs may be, most likely first."""
    import dask.config

    from ..config import options, paths

    found: list[str] = []
    for entry in reversed(registry.entries()):
        found += entry.logs
    found += registry.past_logs()
    batch = options.batch_system()
    if batch.section:
        settings = dask.config.get(f"jobqueue.{batch.section}", None) or {}
        directory = settings.get(batch.log_key) if batch.log_key else None
        if directory:
            folder = glob.escape(str(Path(paths.expanded(str(directory))).absolute()))
            names = (form.format(name="*", job=output_files.JOB) for form in batch.log_names)
            found += [f"{folder}/{name}" for name in names]
        directives = settings.get("job-extra-directives") or []
        if isinstance(directives, list):
            header = "\n".join(f"{batch.directive} {line}" for line in directives)
            if not directory or output_files.has_own_output(batch, header):
                found += output_files.output_patterns(batch, header, settings.get("name"))
    return list(dict.fromkeys(found))
