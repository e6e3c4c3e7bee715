"""Options that several commands of ``dask hpc bench`` have."""

import math
from pathlib import Path

import click

COUNT = click.IntRange(min=1)


class Seconds(click.FloatRange):
    """A positive, finite number of seconds; click accepts nan in any range."""

    def convert(self, value, param, ctx):
        if math.isnan(found := super().convert(value, param, ctx)):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


class SizeList(click.ParamType):
    """Positive, finite numbers of megabytes, separated by commas."""

    name = "megabytes"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of megabytes such as 0.1,1,10.", param, ctx)
        if not all(0 < size < math.inf for size in sizes):
            self.fail(f"{value!r} has a size that is not positive and finite.", param, ctx)
        return tuple(dict.fromkeys(sizes))


SECONDS = Seconds(0, math.inf, min_open=True, max_open=True)


def timeout_option():
    """Return the option ``--timeout``."""
    return click.option(
        "--timeout",
        type=SECONDS,
        default=120,
        show_default=True,
        help="Seconds to wait for the workers, including time in the queue.",
    )


def out_option(what: str):
    """Return the option ``--out``, the folder for something."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        default="bench-results",
        show_default=True,
        help=f"Folder for the {what}.",
    )


def single(workload: str, repeats, default: int) -> int:
    """Return the number of repeats of a workload that takes a single one.

    Raises
    ------
    click.UsageError
        There are several.
    """
    count, *others = repeats or [default]
    if others:
        raise click.UsageError(f"--repeats: {workload} takes a single number")
    return count
