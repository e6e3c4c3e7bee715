"""Measure `dask_hpc.sweep` on the testbed, beside what else one would type, in turns.

    python benchmarks/sweep.py [killed] [million] [tiny] [granularity] [files] [headline]
    python benchmarks/sweep.py --out docs/data/sweep    # the official record, on a quiet machine
    python benchmarks/sweep.py --table --out docs/data/sweep

killed: the sweep's process is killed at ten random moments, and the sweep is resumed each time.
million: peak memory of the process, which has the client and the scheduler, with 1,000,000 inputs.
tiny: inputs per second, of tasks that sleep for a millisecond on 120 slots.
granularity: how short tasks may be, to use 120 slots half of the time: METG(50 %).
files: 300 files of one second on 16 workers.
headline: 500 tasks of 1 s on 120 slots, with the defaults of the lab, and plain dask-jobqueue.

Writes a record for each measurement into the folder --out, as soon as there is a row, and prints
tables; --table only prints those of the records.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from on_testbed import REPOSITORY, Project, commit, options, project, records
from sweep_tables import FILE_WORKERS, SLOTS, computed_twice, render, wrong

from hpc_testbed import TestbedError

INSIDE = Path(__file__).with_name("sweep_inside.py")
WAYS = ("sweep", "gather")
JOBS = 4
TASKS, TASK_S = 500, 1
FILES = 300
MILLION, GATHER_SHARE = 1_000_000, 0.1
TINY_PER_SLOT = {"sweep": 2000, "gather": 100}
KILLS, SEED = 10, 17
# When to kill, as a share of an undisturbed run's time: together, less than one run.
KILL_SHARE = (0.01, 0.13)
KILLED_INPUTS, KILLED_S = 8000, 0.02
# So many tasks of a length that they take this time, but at least and at most so many for each
# slot. `gather` gets fewer: its efficiency with short tasks does not depend on how many there are.
LENGTHS = (1, 0.3, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
POINT_S = 5
MIN_PER_SLOT, MAX_PER_SLOT = 10, {"sweep": 1000, "gather": 100}


def run(lab: Project, measurement: str, **arguments: object) -> list[dict]:
    """Run a measurement on the login node; return what it printed."""
    return records(lab.python(INSIDE, measurement, f"'{json.dumps(arguments)}'"))


def killed(lab: Project, _rounds: int, share: float) -> Iterator[dict]:
    """Kill and resume a sweep, and run a program with `gather` again and again, in turns."""
    number = max(100, round(share * KILLED_INPUTS))
    common = {"number": number, "seconds": KILLED_S}
    folders = {way: f"{lab.home}/benchmarks/killed-{way}" for way in ("whole", *WAYS)}
    lab.testbed.run(f"rm -rf {' '.join(folders.values())}; mkdir {' '.join(folders.values())}")
    whole = {"way": "sweep", "run": 0, "moment": None, "folder": folders.pop("whole")}
    (undisturbed,) = run(lab, "killed", **common, **whole)
    moments = random.Random(SEED)
    runs: dict[str, list[dict]] = {way: [] for way in folders}
    saved: dict[str, list[list[int]]] = {way: [] for way in folders}
    for turn in range(KILLS + 1):
        moment = undisturbed["seconds"] * moments.uniform(*KILL_SHARE) if turn < KILLS else None
        for way, folder in folders.items():
            this = {"way": way, "run": turn, "moment": moment, "folder": folder}
            try:
                (found,) = run(lab, "killed", **common, **this)
            except TestbedError as error:
                if "exit code 137" not in str(error):  # SIGKILL
                    raise
                found = {}
            (have,) = run(lab, "saved", folder=folder)  # `gather` saves nothing
            saved[way].append(have["saved"])
            runs[way].append({"moment": moment, **found, "saved": len(have["saved"])})
            print(f"killed, run {turn}, {way}: {len(have['saved'])} saved", file=sys.stderr)
    for way, folder in folders.items():
        (row,) = run(lab, "calls", folder=folder)
        yield {
            "way": way,
            "inputs": number,
            "equal": undisturbed["equal"] and runs[way][-1]["equal"],
            "calls": len(row["calls"]),
            "twice": computed_twice(row["calls"], saved[way]),
            "kills": sum("equal" not in found for found in runs[way]),
            "runs": runs[way],
            "undisturbed": undisturbed["seconds"],
            "load": runs[way][-1]["load"],
        }


def million(lab: Project, rounds: int, share: float) -> Iterator[dict]:
    """Measure memory: of a sweep, and of `gather` with a tenth of the inputs."""
    for _ in range(rounds):
        for way, part in (("sweep", 1), ("gather", GATHER_SHARE)):
            number = max(100, round(share * part * MILLION))
            yield from run(lab, "million", way=way, number=number, jobs=JOBS, processes=2)


def points(lab: Project, lengths: Sequence[float], rounds: int, tasks: Callable) -> Iterator[dict]:
    """Measure tasks of these lengths in both ways; `tasks` says how many for each slot."""
    chosen = [
        {"way": way, "length": length, "tasks": SLOTS * tasks(way, length)}
        for length in lengths
        for way in WAYS
    ]
    yield from run(lab, "lengths", points=chosen, rounds=rounds, jobs=JOBS)


def tiny(lab: Project, rounds: int, share: float) -> Iterator[dict]:
    """Measure inputs per second, of tasks of a millisecond."""
    number = {way: max(1, round(share * TINY_PER_SLOT[way])) for way in WAYS}
    return points(lab, [0.001], rounds, lambda way, _length: number[way])


def granularity(lab: Project, rounds: int, share: float) -> Iterator[dict]:
    """Measure the efficiency of tasks from a second to a millisecond."""

    def tasks(way: str, length: float) -> int:
        most = max(1, round(share * MAX_PER_SLOT[way]))
        return min(most, max(MIN_PER_SLOT, round(POINT_S / length)))

    return points(lab, LENGTHS, rounds, tasks)


def files(lab: Project, rounds: int, share: float) -> Iterator[dict]:
    """Measure a function that takes a file."""
    number = max(1, round(share * FILES))
    half = FILE_WORKERS // 2
    for row in run(lab, "files", rounds=rounds, number=number, jobs=2, processes=half):
        yield {**row, "inputs": number}


def headline(lab: Project, rounds: int, share: float) -> Iterator[dict]:
    """Measure long tasks with our clusters, in each way, and with plain ones."""
    tasks = max(1, round(share * TASKS))
    ways = ["gather", "sweep", "as_completed"]
    for number in range(rounds):
        turn = number % len(ways)
        for plain in (False, True)[:: -1 if number % 2 else 1]:
            these = ["gather"] if plain else ways[turn:] + ways[:turn]
            common = {"number": number, "plain": plain, "ways": these}
            yield from run(lab, "headline", **common, tasks=tasks, seconds=TASK_S, jobs=JOBS)


MEASUREMENTS = {  # with the usual number of rounds
    "killed": (killed, 1),
    "million": (million, 1),
    "tiny": (tiny, 3),
    "granularity": (granularity, 3),
    "files": (files, 3),
    "headline": (headline, 10),
}


def measure(lab: Project, name: str, rounds: int | None, share: float, out: Path) -> dict:
    """Return the record of a measurement; write it with each row."""
    function, usual = MEASUREMENTS[name]
    (about,) = run(lab, "about")
    record = {
        "measurement": name,
        "about": {**about, "commit": commit()},
        "rounds": rounds or usual,
        "share": share,
        "rows": [],
    }
    for row in function(lab, record["rounds"], share):
        record["rows"].append(row)
        (out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def main() -> int:
    """Measure on the testbed and print the tables; return the exit code."""
    parser = options(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "sweep")
    parser.add_argument("--rounds", type=int, help="instead of each measurement's own number")
    parser.add_argument("--share", type=float, default=1, help="of the inputs, for a trial")
    parser.add_argument("--table", action="store_true", help="print the tables of the records")
    chosen = parser.parse_args()
    for name in chosen.names:
        if name not in MEASUREMENTS:
            parser.error(f"there is no {name}; there are: {', '.join(MEASUREMENTS)}")
    names = chosen.names or list(MEASUREMENTS)
    found = {}
    if chosen.table:
        for name in names:
            if (path := chosen.out / f"{name}.json").exists():
                found[name] = json.loads(path.read_text())
    else:
        chosen.out.mkdir(parents=True, exist_ok=True)
        with project("sweep", chosen.home, nodes=JOBS) as lab:
            for name in names:
                print(f"{name} …", file=sys.stderr, flush=True)
                found[name] = measure(lab, name, chosen.rounds, chosen.share, chosen.out)
    print("\n\n".join(map(render, found.values())))
    return int(any(wrong(record) for record in found.values()))


if __name__ == "__main__":
    sys.exit(main())
