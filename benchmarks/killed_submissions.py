"""Kill Python while it submits jobs, and see how many jobs are left, and for how long.

    python benchmarks/killed_submissions.py [--times 3] [--against CHECKOUT]

A program on the testbed asks for twenty jobs and kills itself with SIGKILL while they are
submitted, at another moment each time. Prints how many jobs are there 15 s later, when the
watchdog has cancelled what it knows, and the seconds until the last one is over. With --against,
another checkout's toolkit takes turns with this one's.
"""

import json
import sys
import time
from pathlib import Path

JOBS = 20
MOMENTS = (0.05, 0.15, 0.3, 0.5)  # seconds after `scale`
WATCHDOG_S = 15.0
LIMIT_S = 240.0


def inside(moment: float) -> None:
    """Ask for jobs, and be killed; runs on the login node."""
    import os
    import signal
    import threading

    from dask_hpc import SLURMCluster

    cluster = SLURMCluster(cores=1, processes=1, memory="256 MiB")
    threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL)).start()
    cluster.scale(jobs=JOBS)
    time.sleep(60)


def listed(testbed) -> list[str]:
    """Return the jobs that Slurm has."""
    return testbed.run("squeue --noheader --me --format=%i").stdout.split()


def one_round(lab, moment: float) -> dict:
    """Let one program be killed, and look at what it leaves."""
    testbed = lab.testbed
    here = f"cd {lab.home}/benchmarks && . ../.venv/bin/activate"
    testbed.run(f"{here} && python killed_submissions.py inside {moment} || true", check=False)
    killed = time.monotonic()
    time.sleep(WATCHDOG_S)
    left = listed(testbed)
    while listed(testbed) and time.monotonic() - killed < LIMIT_S:
        time.sleep(2)
    seconds = time.monotonic() - killed if left else 0.0
    return {"left": len(left), "seconds": round(seconds)}


def main() -> int:
    """Run the rounds in turns, and print one line each."""
    from on_testbed import install, options, project

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    rounds = []
    with project("killed", chosen.home) as lab:
        sides = {"this": lab}
        if chosen.against:
            sides["other"] = install(lab.testbed, chosen.against, "other-lab")
        for side in sides.values():
            side.testbed.run(f"mkdir -p {side.home}/benchmarks")
            text = Path(__file__).read_text()
            side.testbed.run(
                f"cat > {side.home}/benchmarks/killed_submissions.py <<'END'\n{text}\nEND"
            )
        for number in range(chosen.times):
            for side, where in sides.items():
                moment = MOMENTS[number % len(MOMENTS)]
                found = {"side": side, "moment": moment} | one_round(where, moment)
                print(json.dumps(found), flush=True)
                rounds.append(found)
    if chosen.json:
        chosen.json.write_text(json.dumps(rounds, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(float(sys.argv[2]))
    sys.exit(main())
