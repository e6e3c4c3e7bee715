"""Hold what `dask hpc bench advise` says against runs with each number of jobs, and each shape.

    python benchmarks/advise.py [--rounds 3] [--json docs/data/advise.jsonl]

Each round asks for advice for four functions on the testbed, and then runs all inputs of each:
those that sleep, evenly and unevenly, on 1 to 4 jobs; the one that computes, with threads and with
processes, on the two cores that there are; and the one that needs memory on one job. Prints
a Markdown table. With `--json`, each row is written as soon as it is measured, and rows that are
already in the file are not measured again.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

INPUTS = 300
JOBS = (1, 2, 3, 4)
CORES = 8
# Cores and processes of a job; numbers of jobs; inputs.
SHAPES: dict[str, list[tuple[int, int, int, int]]] = {
    "even": [(CORES, 4, jobs, INPUTS) for jobs in JOBS],
    "uneven": [(CORES, 4, jobs, INPUTS) for jobs in JOBS],
    "computing": [(2, 1, 1, 40), (2, 2, 1, 40)],
    "memory": [(CORES, 4, 1, 60)],
}


def even(_):
    """Sleep for a second."""
    time.sleep(1)


def uneven(number):
    """Sleep for a time that differs from input to input: lognormal, 1 s in the mean."""
    import random

    sigma = 0.6
    time.sleep(random.Random(number).lognormvariate(-(sigma**2) / 2, sigma))


def computing(_):
    """Compute in Python for about half a second."""
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        sum(range(1000))


def memory(_):
    """Need 200 MiB for half a second."""
    block = bytearray(200 << 20)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    time.sleep(0.5)


FUNCTIONS = {"even": even, "uneven": uneven, "computing": computing, "memory": memory}


def asked(name: str) -> dict:
    """Return what `dask hpc bench advise` would say."""
    import dask

    from dask_hpc.bench import advice, trial

    cores, processes, _, inputs = SHAPES[name][0]
    profile = {"cores": cores, "processes": processes}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in profile.items()}):
        found = trial.measure(FUNCTIONS[name], range(inputs))
    said = advice.advise(found, inputs, max_jobs=max(JOBS))
    return {
        "work_s": {forecast.jobs: forecast.work_s for forecast in said.ladder},
        "start_s": found.start_s,
        "quickest": said.quickest.jobs,
        "best": said.best.jobs,
        "processes": said.processes,
        "worker_mib": found.base_mib + found.call_mib * cores / processes,
    }


def run(name: str, cores: int, processes: int, jobs: int, inputs: int) -> dict:
    """Return how long all inputs took on workers that are ready, and their peak memory."""
    from dask.distributed import Client

    from dask_hpc import get_cluster
    from dask_hpc.bench.trial import _peak_mib

    with get_cluster(cores=cores, processes=processes) as cluster, Client(cluster) as client:
        cluster.scale(jobs=jobs)
        cluster.wait_for_workers(jobs * processes, timeout=180)
        begin = time.monotonic()
        client.gather(client.map(FUNCTIONS[name], range(inputs), pure=False))
        work_s = time.monotonic() - begin
        return {"work_s": work_s, "worker_mib": max(client.run(_peak_mib).values())}


def table(rows: list[dict]) -> str:
    """Return a Markdown table of forecasts and of what was measured, as medians."""
    from tests.tables import markdown

    lines = []
    for name, shapes in SHAPES.items():
        said = [row["found"] for row in rows if row["function"] == name and row["shape"] is None]
        for shape in shapes:
            found = [
                row["found"]
                for row in rows
                if row["function"] == name and row["shape"] == list(shape)
            ]
            if not said or not found:
                continue
            cores, processes, jobs, inputs = shape
            work = median(it["work_s"] for it in found)
            mib = median(it["worker_mib"] for it in found)
            forecasts, advised = ["", ""], [jobs == it["quickest"] for it in said]
            if name == "memory":
                forecast = median(it["worker_mib"] for it in said)
                forecasts[1] = f"{forecast:.0f} MiB ({forecast / mib - 1:+.0%})"
                advised = []
            elif name == "computing":
                advised = [processes == it["processes"] for it in said]
            else:
                forecast = median(it["work_s"][str(jobs)] for it in said)
                forecasts[0] = f"{forecast:.1f} s ({forecast / work - 1:+.0%})"
            lines.append(
                [
                    f"{name}, {inputs} inputs",
                    f"{jobs} x {processes} x {cores // processes}",
                    f"{work:.1f} s",
                    forecasts[0],
                    f"{mib:.0f} MiB",
                    forecasts[1],
                    f"{sum(advised)} of {len(advised)}" if advised else "",
                    str(len(found)),
                ]
            )
    head = ["function", "jobs x processes x threads", "measured", "forecast"]
    return markdown([*head, "peak of a worker", "forecast", "advised", "n"], lines)


def main() -> int:
    """Measure on the testbed and print the table; return the exit code."""
    from on_testbed import keep, kept, options, project, records

    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print the table of --json only")
    chosen = parser.parse_args()
    rows = kept(chosen.json)
    if not chosen.table:
        done = {(row["round"], row["function"], str(row["shape"])) for row in rows}
        todo = [
            (number, name, shape)
            for number in range(chosen.rounds)
            for name, shapes in SHAPES.items()
            for shape in (None, *map(list, shapes))
            if (number, name, str(shape)) not in done
        ]
        with project("advise", chosen.home) as lab:
            for number, name, shape in todo:
                printed = lab.python(Path(__file__), "inside", name, *(shape or ()), timeout=600)
                (found,) = records(printed)
                row = {"round": number, "function": name, "shape": shape, "found": found}
                rows.append(json.loads(json.dumps(row)))
                print(json.dumps(row), file=sys.stderr, flush=True)
                keep(chosen.json, row)
    print(table(rows))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        name, *shape = sys.argv[2:]
        print(json.dumps(run(name, *map(int, shape)) if shape else asked(name)))
    else:
        sys.exit(main())
