"""Compare the speed of our classes with dask-jobqueue's: 500 tasks of 1 s on 120 slots.

    python benchmarks/vs_jobqueue.py [--rounds 5] [--repeats 3]

Each round creates one cluster of dask-jobqueue's own class and one of ours on the testbed, in
alternating order, with the same arguments: four jobs of 30 threads, after the nodes are free again.
Times the map, from `client.map` to the last result of `client.gather`, and the start, from the
creation of the cluster until all workers have connected. Prints a Markdown table of medians.
"""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

TASKS, JOBS, THREADS = 500, 4, 30
SIDES = ("plain", "ours")


def inside(rounds: int, repeats: int) -> None:
    """Measure and print a JSON line for each cluster; runs on the login node."""
    import dask_jobqueue
    from distributed import Client

    import dask_hpc

    dask_classes = {"plain": dask_jobqueue.SLURMCluster, "ours": dask_hpc.SLURMCluster}
    arguments = {
        "cores": THREADS,
        "processes": 1,
        "memory": "8 GiB",
        "nanny": False,
        "worker_extra_args": ["--no-dashboard"],
        "scheduler_options": {"interface": "ib0", "dashboard_address": ":0", "dashboard": False},
    }

    squeue = ["squeue", "--noheader", "--me"]

    def task(seconds, item):
        time.sleep(seconds)
        return item

    for number in range(rounds):
        for side in SIDES if number % 2 else SIDES[::-1]:
            begin = time.monotonic()
            with dask_classes[side](**arguments) as cluster, Client(cluster) as client:
                cluster.scale(jobs=JOBS)
                cluster.wait_for_workers(JOBS, timeout=120)
                start = time.monotonic() - begin
                # Warm up: workers import what they need with their first task.
                client.gather(client.map(partial(task, 0.05), range(JOBS * THREADS), pure=False))
                makespans = []
                for _ in range(repeats):
                    begin = time.monotonic()
                    futures = client.map(partial(task, 1.0), range(TASKS), pure=False)
                    results = client.gather(futures)
                    makespans.append(time.monotonic() - begin)
                    assert results == list(range(TASKS))
                    del futures
                    time.sleep(0.3)
                begin = time.monotonic()
            found = {"round": number, "side": side, "start": start, "makespans": makespans}
            print(json.dumps({**found, "close": time.monotonic() - begin}), flush=True)
            # The next cluster's jobs would wait for nodes that are not free yet.
            while subprocess.run(squeue, capture_output=True, check=True).stdout:
                time.sleep(0.2)


def table(rows: list[dict]) -> str:
    """Return a Markdown table of medians and ranges."""
    from tests.tables import markdown, spread

    lines = []
    for side, name in {"plain": "dask-jobqueue", "ours": "dask_hpc"}.items():
        mine = [row for row in rows if row["side"] == side]
        columns = (
            [seconds for row in mine for seconds in row["makespans"]],
            [row["start"] for row in mine],
            [row["close"] for row in mine],
        )
        lines.append([name, *map(spread, columns)])
    return markdown(["", "500 tasks of 1 s on 120 slots", "start", "close"], lines)


def main() -> int:
    """Measure on the testbed and print the table; return the exit code."""
    from on_testbed import options, project, records

    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="maps on each cluster")
    chosen = parser.parse_args()
    with project("plain", chosen.home) as lab:
        printed = lab.python(Path(__file__), "inside", chosen.rounds, chosen.repeats)
    rows = records(printed)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main())
