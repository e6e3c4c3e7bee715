"""Do the processes of cancelled jobs end with them? Jobs that are cancelled at random moments.

    python benchmarks/leftovers.py [--jobs 200] [--load 0]

Each round makes a cluster with ten jobs on the testbed, of one worker each, in every fourth round
with a nanny. They are cancelled while they start, after their tasks, or by their cluster when it
closes, so that its scheduler's end and SIGTERM reach the workers together. Once Slurm says that
they are over, the nodes are looked at. Prints how many jobs left a process, and which; exit code 0:
none did.
`--load` busy processes run meanwhile for each core here. TESTBED_SUITE=bookworm: on Slurm 22.05.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAYS = ("starting", "running", "closing")
BATCH = 10  # jobs a round
NANNY = 4  # every fourth round has them
THREADS = 8  # of a worker
# Seconds that a process may be there after its job: Slurm tells of its end a moment before.
GRACE = 3.0


def inside(way: str, nanny: bool, jobs: int, seed: int) -> None:
    """Do a round and print its jobs as a JSON line; runs on the login node."""
    from distributed import Client

    from dask_hpc import SLURMCluster

    chance = random.Random(seed)
    arguments = {"cores": THREADS, "processes": 1, "memory": "512 MiB", "nanny": nanny}
    with (
        SLURMCluster(**arguments, worker_extra_args=["--no-dashboard"]) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=jobs)
        while len(cluster.job_ids) < jobs:
            time.sleep(0.05)
        ids = list(cluster.job_ids)
        if way == "starting":
            time.sleep(chance.uniform(0, 8))
        else:
            cluster.wait_for_workers(jobs, timeout=120)
            # Every thread of every worker has been at work.
            client.gather(client.map(time.sleep, [0.2] * THREADS * jobs, pure=False))
        if way != "closing":
            subprocess.run(["scancel", *ids], check=True)
            time.sleep(chance.uniform(0, 2))
        # Otherwise the cluster cancels them, and closes its scheduler at the same time.
    print(json.dumps({"way": way, "nanny": nanny, "jobs": ids}), flush=True)


@contextmanager
def looked_at(testbed) -> Iterator[Callable[[], list[dict]]]:
    """Yield a function that returns what the jobs of alice left; nothing stays of it at the end."""
    from hpc_testbed.processes import kill, leftover_processes

    def look() -> list[dict]:
        over = (
            "until [ -z \"$(squeue --me --noheader --states=all --format=%T | grep -E 'ING$')\" ]"
        )
        testbed.run(f"{over}; do sleep 0.3; done", timeout=120)
        found = leftover_processes(testbed, GRACE)
        environ = "tr '\\0' '\\n' < /proc/{}/environ | sed -n 's/^SLURM_JOB_ID=//p'"
        rows = [
            {
                "job": testbed.run(
                    environ.format(process.pid), user="alice", service=process.node, check=False
                ).stdout.strip(),
                "process": str(process),
            }
            for process in found
        ]
        kill(testbed, found)
        return rows

    yield look
    kill(testbed, testbed.processes())


def table(rounds: list[dict]) -> list[list[object]]:
    """Return the table's rows: by way and nanny, of how many jobs a process was left."""
    lines = []
    for way in WAYS:
        for nanny in (False, True):
            mine = [row for row in rounds if (row["way"], row["nanny"]) == (way, nanny)]
            jobs = sum(len(row["jobs"]) for row in mine)
            if jobs:
                lines.append([way, "yes" if nanny else "no", jobs, sum(map(leaving, mine))])
    return lines


def leaving(row: dict) -> int:
    """Return how many jobs of a round left a process."""
    return len({process["job"] for process in row["left"]})


def main() -> int:
    """Run the rounds on the testbed and print what came of them; return the exit code."""
    from connections import busy_cores
    from on_testbed import options, project, records

    from tests.tables import markdown

    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--load", type=int, default=0, help="busy processes for each core (0)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    chosen = parser.parse_args()
    rounds, begin = [], time.monotonic()
    with (
        project("bench-leftovers", chosen.home) as lab,
        looked_at(lab.testbed) as look,
        busy_cores(chosen.load),
    ):
        for number in range(-(-chosen.jobs // BATCH)):
            jobs = min(BATCH, chosen.jobs - number * BATCH)
            nanny = number % NANNY == NANNY - 1
            how = [WAYS[number % len(WAYS)], int(nanny), jobs, chosen.seed + number]
            [row] = records(lab.python(Path(__file__), "inside", *how))
            rounds.append({**row, "left": look()})
            for process in rounds[-1]["left"]:
                print(f"job {process['job']}: {process['process']}", file=sys.stderr)
        suite = lab.testbed.suite
    if chosen.json:
        record = {"suite": suite, "load": chosen.load, "rounds": rounds}
        chosen.json.write_text(json.dumps(record, indent=1) + "\n")
    print(markdown(["cancelled while", "nanny", "jobs", "left a process"], table(rounds)))
    left = sum(map(leaving, rounds))
    seconds = time.monotonic() - begin
    print(f"\n{left} of {chosen.jobs} jobs left a process, on {suite}, in {seconds:.0f} s.")
    return int(left > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(sys.argv[2], bool(int(sys.argv[3])), *map(int, sys.argv[4:]))
    else:
        sys.exit(main())
