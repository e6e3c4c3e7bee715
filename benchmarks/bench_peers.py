"""`make bench-peers`: the same tasks with other tools, on the Slurm testbed, in turns.

    python benchmarks/bench_peers.py [TOOL ...] [--rounds 5] [--shapes headline,short,small]
        [--fresh] [--publish] [--home HOME] [--json FILE]

Each round runs each tool's program (peers/programs) once with each shape, on the login node as
alice. The record is written as things are measured, to build/peers. A run that was stopped goes on
where it was; --fresh begins again with the tools that are named, or all. A tool that cannot be
installed, or that fails, is a row with its reason, and the others run all the same. `--publish`
copies the record to docs/data/peers and writes the table into the documentation.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

from demo import end_like_ctrl_c, say, shown
from on_testbed import REPOSITORY, Project, options, project
from peers import rounds
from peers.rounds import Run
from peers.tools import SHAPES, TOOLS

from dask_hpc._output.formatting import format_exact_duration
from dask_hpc.bench import provenance, record, report
from hpc_testbed import TestbedError

PEERS = Path(__file__).with_name("peers")
RECORD = REPOSITORY / "build" / "peers" / "peers.jsonl"
DATA = REPOSITORY / "docs" / "data" / "peers"
PAGE = REPOSITORY / "docs" / "explanation" / "other-tools.md"
ROUNDS = 5
LIMIT_S = 180  # of a program
DRAIN_S = 60  # until the jobs of the last one have ended


class Kept:
    """The record, to which rows are added.

    Parameters
    ----------
    path : Path
    is_fresh : callable
        Tells which rows of an earlier run are dropped.
    """

    def __init__(self, path: Path, is_fresh=lambda _: False):
        self.path = path
        self.header: dict = {}
        self.rows: list[dict] = []
        if path.exists():
            found = record.read(path)  # without a last line that was not written to its end
            self.header = found.header
            self.rows = [row for row in found.rows if not is_fresh(row)]

    def begin(self, header: dict) -> None:
        """Write what is kept, or a new header."""
        self.header = self.header if self.rows else header
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{json.dumps(line)}\n" for line in (self.header, *self.rows)))
        new.replace(self.path)

    def add(self, rows: list[dict]) -> None:
        """Add the rows of one run, all at once."""
        self.rows += rows
        self._append(*rows)

    def end(self) -> None:
        """Say that nothing is missing."""
        self._append({"kind": "end"})

    def _append(self, *lines: dict) -> None:
        with self.path.open("a") as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in lines))


def header(lab: Project) -> dict:
    """Return the first line of a record. It names no computer and no user."""
    asked = "sbatch --version; python3 --version; python3 -c 'import dask; print(dask.__version__)'"
    slurm, python, dask = (line.split()[-1] for line in lab.testbed.run(asked).stdout.splitlines())
    machine = provenance.machine() | {"host": "the testbed"}
    machine.pop("user")
    return {
        "kind": "header",
        "schema": record.SCHEMA,
        "version": record.VERSION,
        "workload": "peers",
        "command": "make bench-peers",
        "started": provenance.now(),
        "versions": {"Slurm": slurm, "python": python, "dask": dask},
        "machine": machine,
    }


def environment(run: Run, out: str) -> dict[str, str]:
    """Return the variables of a run's program."""
    shape = run.shape
    return {
        "PYTHONPATH": os.path.dirname(out) + "/programs",  # noqa: PTH120 - a path of the testbed
        "PEERS_NODES": str(shape.nodes),
        "PEERS_SLOTS_PER_NODE": str(shape.slots_per_node),
        "PEERS_TASKS": str(shape.tasks),
        "PEERS_SECONDS": str(shape.seconds),
        "PEERS_OUT": out,
        # A job's shape is the lab's choice; everything else stays as the template has it.
        "DASK_JOBQUEUE__SLURM__CORES": str(shape.slots_per_node),
        "DASK_JOBQUEUE__SLURM__PROCESSES": "1",
    }


def measure(lab: Project, run: Run) -> list[dict]:
    """Run a program on the testbed; return its rows, or the one that says why there are none."""
    drain(lab)
    folder = f"{lab.home}/peers"
    out = f"{folder}/out"
    pythons = {"lab": f"{lab.home}/.venv/bin/python", "system": "python3"}
    python = pythons.get(run.tool.python, "/opt/peers/bin/python")
    program, *arguments = run.tool.program.split()
    words = " ".join([python, f"{program}.py", *arguments])
    about = {"started": provenance.now(), "load_1min": round(os.getloadavg()[0], 2)}
    begin = time.monotonic()
    done = lab.testbed.run(
        f"rm -rf {out} {out}.* && cd {folder}/programs && echo $$ > {folder}/pid && "
        f"exec {words} > {folder}/log 2>&1",
        env=environment(run, out),
        check=False,
        timeout=LIMIT_S,
    )
    about["took_s"] = round(time.monotonic() - begin, 1)
    printed = lab.testbed.run(f"cat {out}", check=False).stdout
    if done.returncode != 0 or not printed:
        return [rounds.failed(run, reason(lab, done.returncode, f"{folder}/log"), about)]
    return rounds.rows(run, map(json.loads, printed.splitlines()), about)


def reason(lab: Project, code: int, log: str) -> str:
    """Return why a program failed."""
    if code == 124:
        return f"not done after {LIMIT_S} s"
    return last_error(lab.testbed.run(f"tail -n 40 {log}").stdout) or f"exit code {code}"


