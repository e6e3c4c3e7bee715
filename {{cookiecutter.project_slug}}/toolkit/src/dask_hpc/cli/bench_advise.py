"""``dask hpc bench advise``: how many jobs a function needs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .._output import progress
from . import _signals
from ._bench_options import out_option, timeout_option
from .sweep import find_files, load_function


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option(
    "--inputs",
    required=True,
    help="How many (its inputs are then 0, 1, ...), a pattern of files ('data/*.nc', with the "
    "quotes), or a file with an input on each line (.txt) or a list (.json).",
)
@timeout_option()
@out_option("figure")
def advise(function, inputs, timeout, out):
    """Try MODULE:FUNCTION with a few inputs in one job, and say how many jobs to ask for.

    MODULE:FUNCTION is what Python imports, such as my_lab.example:slow_square. The calls take less
    than a minute, unless one call takes longer. Their results are thrown away.
    """
    call = load_function(function)
    chosen = read_inputs(inputs)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: cannot write to {out}: {error.strerror}") from None
    from ..bench import advice, advice_words, trial

    _signals.treat_as_interrupts()
    with progress.start(sys.stdout, 60) as line:
        found = trial.measure(call, chosen, timeout, line)
    advised = advice.advise(found, len(chosen))
    lines = [*advice_words.measured(found), "", *advice_words.advised(advised)]
    if not found.is_local:
        rows = table(advised, advice_words.shown(advised))
        lines += ["", *rows, "", advice_words.assumptions(advised)]
    for text in lines:
        click.echo(text)
    if not found.is_local:
        name = f"{function}, {len(chosen)} inputs"
        click.echo(f"Figure: {advice_words.save(advised, name, out / 'advice')[0]}")


def read_inputs(text: str) -> Sequence[Any]:
    """Return the inputs that an option names.

    Raises
    ------
    click.UsageError
        There is none.
    """
    found: Sequence[Any]
    if text.isdecimal():
        found = range(int(text))
    elif text.endswith((".txt", ".json")) and not set("*?[") & set(text):
        try:
            written = Path(text).read_text(encoding="utf-8")
            found = json.loads(written) if text.endswith(".json") else written.splitlines()
        except OSError as error:
            raise click.UsageError(f"--inputs: cannot read {text}: {error.strerror}") from None
        except ValueError as error:
            raise click.UsageError(f"--inputs: {text} is not JSON: {error}") from None
        if not isinstance(found, list):
            raise click.UsageError(f"--inputs: {text} is not a list")
    else:
        found = find_files([text])
    if not found:
        raise click.UsageError(f"--inputs: {text} has no inputs")
    return found


def table(advised, rows) -> list[str]:
    """Return lines with what numbers of jobs would need."""
    from ..bench.advice_words import duration

    lines = ["jobs      work     with start  core-hours"]
    for row in rows:
        mark = "  <" if row is advised.best else ""
        work, total = duration(row.work_s), duration(row.total_s)
        lines.append(f"{row.jobs:4}  {work:>8}  {total:>13}  {row.core_hours:>10.2g}{mark}")
    return lines
