"""The command `dask hpc …`."""

import contextlib
import importlib
import sys
import warnings

import click

from .. import __version__, _versions
from ..errors import DaskHPCError

# Both a lab's project and its toolkit bring this command, so that either can be installed alone.
# Where both are, Dask loads it twice and warns of that.
warnings.filterwarnings("ignore", "While registering the command with name 'hpc'", UserWarning)

# Commands live in modules of their own, imported only when they are used: `dask hpc --help` should
# not wait for Matplotlib. Name, which the module and its attribute have, too → help line.
COMMANDS = {
    "bench": "Measure how a loop speeds up with more workers.",
    "cancel": "Cancel jobs of clusters whose Python is gone.",
    "jobs": "List the jobs of your clusters.",
    "logs": "Show the end of a job's log.",
    "run": "Run a program and its workers in one job.",
    "setup": "Activate the lab's configuration in this environment.",
}


class LazyGroup(click.Group):
    """A click group that imports its commands late and shows a user's errors as one line."""

    def list_commands(self, _ctx):
        return sorted(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return super().get_command(ctx, name)
        return getattr(importlib.import_module(f"dask_hpc.cli.{name}"), name)

    def format_commands(self, ctx, formatter):
        # click would import each command for its help line.
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
    """End the command with one line for a user's error; our own errors pass.

    The exit code is 2 for a mistake in the command line, as click's is, 1 for what goes wrong
    afterward, and 130 after Ctrl-C. click itself would add its usage lines to a mistake.
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


@click.group("hpc", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    __version__, message="dask-hpc %(version)s", help="Show the toolkit's version and exit."
)
def main():
    """Run Dask on the lab's batch system."""
