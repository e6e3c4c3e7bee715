"""``dask hpc sweep``: run a function for many files."""

import glob
import importlib
import re
import sys
from pathlib import Path

import click

from ..errors import SweepError

OUT = "results"


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("rest", nargs=-1, metavar="[FOLDER]")
@click.option(
    "--inputs",
    multiple=True,
    metavar="PATTERN",
    help="Files, as in 'data/*.nc', with the quotes; ** stands for any folders. Can be repeated.",
)
@click.option("--out", default=OUT, show_default=True, help="Folder for the results.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Number of jobs to start. Default: 1, or all nodes within `dask hpc run`.",
)
@click.option("--retry-failed", is_flag=True, help="Compute inputs again that failed before.")
@click.option(
    "--changed",
    type=click.Choice(["refuse", "rerun", "keep"]),
    default="refuse",
    show_default=True,
    help="If the function's code has changed: end with an error, compute everything again, or keep "
    "earlier results.",
)
@click.option(
    "--files",
    type=click.Choice(["time", "hash"]),
    default="time",
    show_default=True,
    help="Recognize files by size and time of change, or by their content.",
)
@click.option(
    "--results",
    type=click.Choice(["shards", "files"]),
    default="shards",
    show_default=True,
    help="Save results together, or large ones in a file each, written by the workers.",
)
def sweep(function, rest, inputs, out, jobs, retry_failed, changed, files, results):
    """Run a function for many files on workers, and save each result as it comes.

    MODULE:FUNCTION is what Python imports, such as my_lab.clean:clean. The function gets each file
    as a pathlib.Path. When you type the same line again, it computes only what is missing. The exit
    code is 1 if inputs have failed.

    `dask hpc sweep status [FOLDER]` shows how far a sweep is.
    """
    if function == "status":
        _show_status(rest, inputs)
        return
    if rest:
        raise click.UsageError(
            f"Unexpected argument {rest[0]}: put the pattern of --inputs into quotes, so that the "
            "shell does not expand it."
        )
    if not inputs:
        raise click.UsageError("Missing option '--inputs': a pattern such as 'data/*.nc'.")
    from .. import _versions
    from .._sweep import api
    from . import _signals

    _signals.treat_as_interrupts()
    _versions.tell_untested()
    try:
        found = api.sweep(
            load_function(function),
            find_files(inputs),
            out,
            jobs=jobs,
            retry_failed=retry_failed,
            changed=changed,
            files=files,
            results=results,
        )
    except KeyboardInterrupt as error:
        click.echo(str(error) or "Interrupted.", err=True)
        sys.exit(130)
    except SweepError as error:
        raise click.ClickException(as_options(str(error))) from None
    if found.failed:
        sys.exit(1)


def _show_status(rest, inputs) -> None:
    if len(rest) > 1 or inputs:
        raise click.UsageError("status takes only a folder: `dask hpc sweep status results`.")
    from .._sweep import status

    click.echo(status.read_status(rest[0] if rest else OUT))


def load_function(name: str):
    """Return the function that a text such as "my_lab.clean:clean" names.

    Raises
    ------
    click.UsageError
        There is no such module or function.
    """
    module_name, separator, function_name = name.partition(":")
    if not (separator and module_name and function_name):
        raise click.UsageError(f"{name} is not MODULE:FUNCTION, such as my_lab.clean:clean.")
    if module_name.endswith(".py") or "/" in module_name:
        path = Path(module_name.removeprefix("src/")).with_suffix("")
        right = path.as_posix().strip("/").replace("/", ".")
        raise click.UsageError(f"{module_name} is a file: write {right}:{function_name}.")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise click.UsageError(f"Cannot import {module_name} ({said}).") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        where = getattr(module, "__file__", None) or "built into Python"
        raise click.UsageError(
            f"The module {module_name} ({where}) has no function {function_name}."
        )
    return function


def find_files(patterns) -> list[Path]:
    """Return the files that match patterns, sorted.

    Raises
    ------
    click.UsageError
        No file matches one of the patterns.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - of any folder
        if not names:
            raise click.UsageError(f"No file matches {pattern} (in {Path.cwd()}).")
        if names == [pattern] and Path(pattern).is_dir():
            raise click.UsageError(f"{pattern} is a folder: write '{pattern.rstrip('/')}/*'.")
        found.update(dict.fromkeys(names))
    return [Path(name) for name in found]


def as_options(text: str) -> str:
    """Write the arguments in a message as options: ``changed="rerun"`` as ``--changed rerun``."""
    return re.sub(
        r'\b(out|changed|retry_failed|jobs)=(?:True|"?(\w+)"?)?',
        lambda match: f"--{match[1].replace('_', '-')} {match[2] or ''}".strip(),
        text,
    )
