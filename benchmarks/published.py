"""`make figures`: make the published tables and figures again, from their records.

    python benchmarks/published.py

Each table is between two comments of its page, and each image is in docs/images. `WITHOUT_RECORD`
lists the tables whose records were not kept, with the commands that measure them again.
"""

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # for tests/
DOCS, DATA = REPOSITORY / "docs", REPOSITORY / "docs" / "data"
IMAGES = DOCS / "images"
DEMO, SITES = DATA / "demo", DATA / "sites"
DIGESTS = IMAGES / "digests.json"


@dataclass(frozen=True)
class Table:
    """A part of a page that is made from records.

    Attributes
    ----------
    page : str
        In `docs`.
    records : str
        A file, or a folder of files, in `docs/data`.
    render : callable
        Returns Markdown from the path of the records.
    is_slow : bool
        Whether that takes a minute, as without records.
    """

    page: str
    records: str
    render: Callable[[Path], str]
    is_slow: bool = False


def lines(path: Path) -> list[dict]:
    """Return the objects of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def beside_jobqueue(path: Path) -> str:
    """Return the table of the headline with both classes."""
    from vs_jobqueue import table

    return table(json.loads(path.read_text()))


def starts(path: Path) -> str:
    """Return the table of `start.py`; an older checkout is called `before`."""
    from start import table

    names = {"old": "before", "here": "now"}
    return table([{**row, "side": names.get(row["side"], row["side"])} for row in lines(path)])


def faults(path: Path) -> str:
    """Return the table of faults: the second run of the commit that is not `before-house`."""
    from faults_soak import HEAD, table

    from tests.tables import markdown

    rows = json.loads(path.read_text())
    return markdown(HEAD, table([r for r in rows if (r["commit"], r["run"]) == ("2d7c6cb", 2)]))


def sweeps(path: Path) -> str:
    """Return the table of the guide to `sweep`."""
    from sweep_tables import overview

    from tests.tables import markdown

    records = {file.stem: json.loads(file.read_text()) for file in path.glob("*.json")}
    return markdown(*overview(records))


def million(path: Path) -> str:
    """Return what a million calls need, in words."""
    rows = json.loads(path.read_text())["rows"]
    mine = [row for row in rows if row["way"] == "sweep"]
    peak, seconds = max(row["peak_mib"] for row in mine), max(row["seconds"] for row in mine)
    return (
        "With a million calls that do next to nothing, the program, which has Dask's scheduler in "
        f"it, needed at most\n{peak:.0f} MiB, and took {seconds:.0f} s."
    )


def peers(path: Path) -> str:
    """Return the tables of other tools, once there is a complete record."""
    from bench_peers import tables

    from dask_hpc.bench import record

    return tables(record.read(path)) if path.exists() else "Not measured yet."


def headline(path: Path) -> str:
    """Return the table of the demo's points, under a line about how it was measured."""
    from dask_hpc.bench import aggregate, record, report, show
    from tests.tables import markdown

    shown = report.select(record.read_folder(path))
    points = aggregate.summarize(row for one in shown for row in one.measured)
    rows = [[column.cell(point) for column in show.COLUMNS] for point in points]
    table = markdown([column.heading for column in show.COLUMNS], rows)
    return f"{about(shown[-1])}\n\n{table}".replace("\u00a0", " ")


def about(one) -> str:
    """Return on what a record was measured, in a line."""
    head, machine = one.header, one.header["machine"]
    versions, start = head["versions"], one.starts[-1]
    slurm = start.get("settings", {}).get("SLURM_VERSION", "")
    commit = f", commit {name}" if (name := one.environment.get("commit")) else ""
    return (
        f"`{head['command'].split(' --out')[0]}` on {machine['usable_cores']} cores, "
        f"{start.get('batch_system', '').capitalize()} {slurm} in the testbed, Dask "
        f"{versions['dask']}, Python {versions['python']}, {head['started'][:10]}, load "
        f"{machine['load_1min']:.1f} before{commit}:"
    )


def from_nothing(path: Path) -> str:
    """Return the phases of the demo's cold start, in words."""
    from dask_hpc.bench import aggregate, record, report

    (start, *_) = aggregate.cold_starts(report.select(record.read_folder(path)))
    phases = "; ".join(f"{words} {s:.1f} s" for words, s in aggregate.phase_rows(start))
    return (
        f"From the command to its last result, a cold start on {start['slots']} slots took "
        f"{start['cold_total_s']:.1f} s: {phases}."
    )


