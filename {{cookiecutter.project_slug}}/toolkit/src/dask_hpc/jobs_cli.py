"""The commands `dask hpc jobs` and `dask hpc logs`."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from . import jobs as batch_jobs
from . import outputs, registry, schedulers
from .errors import UserError
from .registry import Entry
from .schedulers import JobState, JobStatus, Scheduler

JOB_ID = re.compile(r"\w[\w.\[\]-]*")  # 12, 12_3, 12[3], 12.0, 12.server
QUIET = 20.0  # seconds of silence, two signs of life, that are worth a word
Key = tuple[str, tuple[str, ...]]  # a batch system and its cancel command: one call for each


@click.command()
@click.option("--cancel", is_flag=True, help="Cancel jobs of clusters whose Python is gone.")
@click.option("--yes", is_flag=True, help="With --cancel: do not ask.")
def jobs(cancel, yes):
    """Show the jobs of your clusters, on whichever login node they were made.

    A cluster that has given no sign of life for a minute is gone, and its jobs are left behind.
    Jobs that were not made by this toolkit are neither shown nor touched.
    """
    if yes and not cancel:
        raise UserError("--yes is for --cancel: nothing is asked without it.")
    entries = registry.entries()
    statuses = _ask(entries)
    if cancel:
        _cancel(entries, statuses, yes)
        return
    shown = False
    for entry in entries:
        rows = statuses[entry.path]
        if not entry.alive and not _living(rows) and _is_past(entry):
            entry.forget()
            continue
        if shown:
            click.echo()
        shown = True
        click.echo(_head(entry))
        _table(entry, rows)
    if not shown:
        click.echo("You have no clusters with jobs.")


def _ask(entries: Iterable[Entry]) -> dict[Path, list[JobStatus]]:
    """Return what the batch system says about the jobs of each entry; one call for all."""
    groups: dict[Key, list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.batch, entry.cancel), []).append(entry)
    found: dict[Path, list[JobStatus]] = {}
    for (name, own), members in groups.items():
        ids = list(dict.fromkeys(job for entry in members for job in entry.jobs))
        batch = _scheduler(name)
        try:
            known = asyncio.run(_known(batch, ids, own)) if ids else {}
        except batch_jobs.CommandError as error:
            where = " It is usually on the login node." if error.missing else ""
            raise UserError(f"{batch.label} can't be asked about jobs: {error}.{where}") from None
        for entry in members:
            found[entry.path] = [
                known[job]
                # Another site's job of the same number, where sites share the home.
                if job in known and known[job].name in ("", entry.job_name, *entry.other_names)
                else JobStatus(job, JobState.GONE)
                for job in entry.jobs
            ]
    return found


async def _known(batch: Scheduler, ids: Sequence[str], own: Sequence[str]) -> dict[str, JobStatus]:
    """Return what the list says about jobs, or the accounting about those not listed."""
    listed = await batch_jobs.ask(batch, ids, own)
    told = {}
    if missing := [job for job in ids if job not in listed]:
        with contextlib.suppress(batch_jobs.CommandError):  # not every site has it
            told = await batch_jobs.account(batch, missing, own)
    return told | listed


def _scheduler(name: str) -> Scheduler:
    try:
        return schedulers.get(name)
    except KeyError as error:
        raise UserError(f"{registry.folder()}: {error.args[0]}.") from None


def _living(rows: Iterable[JobStatus]) -> list[str]:
    return [status.job for status in rows if not status.state.ended]


def _is_past(entry: Entry) -> bool:
    """Return whether its jobs are over if none of them is listed here."""
    return entry.host == registry.socket.gethostname() or entry.silent > registry.OLD


def _head(entry: Entry) -> str:
    begun = time.strftime("%d %b %H:%M", time.localtime(entry.started))
    text = f"{entry.cluster} on {entry.host}, process {entry.pid}, of {begun}"
    if not entry.alive:
        return click.style(f"{text}: left {_words(entry.silent)} ago", fg="yellow")
    late = f", last heard of {_words(entry.silent)} ago" if entry.silent > QUIET else ""
    return f"{text}: alive{late}"


def _table(entry: Entry, rows: Sequence[JobStatus]) -> None:
    if not rows:
        click.echo("  no jobs")
        return
    batch = _scheduler(entry.batch)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    cells = [("job", "state", "node", "elapsed")]
    cells += [(row.job, str(row.state), row.node or "-", _elapsed(row)) for row in rows]
    if width is not None and _line_length(cells) > width:
        cells = [(job, state, node.partition(".")[0], run) for job, state, node, run in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, line in zip([None, *rows], cells, strict=True):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(f"  {'  '.join(padded)}".rstrip())
        if row is None:
            continue
        if why := batch.explain(row.reason):
            click.echo(_wrapped(why, width))
        if log := _log(batch, entry, row.job):
            click.echo(f"    {log}")


def _line_length(cells: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True))


def _wrapped(text: str, width: int | None) -> str:
    if width is None:
        return f"    {text}"
    return textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ")


def _log(batch: Scheduler, entry: Entry, job: str) -> str:
    """Return a job's file that is not empty; Dask's workers write to the one for errors."""
    if entry.logs:
        files = [file for form in entry.logs for file in outputs.files(form, job)]
    else:
        files = batch.log_files(entry.log_directory, entry.job_name, job)
    return next((file for file in reversed(files) if _size(file)), "")


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a str, often
    except OSError:
        return 0


def _elapsed(row: JobStatus) -> str:
    if row.state is JobState.PENDING or row.elapsed is None:
        return "-"
    limit = f" of {_clock(row.elapsed + row.left)}" if row.left is not None else ""
    return f"{_clock(row.elapsed)}{limit}"


def _clock(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return f"{days}-{h:02}:{m:02}:{s:02}" if days else f"{h}:{m:02}:{s:02}"


def _words(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _cancel(entries: Sequence[Entry], statuses: dict[Path, list[JobStatus]], yes: bool) -> None:
    alive = {(e.batch, e.cancel, job) for e in entries if e.alive for job in e.jobs}

    def left_behind(entry: Entry) -> list[JobStatus]:
        rows = statuses[entry.path]
        return [
            row
            for row in rows
            if not row.state.ended and (entry.batch, entry.cancel, row.job) not in alive
        ]

    left = [entry for entry in entries if not entry.alive and left_behind(entry)]
    for entry in entries:
        if entry.alive and entry.silent > QUIET:
            click.echo(f"{_head(entry)}; it counts as left after {registry.LIMIT:.0f} s")
    if not left:
        click.echo("Nothing to cancel: no cluster has left jobs behind.")
        return
    for entry in left:
        click.echo(_head(entry))
        _table(entry, left_behind(entry))
    number = sum(len(left_behind(entry)) for entry in left)
    these = "this job" if number == 1 else f"these {number} jobs"
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(
                f"Nothing was cancelled: there is nobody to ask. To cancel {these}, give --yes."
            )
        if not click.confirm(f"Cancel {these}?"):
            click.echo("Nothing was cancelled.")
            return
    # Somebody may have taken an hour to answer.
    still = {entry.path for entry in registry.entries() if not entry.alive}
    groups: dict[Key, list[Entry]] = {}
    for entry in left:
        if entry.path in still:
            groups.setdefault((entry.batch, entry.cancel), []).append(entry)
        else:
            click.echo(f"{entry.cluster} on {entry.host} has come back: its jobs are left alone.")
    for (name, own), members in groups.items():
        batch = _scheduler(name)
        ids = [row.job for entry in members for row in left_behind(entry)]
        try:
            asyncio.run(batch_jobs.cancel(batch, ids, own))
        except batch_jobs.CommandError as error:
            command = batch_jobs.cancel_words(batch, ids, own)
            raise UserError(
                f"{batch.label} did not cancel them: {error}. Try again, or: {command}"
            ) from None
        for entry in members:
            entry.forget()
        click.echo(f"Cancelled {len(ids)} {'job' if len(ids) == 1 else 'jobs'}.")


@click.command()
@click.argument("job", required=False)
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(1), help="How many lines."
)
def logs(job, lines):
    """Show the end of JOB's log; without JOB, of the one that was written last.

    Looks where your clusters of this computer have put their logs, and where jobs of the
    configuration put theirs, seen from this folder.
    """
    if job is not None and not JOB_ID.fullmatch(job):
        raise UserError(f"{job!r} is no job's id; `dask hpc jobs` lists yours.")
    places = _places()
    if job is None:
        found = [file for form in places for file in outputs.files(form, None) if _size(file)]
        files = [max(found, key=os.path.getmtime)] if found else []
        what = "There is no log with anything in it"
    else:
        found = [file for form in places for file in outputs.files(form, job)]
        found = [file for file in dict.fromkeys(found) if _is_file(file)]
        files = [file for file in found if _size(file)] or found
        what = f"There is no log of job {job}"
    if not files:
        shown = ", ".join(dict.fromkeys(_looked_in(form, job) for form in places))
        where = f": looked in {shown}." if places else ", and no log-directory is known."
        raise UserError(what + where)
    for file in files:
        click.echo(click.style(f"==> {file} <==", bold=True))
        click.echo("\n".join(_end(file, lines)) if _size(file) else "(nothing yet)")


def _is_file(path: str) -> bool:
    return Path(path).is_file()


def _looked_in(form: str, job: str | None) -> str:
    return os.path.dirname(outputs.shown(form, job or "*"))  # noqa: PTH120 - a str


def _places() -> list[str]:
    """Return the forms of the files where logs may be, the likeliest first."""
    import dask.config

    from . import config

    found: list[str] = []
    for entry in reversed(registry.entries()):
        found += entry.logs or _in_folder(entry.batch, entry.log_directory)
    for batch_name, directory, forms in registry.log_directories():
        found += forms or _in_folder(batch_name, directory)
    batch = config.scheduler()
    if batch.section:
        settings = dask.config.get(f"jobqueue.{batch.section}", None) or {}
        directory = settings.get(batch.log_key) if batch.log_key else None
        if directory:
            text = os.path.expanduser(os.path.expandvars(str(directory)))  # noqa: PTH111
            found += _in_folder(batch.name, str(Path(text).absolute()))
        directives = settings.get("job-extra-directives") or []
        if isinstance(directives, list):
            header = "\n".join(f"{batch.directive} {line}" for line in directives)
            if not directory or outputs.has_own(batch, header):
                found += outputs.forms(batch, header, settings.get("name"))
    return list(dict.fromkeys(found))


def _in_folder(batch_name: str, directory: str | None) -> list[str]:
    """Return the forms of the files that jobs of any name have in a folder of logs."""
    if not directory:
        return []
    names = _scheduler(batch_name).log_names
    return [f"{glob.escape(directory)}/{form.format(name='*', job=outputs.JOB)}" for form in names]


def _end(file: str, lines: int) -> list[str]:
    with open(file, "rb") as stream:  # noqa: PTH123 - a str
        # No more than the end of a log that may be large.
        stream.seek(max(0, _size(file) - max(65536, 400 * lines)))
        return stream.read().decode(errors="replace").splitlines()[-lines:]
