"""Submit a task that kills each worker it runs on, and check whether other tasks survive.

    python benchmarks/deadly_task.py [--times 3] [--tasks 32] [--against CHECKOUT]

Each round has two jobs on the testbed, with two workers of two threads each, and runs tasks of
three seconds in addition to the deadly one. Prints how many of these failed with it
(`KilledWorker`), and the seconds until all were done. With --against, alternates with the toolkit
of another checkout.
"""

import json
import os
import sys
import time
from pathlib import Path

TASK_S = 3.0


def inside(tasks: int) -> None:
    """Run one round and print it as a JSON line; runs on the login node."""
    from distributed import Client, KilledWorker, wait

    from dask_hpc import SLURMCluster

    with (
        SLURMCluster(cores=4, processes=2, memory="1 GiB") as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        cluster.wait_for_workers(4, timeout=120)
        begun = time.monotonic()
        others = client.map(lambda i: time.sleep(TASK_S) or i, range(tasks), pure=False)
        deadly = client.submit(os._exit, 1, priority=1)
        wait([*others, deadly], timeout=300)
        lost = sum(isinstance(future.exception(), KilledWorker) for future in others)
        seconds = round(time.monotonic() - begun, 1)
        given_up = isinstance(deadly.exception(), KilledWorker)
    print(json.dumps({"lost": lost, "seconds": seconds, "deadly_given_up": given_up}), flush=True)


def main() -> int:
    """Run the rounds, and print one line for each."""
    from on_testbed import options, project, records, take_turns

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    arguments = Path(__file__), "inside", chosen.tasks
    with project("deadly", chosen.home) as lab:
        take_turns(lab, chosen, lambda where, _: records(where.python(*arguments, timeout=600))[0])
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(int(sys.argv[2]))
    else:
        sys.exit(main())
