"""``dask hpc``: the command group."""

import contextlib
import importlib
import sys
import warnings

import click

from .. import __version__, _versions
from ..errors import DaskHPCError

# A lab's project and its toolkit both register this command, so that either can be installed alone.
# Where both are installed, Dask loads the command twice and warns.
warnings.filterwarnings("ignore", "While registering the command with name 'hpc'", UserWarning)

# Each command is in a module of its own, imported only when used: `dask hpc --help` should not wait
# for Matplotlib. Maps each command's name, also that of its module and function, to a help line.
COMMANDS = {
    "bench": "Measure how a loop speeds up with more workers.",
    "cancel": "Cancel jobs of clusters whose process is dead.",
    "jobs": "List the jobs of your clusters.",
    "lock": "Record the packages of this environment, or compare them.",
    "logs": "Show the end of a job's log.",
    "run": "Run a program and its workers in one job.",
    "setup": "Activate the lab's configuration in this environment.",
    "sweep": "Run a function for many files, and save the results.",
}


class LazyGroup(click.Group):
    """A click group that imports commands when used and prints user errors on one line."""

    def list_commands(self, _ctx):
        return sorted(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return super().get_command(ctx, name)
        return getattr(importlib.import_module(f"dask_hpc.cli.{name}"), name)

    def format_commands(self, ctx, formatter):
        # click's own method would import each command to get its help line.
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def parse_args(self, ctx, args):
        with one_line_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx):
        with one_line_errors():
            _versions.check()
            return super().invoke(ctx)


@contextlib.contextmanager
def one_line_errors():
    """Exit with a one-line message on a user error; let bugs propagate with their traceback.

    The exit code is 2 for command-line errors (as in click, but without its usage lines), 1 for
    errors after that, and 130 after Ctrl-C.
    """
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise  # shows the help, and is an error only in name
    except click.UsageError as error:
        fail(error.format_message(), error.exit_code)
    except DaskHPCError as error:
        fail(one_line(error), 1)
    except OSError as error:
        # An inaccessible file is a user error; for any other OSError we want the traceback.
        if error.filename is None:
            raise
        fail(one_line(error), 1)
    except (KeyboardInterrupt, click.Abort):  # click turns one into the other
        fail(None, 130)


def one_line(error: BaseException) -> str:
    """Return an error's text as a single line, beginning with the file that it is about, if any."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def fail(message: str | None, code: int) -> None:
    """Print one line on stderr and exit with this code."""
    click.echo(f"Error: {message}" if message else "Interrupted.", err=True)
    sys.exit(code)


@click.group("hpc", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    __version__, message="dask-hpc %(version)s", help="Show the toolkit's version and exit."
)
def main():
    """Run Dask on your lab's batch system."""
