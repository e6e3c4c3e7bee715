"""Create, scale, use, and close clusters in one process; check for failures and leaks.

    python benchmarks/soak.py [--rounds 100] [--plain]

Each round creates a cluster with two jobs on the testbed, runs a map on it, and closes it. After
each round, this measures the process's resident memory, threads, and open file handles. The exit
code is 0 if no round failed, no job was left, and nothing grew.
"""

import gc
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

HEAD = ["round", "seconds", "memory MiB", "threads", "handles", "jobs left"]
# The first rounds import and cache things, which is not a leak: count growth from here on.
SETTLED = 10
RSS_MIB = 10.0  # allowed growth from the ten rounds after SETTLED to the last ten


def inside(rounds: int, plain: bool) -> None:
    """Run the rounds and print a JSON line for each; runs on the login node."""
    if plain:
        from dask_jobqueue import SLURMCluster
    else:
        from dask_hpc import SLURMCluster
    from distributed import Client

    for number in range(1, rounds + 1):
        begin = time.monotonic()
        problem = None
        try:
            arguments = {"cores": 2, "processes": 2, "memory": "2 GiB"}
            with SLURMCluster(**arguments) as cluster, Client(cluster) as client:
                cluster.scale(jobs=2)
                cluster.wait_for_workers(4, timeout=120)
                results = client.gather(client.map(lambda i: i + 1, range(20), pure=False))
                assert results == list(range(1, 21)), results
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - begin
        gc.collect()
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        command = "squeue --me --noheader --states=pending,running --format=%i"
        found = {
            "round": number,
            "seconds": round(seconds, 2),
            "rss_mib": int(status["VmRSS"].split()[0]) / 1024,
            "threads": int(status["Threads"]),
            "thread_names": sorted(thread.name for thread in threading.enumerate()),
            "handles": len(list(Path("/proc/self/fd").iterdir())),
            "jobs_left": len(subprocess.getoutput(command).split()),
            "problem": problem,
        }
        print(json.dumps(found), flush=True)


def verdict(rows: list[dict]) -> list[str]:
    """Return what is wrong, one line each."""
    wrong = [f"round {row['round']}: {row['problem']}" for row in rows if row["problem"]]
    wrong += [
        f"round {row['round']}: {row['jobs_left']} jobs left" for row in rows if row["jobs_left"]
    ]
    if len(rows) < SETTLED + 20:
        return wrong  # too few to tell growth
    early, late = rows[SETTLED : SETTLED + 10], rows[-10:]
    for name in ("threads", "handles"):
        # Not the maximum: the kernel may briefly keep a thread that has ended in Python.
        before, after = (median(row[name] for row in part) for part in (early, late))
        if after > before:
            wrong.append(f"{name} grew from {before:g} to {after:g}")
    before, after = (median(row["rss_mib"] for row in part) for part in (early, late))
    if after - before > RSS_MIB:
        wrong.append(f"memory grew from {before:.0f} to {after:.0f} MiB")
    return wrong


def table(rows: list[dict]) -> list[list[object]]:
    """Return the table's rows: some of the rounds."""
    shown = [
        row for row in rows if row["round"] in (1, SETTLED, len(rows)) or not row["round"] % 25
    ]
    return [
        [row["round"], f"{row['seconds']:.1f}", f"{row['rss_mib']:.1f}"]
        + [row[name] for name in ("threads", "handles", "jobs_left")]
        for row in shown
    ]


def main() -> int:
    """Run the rounds on the testbed and print the results; return the exit code."""
    from on_testbed import options, project, records

    from tests.tables import markdown

    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--plain", action="store_true", help="dask-jobqueue's own class")
    chosen = parser.parse_args()
    with project("bench-soak", chosen.home) as lab:
        arguments = ["inside", chosen.rounds, *(["--plain"] if chosen.plain else [])]
        printed = lab.python(Path(__file__), *arguments)
    rows = records(printed)
    if chosen.json:
        chosen.json.write_text(json.dumps({"plain": chosen.plain, "rounds": rows}, indent=1) + "\n")
    wrong = verdict(rows)
    if len(rows) < chosen.rounds:
        wrong.append(f"only {len(rows)} of {chosen.rounds} rounds ran:\n{printed}")
    print(markdown(HEAD, table(rows)))
    failed = {row["round"] for row in rows if row["problem"] or row["jobs_left"]}
    print(f"\n{len(rows) - len(failed)} of {chosen.rounds} rounds succeeded.")
    for line in wrong:
        print(f"Error: {line}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(int(sys.argv[2]), "--plain" in sys.argv)
    else:
        sys.exit(main())
