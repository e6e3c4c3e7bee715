"""Cancel jobs at random times, and check whether their processes end with them.

    python benchmarks/leftovers.py [--jobs 200] [--load 0]

Each round creates a cluster with ten jobs on the testbed, of one worker each, in every fourth round
with a nanny. The jobs are cancelled while they start, after their tasks, or by their cluster when
it closes, so that the scheduler's close and SIGTERM reach the workers together. When Slurm reports
that they have ended, the script checks the nodes. Prints how many jobs left a process, and which;
the exit code is 0 if none did. Meanwhile, `--load` busy processes run per core on this machine. Use
TESTBED_SUITE=bookworm for Slurm 22.05.
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
BATCH = 10  # jobs per round
NANNY = 4  # every fourth round uses nannies
THREADS = 8  # per worker
# A process may outlive its job by this many seconds, since Slurm reports the end a moment early.
GRACE = 3.0


def inside(way: str, nanny: bool, jobs: int, seed: int) -> None:
    """Run a round and print its jobs as a JSON line; runs on the login node."""
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
            # Have every thread of every worker run a task.
            client.gather(client.map(time.sleep, [0.2] * THREADS * jobs, pure=False))
        if way != "closing":
            subprocess.run(["scancel", *ids], check=True)
            time.sleep(chance.uniform(0, 2))
        # Otherwise the cluster cancels them, and closes its scheduler at the same time.
    print(json.dumps({"way": way, "nanny": nanny, "jobs": ids}), flush=True)


@contextmanager
def looked_at(testbed) -> Iterator[Callable[[], list[dict]]]:
    """Yield a function that returns, and kills, the processes that alice's jobs left."""
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
    """Return the table's rows: how many jobs left a process, by way and nanny."""
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
    """Run the rounds on the testbed and print the results; return the exit code."""
    from connections import busy_cores
    from on_testbed import options, project, records

    from tests.tables import markdown

    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--load", type=int, default=0, help="busy processes per core (0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random times")
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
