"""Take the node with the program from a job of `dask hpc run`; tell how soon the job has ended.

    python benchmarks/lost_program.py [--times 3] [--against CHECKOUT]

The job has two nodes and a walltime of five minutes. The first node, with the program and the
scheduler, is killed (its connections are closed) or paused (they stay open) while tasks run. Prints
the seconds until the job is over, and how Slurm says it ended. With --against, alternates with the
toolkit of another checkout.
"""

import shlex
import sys
import time
from pathlib import Path

FAULTS = ("kill-node", "pause-node")
WALLTIME_S = 300
LIMIT_S = WALLTIME_S + 120.0
PROGRAM = """\
import os, time
from dask.distributed import Client
from dask_hpc import get_cluster

if __name__ == "__main__":
    with get_cluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        cluster.wait_for_workers(4, timeout=120)
        print(os.environ["SLURMD_NODENAME"], flush=True)
        client.gather(client.map(time.sleep, [1] * 4000, pure=False))
"""
SETTINGS = (
    "export DASK_JOBQUEUE__SLURM__CORES=2 DASK_JOBQUEUE__SLURM__PROCESSES=2 "
    "DASK_JOBQUEUE__SLURM__MEMORY='1 GiB' DASK_JOBQUEUE__SLURM__WALLTIME=00:05:00"
)


def one_round(lab, number: int) -> dict:
    """Submit the program, inject a fault into its node, and wait for the job's end."""
    testbed = lab.testbed
    fault = FAULTS[number % len(FAULTS)]
    folder = f"{lab.home}/lost"
    testbed.run(
        f"rm -rf {folder} && mkdir {folder} && printf %s {shlex.quote(PROGRAM)} > {folder}/lost.py"
    )
    submitted = testbed.run(
        f"{SETTINGS}; cd {folder} && . {lab.home}/.venv/bin/activate && "
        "dask hpc run --nodes 2 lost.py"
    ).stdout
    job = submitted.split()[-1]
    node = ""
    end = time.monotonic() + 120
    while not node and time.monotonic() < end:
        time.sleep(0.5)
        printed = testbed.run(f"cat {folder}/dask-logs/*-{job}.out 2> /dev/null || true").stdout
        node = printed.strip()
    with testbed.fault(fault, node=node):
        began = time.monotonic()
        while job in testbed.jobs(completing=True) and time.monotonic() - began < LIMIT_S:
            time.sleep(1)
        seconds = round(time.monotonic() - began)
    state = testbed.run(f"sacct -nPX -j {job} -o state").stdout.splitlines()
    return {"fault": fault, "seconds": seconds, "state": state[-1] if state else ""}


def main() -> int:
    """Run the rounds, and print one line for each."""
    from on_testbed import options, project, take_turns

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=3, help="rounds of each fault")
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    chosen.times *= len(FAULTS)
    with project("lost", chosen.home) as lab:
        take_turns(lab, chosen, one_round)
    return 0


if __name__ == "__main__":
    sys.exit(main())
