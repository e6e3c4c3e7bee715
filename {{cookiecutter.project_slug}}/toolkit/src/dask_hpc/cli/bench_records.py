"""``dask hpc bench``: the commands `report`, `compare`, and `export`, which only read records."""

import json
import sys
from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("sources", type=PATH, metavar="RECORDS...", nargs=-1, required=True)
@click.option("--out", type=PATH, help="Folder for the report.  [default: that of the records]")
def report(sources, out):
    """Draw figures and write a report of RECORDS: files, or folders of them."""
    from ..bench.report import load, write

    folders = {source if source.is_dir() else source.parent for source in sources}
    if out is None and len(folders) > 1:
        raise click.UsageError("the records are in several folders: say where to write, by --out")
    for path in write(out or folders.pop(), load(sources)):
        click.echo(path)


@click.command()
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@click.option("--fail", is_flag=True, help="Exit with 1 if B is slower beyond noise, for CI.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(a, b, fail, as_json):
    """Compare two runs: records, or folders of records.

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


@click.command()
@click.argument("source", type=PATH, metavar="RECORD")
@click.option(
    "--out",
    type=PATH,
    default="bench-export.jsonl",
    show_default=True,
    help="The file to write, which must not exist.",
)
def export(source, out):
    """Copy a record without names, for publication.

    RECORD is a file, or a folder whose records become one. The copy has neither users, computers,
    accounts, queues, job scripts, paths, nor messages, but measured times, numbers, and versions.
    Look at it before you send it.
    """
    from ..bench import export, record

    records = record.read_folder(source) if source.is_dir() else record.read_all(source)
    lines, excluded = export.export(records, out)
    click.echo("Kept:")
    for line in export.describe(lines):
        click.echo(f"  {line}")
    click.echo(f"Left out: {', '.join(excluded) or 'nothing'}")
    click.echo(f"Written: {out} ({len(lines)} lines). Look at it before you send it.")
