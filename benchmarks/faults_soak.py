"""Inject twelve faults, ten times each, while 500 one-second tasks run; check the results.

    python benchmarks/faults_soak.py [--times 10] [--faults kill-node,cancel-jobs] [--plain]

Each fault gets a cluster of three jobs, each on its own node of the testbed's four, and each
injection a map of 500 tasks. Records whether all results are correct, and the seconds from the
injection until the loss of workers was noticed, until as many workers had connected again, and
until the map was done. Prints a Markdown table; the exit code is 0 if all results were correct.
"""

import json
import sys
import time
from statistics import median

from hpc_testbed import TestbedError

# The first loses no workers; after the second, none come back by themselves.
NOTHING_BACK = {"restart-slurmctld", "cancel-jobs"}
FAULTS = [
    "kill-node",
    "pause-node",
    "cut-node",
    "cut-ib0",
    "break-fabric",
    "down-node",
    "cancel-jobs",
    "end-walltime",
    "exhaust-memory",
    "preempt-jobs",
    "skew-clock",
    "restart-slurmctld",
]
HEAD = ["fault", "results right", "lost workers noticed", "all workers back", "map done"]


def injections(lab, fault: str, side: str, times: int, tasks: int) -> list[dict]:
    """Inject one fault repeatedly into a cluster's first job; return the observations."""
    from tests.comparison.harness import Program, first_job, shortened

    settings = {"queue": "spare"} if fault == "preempt-jobs" else {}
    if fault == "exhaust-memory":
        settings["hold"] = 40  # MiB per task: twelve at once exceed what the node has left
    if fault in NOTHING_BACK:
        settings["settle"] = 5  # seconds after the map in which workers could come back
    rounds = []
    try:
        with Program(
            lab, "soak", side, times=times, tasks=tasks, seconds=9000, **settings
        ) as program:
            for number in range(times):
                program.event(f"ready {number}", 300)
                _, node = first_job(lab.testbed)
                injected = time.time()
                lab.testbed.inject(fault, node=node)
                lab.testbed.run(f"touch {program.folder}/go-{number}")
                seen = program.event(f"round {number}", 600)
                found = {"fault": fault, "side": side, "number": number, "right": seen["right"]}
                for name in ("dropped", "back", "done"):
                    found[name] = seen[name] and round(seen[name] - injected, 1)
                print(json.dumps(found), file=sys.stderr, flush=True)
                rounds.append(found)
                lab.testbed.repair()
                lab.testbed.run(f"touch {program.folder}/go-{number}")
            program.ended()
            if rounds:
                rounds[-1]["said"] = shortened(program.said())
    except (AssertionError, TestbedError) as error:  # the program ended early, or is late
        rounds.append({"fault": fault, "side": side, "number": len(rounds), "right": False})
        rounds[-1]["problem"] = str(error)[:2000]
        print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    finally:
        lab.testbed.repair()
    return rounds


def table(rounds: list[dict]) -> list[list[str]]:
    """Return the table's rows, one for each fault."""
    lines = []
    for fault in dict.fromkeys(row["fault"] for row in rounds):
        rows = [row for row in rounds if row["fault"] == fault]
        good = sum(row["right"] for row in rows)
        cells = [_times(rows, name) for name in ("dropped", "back", "done")]
        lines.append([f"`{fault}`", f"{good} of {len(rows)}", *cells])
    return lines


def _times(rows: list[dict], name: str) -> str:
    values = [row[name] for row in rows if row.get(name)]
    if not values:
        return "-"
    often = "" if len(values) == len(rows) else f" ({len(values)} times)"
    return f"{median(values):.0f} s, at most {max(values):.0f} s{often}"


def main() -> int:
    """Run the soak and print its table; return the exit code."""
    from on_testbed import options, project

    from tests.tables import markdown

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--plain", action="store_true", help="dask-jobqueue's own class")
    chosen = parser.parse_args()
    side = "plain" if chosen.plain else "ours"
    rounds = []
    with project("soak", chosen.home) as lab:
        for fault in chosen.faults.split(","):
            rounds += injections(lab, fault, side, chosen.times, chosen.tasks)
            if chosen.json:  # write it after each fault, since this takes hours
                chosen.json.write_text(json.dumps(rounds, indent=1) + "\n")
    print(markdown(HEAD, table(rounds)))
    good = sum(row["right"] for row in rounds)
    print(f"\nThe results were right in {good} of {len(rounds)} rounds.")
    return int(good < len(rounds))


if __name__ == "__main__":
    sys.exit(main())