def computing(path: Path) -> str:
    """Return what the demo's pure-Python loop gains, in words."""
    from dask_hpc.bench import aggregate, record

    (one,) = (one for one in record.read_folder(path) if one.workload == "gil")
    points = {point["mode"]: point for point in aggregate.gil_points(one.measured)}
    threads, processes = points["threads"], points["processes"]
    return (
        f"The pure-Python loop (medians of {processes['n']}): "
        f"{threads['speedup'].median:.2f} times the serial loop's speed with {threads['cores']} "
        f"threads, {processes['speedup'].median:.2f} times with {processes['cores']} processes."
    )


def rule(_path: Path) -> str:
    """Return the table of how often `compare` errs: drawn at random, but always the same."""
    from compare_rule import simulated

    return "\n".join(simulated())


def advice(path: Path) -> str:
    """Return the table of what came of the advice of `dask hpc bench advise`."""
    from advise import table

    return table(lines(path))


def sites(path: Path) -> str:
    """Return the table of the sites' records."""
    from site_records import read, table

    return table(read(path))


def submissions(path: Path) -> str:
    """Return the table of record 5: jobs left by a program that is killed while it submits."""
    from tests.tables import markdown

    rows = json.loads(path.read_text())
    head = ["killed after", "with the files: jobs left 15 s later", "without"]
    head.append("until the last one was over")
    table = []
    for moment in dict.fromkeys(row["moment"] for row in rows):
        found = {row["version"]: row for row in rows if row["moment"] == moment}
        kept, without = found["with answer files"], found["without"]
        words = f"{moment} s" + ("" if kept["left"] or without["left"] else " (no job yet)")
        until = f"{without['seconds']} s" if without["left"] else ""
        table.append([words, kept["left"], without["left"], until])
    return markdown(head, table)


def lost_programs(path: Path) -> str:
    """Return the table of record 72: seconds until a job is over that has lost its program."""
    from tests.tables import markdown

    rows = json.loads(path.read_text())
    words = {
        "kill-node": "is killed: connections break, the workers end",
        "pause-node": "is paused: connections stay open, the workers run on",
    }
    table = [
        [text, *(_seconds(rows, fault, side) for side in ("this", "other"))]
        for fault, text in words.items()
    ]
    return markdown(["the node with the program", "with the step", "without"], table)


def _seconds(rows: Iterable[dict], fault: str, side: str) -> str:
    found = [row["seconds"] for row in rows if (row["fault"], row["side"]) == (fault, side)]
    return ", ".join(map(str, found))


def comparison(path: Path) -> str:
    """Return the comparison with dask-jobqueue."""
    from tests.comparison.render import table

    return table(json.loads(path.read_text()))


def attacks(path: Path) -> str:
    """Return the table of attacks by another user."""
    from tests.testbed.intruder.render import table

    return table(json.loads(path.read_text()))


DECISIONS = "explanation/decisions"
TABLES = {
    "beside-jobqueue": Table(
        "explanation/measurements.md", "before-house/headline.json", beside_jobqueue
    ),
    "encryption": Table("explanation/measurements.md", "encryption.json", starts),
    "faults": Table("explanation/measurements.md", "before-house/faults-side-by-side.json", faults),
    "sweeps": Table("how-to/sweep.md", "sweep", sweeps),
    "million": Table("how-to/sweep.md", "sweep/million.json", million),
    "headline": Table("explanation/benchmarks.md", "demo", headline),
    "from-nothing": Table("explanation/benchmarks.md", "demo", from_nothing),
    "computing": Table("explanation/benchmarks.md", "demo", computing),
    "compare-rule": Table("explanation/benchmarks.md", "", rule, is_slow=True),
    "peers": Table("explanation/other-tools.md", "peers/peers.jsonl", peers),
    "advise": Table("explanation/benchmarks.md", "advise.jsonl", advice),
    "sites": Table("explanation/sites.md", "sites", sites),
    "comparison": Table("reference/dask-jobqueue.md", "comparison.json", comparison),
    "attacks": Table("explanation/who-can-do-what.md", "intruder.json", attacks),
    "submissions": Table(
        f"{DECISIONS}/0005-the-watchdog-reads-what-submissions-print.md",
        "machinery/killed-submissions.json",
        submissions,
    ),
    "lost-programs": Table(
        f"{DECISIONS}/0072-a-step-of-its-own-ends-a-job-without-its-program.md",
        "machinery/lost-program.json",
        lost_programs,
    ),
    "worker-server": Table(
        f"{DECISIONS}/0090-the-server-of-workers-is-a-copy-of-the-jobs-process.md",
        "start/worker-server.json",
        starts,
    ),
}

