"""Measure how soon workers and results are available, alternating between two checkouts.

    python benchmarks/start.py [--against ../other-checkout] [--rounds 5] [--json build/start.json]
    python benchmarks/start.py --unencrypted    # alternating with clusters without encryption

Each round runs two programs on the testbed, with the configuration of each checkout's template: one
starts 4 jobs of 8 processes; the other runs 500 tasks of 1 s on 4 jobs of 30 threads, and then the
same map on the warm cluster. Prints a Markdown table of medians. With `--json`, each row is written
as soon as it is measured, and rounds that are already in the file are skipped.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

BEGIN = time.time()  # when the first line of a user's program would run

TASKS, JOBS, THREADS, PROCESSES = 500, 4, 30, 8
WARM_MAPS = 2
QUANTITIES = {
    "workers": (f"{JOBS} jobs x {PROCESSES} processes, all workers connected", "s"),
    "pss": ("memory (PSS) of a worker", "MiB"),
    "cold": (f"program's first line to the last of {TASKS} results", "s"),
    "warm": (f"`gather(map())` of {TASKS} x 1 s, warm", "s"),
}


def task(item):
    """Sleep for a second."""
    time.sleep(1)
    return item


def pss() -> float:
    """Return this process's proportional set size (PSS), in MiB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    (size,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return size / 1024


def start_workers() -> dict:
    """Time the start of many processes, and measure their memory."""
    from dask.distributed import Client

    from dask_hpc import get_cluster

    number = JOBS * PROCESSES
    with get_cluster(cores=PROCESSES, processes=PROCESSES, memory="4 GiB") as cluster:
        begin = time.time()
        cluster.scale(jobs=JOBS)
        cluster.wait_for_workers(number, timeout=180)
        seconds = time.time() - begin
        with Client(cluster) as client:
            sizes = client.run(pss).values()
    return {"workers": [seconds], "pss": [median(sizes)]}


def type_a_map() -> dict:
    """Time a typical program, from its first line to the results; then repeat the map."""
    from dask.distributed import Client

    from dask_hpc import get_cluster

    with get_cluster(cores=THREADS, processes=1, memory="4 GiB") as cluster:
        client = Client(cluster)
        cluster.scale(jobs=JOBS)
        results = client.gather(client.map(task, range(TASKS)))
        cold = time.time() - BEGIN
        warm = []
        for number in range(1, WARM_MAPS + 1):
            time.sleep(0.5)  # let Dask release the last map's results
            items = range(number * TASKS, (number + 1) * TASKS)
            begin = time.monotonic()
            results += client.gather(client.map(task, items))
            warm.append(time.monotonic() - begin)
        assert results == list(range((WARM_MAPS + 1) * TASKS))
        client.close()
    return {"cold": [cold], "warm": warm}


PROGRAMS = {"workers": start_workers, "map": type_a_map}


def table(rows: list[dict]) -> str:
    """Return a Markdown table of medians and ranges, a column for each side."""
    from tests.tables import markdown, spread

    sides = list(dict.fromkeys(row["side"] for row in sorted(rows, key=lambda row: row["column"])))
    head = ["", *sides, *(["ratio"] if len(sides) == 2 else [])]
    lines = []
    for name, (words, unit) in QUANTITIES.items():
        found = [
            [x for row in rows if row["side"] == side for x in row["found"].get(name, [])]
            for side in sides
        ]
        if all(found):
            ratio = [f"{median(found[1]) / median(found[0]):.2f}"] if len(sides) == 2 else []
            lines.append([words, *(spread(values, unit) for values in found), *ratio])
    return markdown(head, lines)


def main() -> int:
    """Measure on the testbed and print the table; return the exit code."""
    from on_testbed import install, keep, kept, options, project, records

    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--unencrypted", action="store_true", help="instead of another checkout")
    chosen = parser.parse_args()
    rows = kept(chosen.json)
    done = {(row["round"], row["side"], row["program"]) for row in rows}
    with project("start", chosen.home, nodes=JOBS) as here:
        sides = {"here": here}
        if chosen.against:
            against = chosen.against.resolve()
            sides = {against.name: install(here.testbed, against, "other-lab"), **sides}
        elif chosen.unencrypted:
            off = replace(here, variables="DASK_DASK_HPC__SECURITY=false")
            sides = {"unencrypted": off, "encrypted": here}
        for number in range(chosen.rounds):
            for program in PROGRAMS:
                for side in list(sides)[:: 1 if number % 2 else -1]:
                    if (number, side, program) in done:
                        continue
                    printed = sides[side].python(Path(__file__), "inside", program, timeout=300)
                    (found,) = records(printed)
                    row = {"round": number, "side": side, "program": program, "found": found}
                    row |= {"column": list(sides).index(side), "load": os.getloadavg()[0]}
                    rows.append(row)
                    values = ", ".join(f"{k} {median(v):.2f}" for k, v in found.items())
                    print(f"round {number + 1}, {side}: {values}", file=sys.stderr, flush=True)
                    keep(chosen.json, row)
    print(table(rows))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        print(json.dumps(PROGRAMS[sys.argv[2]]()))
    else:
        sys.exit(main())
