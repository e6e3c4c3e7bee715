"""Kill Python while it submits jobs, and count how many jobs are orphaned, and for how long.

    python benchmarks/killed_submissions.py [--times 3] [--against CHECKOUT]

A program on the testbed requests twenty jobs and kills itself with SIGKILL during submission, at
different times. Prints how many jobs exist 15 s later, when the watchdog has cancelled those that
it knows, and the seconds until the last one has ended. With --against, alternates with the toolkit
of another checkout.
"""

import contextlib
import sys
import time
from pathlib import Path

JOBS = 20
MOMENTS = (0.05, 0.15, 0.3, 0.5)  # seconds after `scale`
WATCHDOG_S = 15.0
LIMIT_S = 240.0


def inside(moment: float) -> None:
    """Request jobs, and get killed; runs on the login node."""
    import os
    import signal
    import threading

    from dask_hpc import SLURMCluster

    cluster = SLURMCluster(cores=1, processes=1, memory="256 MiB")
    threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL)).start()
    cluster.scale(jobs=JOBS)
    time.sleep(60)


def listed(testbed) -> list[str]:
    """Return the user's jobs in Slurm."""
    return testbed.run("squeue --noheader --me --format=%i").stdout.split()


def one_round(lab, number: int) -> dict:
    """Run one program that gets killed, and count the jobs that it leaves."""
    from hpc_testbed import TestbedError

    moment = MOMENTS[number % len(MOMENTS)]
    with contextlib.suppress(TestbedError):  # the program was killed
        lab.python(Path(__file__), "inside", moment)
    killed = time.monotonic()
    time.sleep(WATCHDOG_S)
    left = listed(lab.testbed)
    while listed(lab.testbed) and time.monotonic() - killed < LIMIT_S:
        time.sleep(2)
    seconds = round(time.monotonic() - killed) if left else 0
    return {"moment": moment, "left": len(left), "seconds": seconds}


def main() -> int:
    """Run the rounds, and print one line for each."""
    from on_testbed import options, project, take_turns

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    with project("killed", chosen.home) as lab:
        take_turns(lab, chosen, one_round)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(float(sys.argv[2]))
    sys.exit(main())
