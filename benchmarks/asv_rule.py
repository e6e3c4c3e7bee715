"""How often asv errs: pairs of commits that are equal, and pairs of which the second is slower.

    python benchmarks/asv_rule.py [--pairs 20] [--quick] [--json docs/data/asv-pairs.jsonl]

Makes a clone with commits on top of HEAD: one that changes nothing, one in which each task takes
20 ms longer, and one in which a cluster starts a second later. Then `asv continuous` measures HEAD
and one of them, in turns. Each pair is a line of the file, written as soon as it is measured; with
an existing file, pairs are added until there are as many of each kind. `--quick` measures shorter
tasks. `--table` only prints the table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # for the tables of tests/
RECORD = REPOSITORY / "docs" / "data" / "asv-pairs.jsonl"
TOOLKIT = Path("{{cookiecutter.project_slug}}", "toolkit", "src", "dask_hpc")
BENCHMARK = {"task": "local.Sleep.track_overhead", "start": "local.Start.track_time_to_workers"}
FACTOR = 1.25  # of run_asv.py, with which asv itself decides
FACTORS = (1.1, FACTOR, 1.5)
# What is added to a module of the toolkit.
SLOWER = {
    "equal": (),
    "task": (
        "bench/tasks.py",
        """
_quick_task = sleep_task


def sleep_task(item, seconds):
    trace = _quick_task(item, seconds)
    time.sleep(0.02)
    return trace
""",
    ),
    "start": (
        "cluster/local.py",
        """
import time

_quick_init = LocalCluster.__init__


def _slow_init(self, *args, **kwargs):
    time.sleep(1)
    _quick_init(self, *args, **kwargs)


LocalCluster.__init__ = _slow_init
""",
    ),
}


def main() -> int:
    """Measure, and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="40 tasks of 0.1 s on 4 slots")
    parser.add_argument("--json", type=Path, default=RECORD)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    rows = (
        [json.loads(line) for line in asked.json.read_text().splitlines()]
        if (asked.json.exists())
        else []
    )
    if not asked.table:
        with tempfile.TemporaryDirectory() as folder:
            clone = make_clone(Path(folder))
            for number in range(asked.pairs):
                for kind in SLOWER:
                    there = [r for r in rows if (r["kind"], r["quick"]) == (kind, asked.quick)]
                    if number < len(there):
                        continue
                    rows.append(measure(clone, kind, asked.quick))
                    with asked.json.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                    print(rows[-1], flush=True)
    print(table(rows))
    return 0


def make_clone(folder: Path) -> Path:
    """Make the clone with a branch for each kind; return its folder."""
    clone = folder / "clone"
    git(folder, "clone", "--quiet", "--shared", str(REPOSITORY), str(clone))
    git(clone, "branch", "base")
    for kind, change in SLOWER.items():
        git(clone, "checkout", "--quiet", "-b", kind, "base")
        if change:
            file, text = change
            path = clone / TOOLKIT / file
            path.write_text(path.read_text() + text)
        git(clone, "commit", "--quiet", "--all", "--allow-empty", f"--message={kind}")
    git(clone, "checkout", "--quiet", "base")
    config = clone / "benchmarks" / "asv.conf.json"
    # The environment is that of this checkout, which takes minutes to make.
    ours = json.dumps(str(REPOSITORY / "build" / "asv" / "env"))
    config.write_text(config.read_text().replace('"../build/asv/env"', ours))
    return clone


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=asv", "-c", "user.email=asv@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True)


def measure(clone: Path, kind: str, quick: bool) -> dict:
    """Measure a pair; return the line to record."""
    for path in clone.glob("build/asv/results/*/*-*.json"):
        path.unlink()
    command = [sys.executable, "-m", "asv", "continuous", "base", kind, "--bench", r"^local\."]
    command += ["--factor", str(FACTOR), "--config", str(clone / "benchmarks" / "asv.conf.json")]
    begin, load = time.monotonic(), os.getloadavg()[0]
    environment = {**os.environ, **({"ASV_QUICK": "1"} if quick else {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"Error: asv failed:\n{done.stdout}{done.stderr}")
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M"),
        "kind": kind,
        "quick": quick,
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "seconds": round(time.monotonic() - begin),
        "cores": os.cpu_count(),
        "exit_code": done.returncode,
        "samples": {name: samples(clone, kind, name) for name in BENCHMARK.values()},
    }


def samples(clone: Path, kind: str, name: str) -> list[list[float]]:
    """Return the repeats of a benchmark that asv has kept, before and after."""
    found = []
    for branch in ("base", kind):
        head = ["git", "rev-parse", branch]
        commit = subprocess.run(head, cwd=clone, check=True, capture_output=True, text=True).stdout
        (path,) = clone.glob(f"build/asv/results/*/{commit[:8]}-*.json")
        data = json.loads(path.read_text())
        (repeats,) = data["results"][name][data["result_columns"].index("samples")]
        found.append([round(value, 4) for value in repeats])
    return found


def verdict(pair: list[list[float]], factor: float) -> str:
    """Return what `asv compare` says of a benchmark: slower, faster, or nothing."""
    from asv.commands.compare import _is_result_better
    from asv_runner.statistics import compute_stats

    a, b = ((*compute_stats(each, 1), each) for each in pair)
    if _is_result_better(a[0], b[0], a[1:], b[1:], factor):
        return "slower"
    return "faster" if _is_result_better(b[0], a[0], b[1:], a[1:], factor) else ""


def table(rows: list[dict]) -> str:
    """Return a Markdown table: how many pairs are flagged, by kind and factor."""
    from tests.tables import markdown

    lines = []
    for quick in (False, True):
        for kind in SLOWER:
            mine = [row for row in rows if (row["kind"], row["quick"]) == (kind, quick)]
            for wanted, name in BENCHMARK.items():
                if not mine or kind not in ("equal", wanted):
                    continue
                verdicts = [
                    [verdict(row["samples"][name], factor) for row in mine] for factor in FACTORS
                ]
                cells = [sum(map(bool, each)) for each in verdicts]
                lines.append([WORDS[kind], f"`{name}`", TASKS[quick], len(mine), *cells])
    return markdown(["what differs", "benchmark", "tasks", "pairs", *map(str, FACTORS)], lines)


WORDS = {"equal": "nothing", "task": "20 ms for each task", "start": "1 s for each start"}
TASKS = {False: "500 x 1 s, 120 slots", True: "40 x 0.1 s, 4 slots"}


if __name__ == "__main__":
    sys.exit(main())
