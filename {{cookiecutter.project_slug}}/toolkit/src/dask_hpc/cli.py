"""The command `dask hpc …`."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import click

from . import __version__, versions
from .errors import UserError

# Both a lab's project and its toolkit bring this command, so that either can be installed alone.
# Where both are, Dask loads it twice and warns of that.
warnings.filterwarnings("ignore", "While registering the command with name 'hpc'", UserWarning)

# Groups that live in modules of their own, imported only when they are used: `dask hpc --help`
# should not wait for Matplotlib. Name → (module, attribute, help line).
LAZY = {
    "bench": ("dask_hpc.bench.cli", "bench", "Measure how a loop speeds up with more workers."),
    "jobs": ("dask_hpc.jobs_cli", "jobs", "Show your clusters' jobs, or cancel those left behind."),
    "logs": ("dask_hpc.jobs_cli", "logs", "Show the end of a job's log."),
}


class Group(click.Group):
    """A click group that imports its larger parts late and shows a user's errors as one line."""

    def list_commands(self, ctx):
        return sorted([*super().list_commands(ctx), *LAZY])

    def get_command(self, ctx, name):
        if name not in LAZY:
            return super().get_command(ctx, name)
        module, attribute, _ = LAZY[name]
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx, formatter):
        rows = []
        for name in self.list_commands(ctx):
            if name in LAZY:
                rows.append((name, LAZY[name][2]))
            else:
                rows.append((name, self.get_command(ctx, name).get_short_help_str()))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx):
        try:
            versions.check()
            return super().invoke(ctx)
        except UserError as error:
            fail(one_line(error), 1)
        except OSError as error:
            # A file that can't be read or written is the user's; others we want to see whole.
            if error.filename is None:
                raise
            fail(one_line(error), 1)
        except (KeyboardInterrupt, click.Abort):  # click makes the one of the other
            fail(None, 130)


def one_line(error: BaseException) -> str:
    """Return an error's text as a single line; for a file's error, the file comes first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def fail(message: str | None, code: int) -> None:
    """End the command with one line on stderr and this exit code."""
    click.echo(f"Error: {message}" if message else "Interrupted.", err=True)
    sys.exit(code)


def show_version(ctx, _param, wanted):
    """Print the version, and whether the toolkit was edited; then end."""
    if wanted and not ctx.resilient_parsing:
        from . import release

        click.echo(release.describe(__version__))
        ctx.exit()


@click.group("hpc", cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the toolkit's version, and whether it was edited, and exit.",
)
def main():
    """Dask on the lab's batch system."""


@main.command(short_help="Make the lab's configuration count here.")
@click.argument("project", required=False, type=click.Path(file_okay=False, path_type=Path))
def setup(project):
    """Make the lab's configuration count in this environment.

    Links config/*.yaml of PROJECT (default: the one around this folder) into the environment's
    etc/dask, says what a cluster now means, and what looks doubtful. Doing it again does no harm.
    """
    from . import config

    before = config.linked()
    paths = config.link(project)
    for path in paths:
        how = "is linked to" if path.is_symlink() else "is a copy (links are not allowed here) of"
        aim = path.readlink() if path.is_symlink() else "the project's; repeat this after each edit"
        click.echo(f"{path} {how} {aim}")
    if before not in (None, config.linked()):
        click.echo(f"Until now this environment had the configuration of {before}.")
    for line in config.summary():
        click.echo(line)
    for line in config.check():
        click.secho(f"Warning: {line}", fg="yellow", err=True)


@main.command(
    short_help="Run a program and its workers in one job.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "--jobs",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="How many nodes; each with the cores and memory that jobqueue.yaml gives a job.",
)
@click.option("--config-name", help="A profile of jobqueue.yaml.")
@click.option("--dry-run", is_flag=True, help="Print the job script, and submit nothing.")
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(jobs, config_name, dry_run, program, arguments):
    """Run a program and all its workers in one Slurm job.

    PROGRAM is a Python file, and what comes after it is its own.

    For where the login node must stay free: in that job get_cluster() has the job's own nodes, and
    Dask's scheduler is on the first. The program's exit code is the job's.
    """
    from . import one_job

    one_job.check_program(program)
    ours = {name for option in click.get_current_context().command.params for name in option.opts}
    for word in arguments:
        if (name := word.partition("=")[0]) in ours:
            click.echo(
                f"Note: {name} is for {program}, since it comes after that; before it, it would be "
                "for `dask hpc run`.",
                err=True,
            )
    text = one_job.script([program, *arguments], jobs, config_name)
    if dry_run:
        click.echo(text, nl=False)
        return
    if one_job.of_this_computer(folder := Path.cwd()):
        click.secho(
            f"Warning: {folder} is on a disk of this computer's own, as it looks. A job that does "
            "not find its folder ends at once, without output: submit it from your home.",
            fg="yellow",
            err=True,
        )
    job = one_job.submit(text)
    click.echo(f"Submitted batch job {job}")
    click.echo(
        f"`squeue --job {job}` shows it, `dask hpc logs {job}` the end of its output.", err=True
    )
