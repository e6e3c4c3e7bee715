"""The clusters that the registry knows, and their jobs."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from .. import batch as batch_systems
from .._output.formatting import format_age, format_clock
from ..batch import BatchSystem, JobState, JobStatus, commands, output_files
from ..errors import DaskHPCError
from ..watchdog import registry
from ..watchdog.registry import RegisteredCluster

SHOW_SILENCE_S = 20.0  # two heartbeats


def by_command(
    entries: Iterable[RegisteredCluster],
) -> Iterator[tuple[BatchSystem, tuple[str, ...], list[RegisteredCluster]]]:
    """Group clusters by batch system and cancel command, so that one call serves each group."""
    groups: dict[tuple[str, tuple[str, ...]], list[RegisteredCluster]] = {}
    for entry in entries:
        groups.setdefault((entry.batch, entry.cancel), []).append(entry)
    for (name, own), members in groups.items():
        yield batch_systems.get(name), own, members


def ask(entries: Iterable[RegisteredCluster]) -> dict[Path, list[JobStatus]]:
    """Return the status of the jobs of each cluster, with one call for each batch system."""
    found: dict[Path, list[JobStatus]] = {}
    for batch, own, members in by_command(entries):
        ids = list(dict.fromkeys(job for entry in members for job in entry.jobs))
        try:
            known = asyncio.run(_known(batch, ids, own)) if ids else {}
        except commands.CommandError as error:
            where = " Run this on a login node." if error.missing else ""
            raise DaskHPCError(
                f"Cannot query {batch.label} for your jobs: {error}.{where}"
            ) from None
        for entry in members:
            found[entry.path] = [
                known[job]
                # Where sites share a home directory, another site's job may have the same id.
                if job in known and known[job].name in ("", entry.job_name, *entry.other_names)
                else JobStatus(job, JobState.GONE)
                for job in entry.jobs
            ]
    return found


async def _known(
    batch: BatchSystem, ids: Sequence[str], own: Sequence[str]
) -> dict[str, JobStatus]:
    """Return the status of jobs from the queue or, for those not listed there, from accounting."""
    listed = await commands.list_jobs(batch, ids, own)
    told = {}
    if missing := [job for job in ids if job not in listed]:
        with contextlib.suppress(commands.CommandError):  # not every site has accounting
            told = await commands.query_accounting(batch, missing, own)
    return told | listed


def warn(line: str) -> None:
    click.secho(line, fg="yellow", err=True)


def is_past(entry: RegisteredCluster) -> bool:
    """Return whether jobs that the batch system here does not list must have ended."""
    return entry.host == socket.gethostname() or entry.silent > registry.FOREIGN_STALE_AFTER_S


def head_line(entry: RegisteredCluster) -> str:
    begun = time.strftime("%d %b %H:%M", time.localtime(entry.started))
    name = f" {entry.name}" if entry.name else ""
    text = f"{entry.cluster}{name} on {entry.host}, process {entry.pid}, started {begun}"
    silence = f" (no heartbeat for {format_age(entry.silent)})"
    if not entry.alive:
        return click.style(f"{text}: orphaned{silence}", fg="yellow")
    return f"{text}: alive{silence if entry.silent > SHOW_SILENCE_S else ''}"


def print_table(entry: RegisteredCluster, rows: Sequence[JobStatus]) -> None:
    if not rows:
        click.echo("  no jobs")
        return
    batch = batch_systems.get(entry.batch)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    cells = [("job", "state", "node", "elapsed")]
    cells += [(row.job, str(row.state), row.node or "-", _elapsed(row)) for row in rows]
    if width is not None and sum(_widths(cells)) + 2 * len(cells[0]) > width:
        cells = [(job, state, node.partition(".")[0], run) for job, state, node, run in cells]
    for row, line in zip([None, *rows], aligned(cells), strict=True):
        click.echo(line)
        if row is None:
            continue
        if why := batch.explain(row.reason):
            click.echo(_wrapped(why, width))
        if log := _log(entry, row.job):
            click.echo(f"    {log}")


def aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    widths = _widths(cells)
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield f"  {'  '.join(padded)}".rstrip()


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _wrapped(text: str, width: int | None) -> str:
    if width is None:
        return f"    {text}"
    return textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ")


def _log(entry: RegisteredCluster, job: str) -> str:
    """Return a job's nonempty log file, stderr first since Dask's workers log there."""
    files = [file for form in entry.logs for file in output_files.find_files(form, job)]
    return next((file for file in reversed(files) if size_of(file)), "")


def size_of(path: str | Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - often a str
    except OSError:
        return 0


def _elapsed(row: JobStatus) -> str:
    if row.state is JobState.PENDING or row.elapsed is None:
        return "-"
    limit = f" of {format_clock(row.elapsed + row.left)}" if row.left is not None else ""
    return f"{format_clock(row.elapsed)}{limit}"