def last_error(printed: str) -> str:
    """Return the last line that says what went wrong, else the last one.

    What Slurm says of a job's end comes after it.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("salloc: ", "srun: "))] or lines
    errors = [line for line in said if re.search("error|exception|fail|no such", line, re.I)]
    return (errors or said or [""])[-1][:200]


def stop(lab: Project) -> None:
    """End the running program, and its jobs."""
    lab.testbed.run(f"kill $(cat {lab.home}/peers/pid); scancel --user alice", check=False)


def drain(lab: Project) -> None:
    """Wait until no job of the last program is left; end those that stay."""
    until = time.monotonic() + DRAIN_S
    while lab.testbed.jobs(completing=True):
        if time.monotonic() > until - DRAIN_S / 2:
            lab.testbed.run("scancel --user alice")
        if time.monotonic() > until:
            raise TestbedError(f"jobs are still there after {DRAIN_S} s: see squeue")
        time.sleep(0.2)


def run_all(lab: Project, runs: list[Run], kept: Kept) -> None:
    """Run what is missing, and add its rows to the record."""
    lab.testbed.put(PEERS, f"{lab.home}/peers")
    kept.begin(header(lab))
    while left := rounds.missing(runs, kept.rows):
        run, number = left[0], len(runs) - len(left) + 1
        time_left = format_exact_duration(rounds.left_s(left, kept.rows))
        say(
            f"{number} of {len(runs)}: {run.tool.name}, {run.shape.name}, "
            f"round {run.round + 1}; about {time_left} left"
        )
        try:
            rows = measure(lab, run)
        except BaseException:
            stop(lab)
            raise
        kept.add(rows)
        say(f"  {'; '.join(map(described, rows))}")
    kept.end()


def described(row: dict) -> str:
    """Return a row in words."""
    if row["status"] != "ok":
        return f"failed: {row['error']}"
    return f"{row['state']} {row['makespan_s']:.2f} s"


def chosen_by_name(names: list[str], known: dict, what: str) -> list:
    """Return the things with these names, or all.

    Raises
    ------
    SystemExit
        A name is unknown.
    """
    if unknown := [name for name in names if name not in known]:
        print(
            f"Error: unknown {what} {unknown[0]!r}: choose from {', '.join(known)}", file=sys.stderr
        )
        raise SystemExit(2)
    return [known[name] for name in names] or list(known.values())


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = options(__doc__)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=", ".join(TOOLS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="separated by commas")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/")
    asked = parser.parse_args()
    if asked.rounds < 1:
        parser.error(f"argument --rounds: {asked.rounds} is not a positive number")
    asked.tools = chosen_by_name(asked.tools, TOOLS, "tool")
    asked.shapes = chosen_by_name(asked.shapes.split(","), SHAPES, "shape")
    return asked


def main() -> int:
    """Measure what is missing, and write a report; return the exit code."""
    asked = parse()
    path = asked.json or RECORD
    end_like_ctrl_c()
    try:
        if asked.publish:
            return publish(path)
        runs = rounds.order(asked.tools, asked.shapes, asked.rounds)
        names = {tool.name for tool in asked.tools}
        kept = Kept(path, lambda row: asked.fresh and row["tool"] in names)
        if rounds.missing(runs, kept.rows):
            if kept.rows:
                say(f"Going on with {shown(path)}")
            with project("peers", asked.home, dockerfile=PEERS / "Dockerfile") as lab:
                run_all(lab, runs, kept)
        else:
            say(f"All of it is in {shown(path)}; --fresh measures again")
        report.write(path.parent)
    except (TestbedError, record.RecordError, report.ReportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Error: cannot write to {path.parent}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on with what is missing.", file=sys.stderr)
        return 130
    say(f"See {shown(path.parent / 'report.html')}")
    return 0


def publish(path: Path) -> int:
    """Copy a record of all tools into docs/, and write the table there."""
    from published import made

    found = record.read(path)
    runs = rounds.order(list(TOOLS.values()), list(SHAPES.values()), ROUNDS)
    if left := rounds.missing(runs, found.rows):
        print(
            f"Error: {len(left)} of {len(runs)} runs are missing in {shown(path)}", file=sys.stderr
        )
        return 1
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / "peers.jsonl").write_text(path.read_text())
    PAGE.write_text(made("peers", PAGE.read_text()))
    say(f"Written: {shown(DATA / 'peers.jsonl')}, {shown(PAGE)}")
    return 0


def tables(found: record.Record) -> str:
    """Return the Markdown of the tables: one for each shape."""
    from dask_hpc.bench import peers
    from tests.tables import markdown

    shapes = peers.shapes(found.rows)
    parts = [about(found, peers.versions(shapes[0]))]
    for shape in shapes:
        lines = [[column.cell(point) for column in peers.COLUMNS] for point in shape.points]
        heads = [column.heading for column in peers.COLUMNS]
        ideal = f"The ideal is {shape.ideal_s:.3g} s."
        parts += [f"### {shape.title}", ideal, markdown(heads, lines), *peers.remarks(shape)]
    parts.append("\n".join(f"* {note}" for note in peers.notes(shapes[0])))
    return "\n\n".join(parts)


def about(found: record.Record, versions: str) -> str:
    """Return on what the record was measured."""
    machine, system = found.header["machine"], found.header["versions"]
    return (
        f"Measured with `make bench-peers` on the [testbed](../reference/testbed.md) with Slurm "
        f"{system['Slurm']} and Python {system['python']}, on {found.header['started'][:10]}, on "
        f"{machine['usable_cores']} cores: medians, and ranges in parentheses. {versions}."
    )


if __name__ == "__main__":
    sys.exit(main())
