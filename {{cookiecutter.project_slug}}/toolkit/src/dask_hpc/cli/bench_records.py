"""``dask hpc bench``: the commands `compare` and `export`, which only read records."""

import json
import sys
from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@click.option("--fail", is_flag=True, help="Exit with 1 if B is slower beyond noise, for CI.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(a, b, fail, as_json):
    """Compare the times of B with those of A: two records, or folders of records.

    For each point that both have, show by how much B is slower or faster, and whether that is more
    than noise.
    """
    from ..bench import compare, comparison

    ours, theirs = compare.load(a), compare.load(b)
    found = compare.compare(ours, theirs)
    if as_json:
        click.echo(json.dumps(comparison.as_data(found, ours, theirs), indent=1))
    else:
        comparison.show(found, ours, theirs)
    if fail and any(each.verdict is compare.Verdict.SLOWER for each in found):
        sys.exit(1)
