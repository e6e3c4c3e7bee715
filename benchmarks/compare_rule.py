"""How often `dask hpc bench compare` errs: pairs of runs that are equal, and that are not.

By default, it draws times at random, with the spread of real ones, and prints a table: how many
equal pairs and how many slower ones are called different. `--runs 20` measures instead: 20 pairs of
runs on this computer's cores, equal ones, with tasks that take 20 ms longer, and with a start that
takes a second longer (a quarter of an hour; the computer should have nothing else to do).
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dask_hpc.bench import compare, record
from dask_hpc.bench.compare import Times, judge

PAIRS = 500
REPEATS = (3, 6, 10)
# Names, the mean in seconds, spreads (standard deviations, as fractions of the mean), by how many
# seconds the slower ones are slower, and the smallest difference that matters, as a fraction.
CASES = (
    ("500 tasks of 1 s on 120 slots", 5.12, (0.003, 0.006, 0.02), 0.1, 0.01),
    ("40 tasks of 0.1 s on 4 slots", 1.09, (0.02, 0.05), 0.2, 0.1 / 1.09),
    ("a phase of a start", 1.0, (0.2,), 1.0, 0.5),
    ("a whole start", 2.5, (0.15,), 1.0, 0.2),
)
SLOWED = """
import sys, time
from dask_hpc.bench.backends.local import LocalBackend
task_s, start_s = float(sys.argv.pop(1)), float(sys.argv.pop(1))
sys.argv[0] = "dask"
fast_map, fast_start = LocalBackend.map, LocalBackend.make_cluster
def slow_map(self, function, *arguments, **options):
    def slow(item):
        from time import sleep
        result = function(item)
        sleep(task_s)
        return result
    return fast_map(self, slow if task_s else function, *arguments, **options)
def slow_start(self, shape):
    time.sleep(start_s)
    return fast_start(self, shape)
LocalBackend.map, LocalBackend.make_cluster = slow_map, slow_start
from dask_hpc.cli.main import main
main()
"""
RUN = "bench run sleep --backend local --tasks 40 --seconds 0.1 --slots 4 --repeats 6 --no-next"


def simulated() -> Iterator[str]:
    """Yield a table of how many pairs are called different, by what is measured and its spread."""
    rng = np.random.default_rng(0)
    yield "| what | spread % | repeats | of 100 equal pairs | of 100 slower pairs |"
    yield "|---|---|---|---|---|"
    for name, mean, spreads, more, threshold in CASES:
        for spread in spreads:
            for n in REPEATS:
                a, b = mean * (1 + rng.normal(0, spread, (2, PAIRS, n)))
                equal, slower = (
                    sum(
                        judge(Times(name, *pair, threshold, as_speeds=more < 1)).is_difference
                        for pair in zip(a, c, strict=True)
                    )
                    for c in (b, b + more)
                )
                rates = f"{100 * equal / PAIRS:.1f} | {100 * slower / PAIRS:.1f}"
                yield f"| {name} | {100 * spread:g} | {n} | {rates} |"


def measure(count: int, out: Path) -> None:
    """Measure so many pairs of each kind, in turns, and print how many are called different."""
    kinds = {"a": (0, 0), "equal": (0, 0), "task": (0.02, 0), "start": (0, 1)}
    for number in range(count):
        for kind, more in kinds.items():
            words = [*map(str, more), *RUN.split(), "--out", out / kind / str(number)]
            command = [sys.executable, "-c", SLOWED, *words]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    runs = {kind: [record.read_folder(out / kind / str(n)) for n in range(count)] for kind in kinds}
    for kind in ("equal", "task"):
        found = [compare.compare(a, b) for a, b in zip(runs["a"], runs[kind], strict=True)]
        print(f"{kind}: {sum(_differs(each) for each in found)} of {count} pairs differ")
    # A run has one start, so those of five runs are compared with those of five others.
    for kind in ("equal", "start"):
        groups = [(_five(runs["a"], n), _five(runs[kind], n)) for n in range(count - 4)]
        found = [compare.compare(*group) for group in groups]
        print(
            f"starts, {kind}: {sum(_differs(each) for each in found)} of {len(found)} pairs differ"
        )


def _differs(found: list[compare.Comparison]) -> bool:
    return any(each.is_difference for each in found)


def _five(runs: list, first: int) -> list:
    return [one for run in runs[first : first + 5] for one in run]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, metavar="N", help="measure N pairs of each kind")
    parser.add_argument("--out", type=Path, help="folder for their records")
    options = parser.parse_args()
    if options.runs:
        measure(options.runs, options.out or Path(tempfile.mkdtemp(prefix="compare-")))
    else:
        for line in simulated():
            print(line, flush=True)