# Tables of measurements whose records were not kept: page, first line, and what measures it again.
# Pages of decisions say themselves where their records are, if they were kept.
WITHOUT_RECORD = {
    ("docs/explanation/benchmarks.md", "| saturation |"): "python benchmarks/profile_choice.py",
    ("docs/explanation/benchmarks.md", "| what differs |"): (
        "python benchmarks/compare_rule.py --runs 20"
    ),
    ("docs/explanation/measurements.md", "| | without TLS |"): (
        'make bench-connections BENCH_ARGS="--testbed --load 8 --count 200"'
    ),
    ("docs/explanation/workers.md", "| setting |"): "dask hpc bench run cold-start --shapes 4x8",
    ("docs/how-to/slow-file-systems.md", "| | 1 ms for each operation |"): (
        "python benchmarks/slow_files.py --environment FOLDER --delay-ms 10"
    ),
    ("docs/reference/testbed.md", "| | rounds clean |"): "hpc-testbed soak --rounds 20",
    ("docs/development/mutants.md", "| module in `dask_hpc` |"): "cosmic-ray, as the page says",
}

NUMBER = re.compile(
    r"(at most )?[\d.,]+( to [\d.,]+)?( (s|ms|MiB|%|tasks/s))?( of \d+)?([ ,;(].*)?"
)


def measured_tables(page: str) -> list[str]:
    """Return the first lines of a page's tables that have two figures in a row."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = table.splitlines()
        cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
        if any(sum(bool(NUMBER.fullmatch(cell)) for cell in row) > 1 for row in cells):
            found.append(head)
    return found


def draw(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Draw published images into a folder; return the files by their names in docs/images."""
    import site_records

    from dask_hpc.bench import record, report

    chosen = {name: DRAWN[name] for name in names}
    if any(records == DEMO for _, records in chosen.values()):
        report.write(folder, record.read_folder(DEMO))
    if any(records == SITES for _, records in chosen.values()):
        site_records.draw(site_records.read(SITES), folder / "sites")
    return {name: folder / f"{source}.png" for name, (source, _) in chosen.items()}


# Images: what draws them, and from which records.
DRAWN = {
    "demo.png": ("speedup", DEMO),
    "gil.png": ("gil", DEMO),
    "gantt.png": ("gantt", DEMO),
    "sites.png": ("sites", SITES),
}
# Those that show no measurement.
NOT_MEASURED = ("jupyter-panel.png", "sequence.svg")


def digest(paths: Iterable[Path]) -> str:
    """Return a digest of files: of their contents, in the order of their names."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def digests() -> dict[str, dict[str, str]]:
    """Return the digests of images, and of the records behind them."""
    return {
        name: {
            "image": digest([IMAGES / name]),
            "records": digest(records.glob("*.jsonl")),
        }
        for name, (_, records) in DRAWN.items()
        if (IMAGES / name).exists()
    }


def made(name: str, page: str) -> str:
    """Return a page with a table made again."""
    from tests.tables import replace_table

    table = TABLES[name]
    return replace_table(page, name, table.render(DATA / table.records))


def main(names: Sequence[str]) -> int:
    """Make all tables and images, or those with these names; return the exit code."""
    unknown = [name for name in names if name not in (*TABLES, *DRAWN)]
    if unknown:
        known = ", ".join((*TABLES, *DRAWN))
        print(f"Error: there is no {unknown[0]}; there are: {known}", file=sys.stderr)
        return 2
    for name, table in TABLES.items():
        if not names or name in names:
            path = DOCS / table.page
            old = path.read_text()
            new = made(name, old)
            path.write_text(new)
            print(f"{name}: {'unchanged' if new == old else 'changed'}, docs/{table.page}")
    images = [name for name in DRAWN if not names or name in names]
    if images:
        with tempfile.TemporaryDirectory() as folder:
            for name, source in draw(Path(folder), images).items():
                (IMAGES / name).write_bytes(source.read_bytes())
                print(f"{name}: drawn")
        DIGESTS.write_text(json.dumps(digests(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
