"""Record what CI measures, many times: the speedup on 20, 60, and 120 slots of the testbed.

    python benchmarks/speedup.py [--times 20] [--json docs/data/speedup.jsonl]

Each run is one line, written as soon as it is measured; with an existing file, runs are added until
there are as many. The test in `test_headline.py` derives from them what CI accepts.
"""

import json
import os
import sys
import time
from pathlib import Path

# One repeat at each; K = 500 tasks of 1 s take 25, 9, and 5 s at best.
SLOTS = (20, 60, 120)
COMMAND = f"dask hpc bench run strong-scaling --slots {','.join(map(str, SLOTS))} --repeats 1"
RECORD = Path(__file__).resolve().parents[1] / "docs" / "data" / "speedup.jsonl"
# A run may be this much below the lowest of those that are recorded; above 0.93 it always passes.
MARGIN, ENOUGH = 0.03, 0.93


def lines(text: str) -> list[dict]:
    """Return the objects of a file of JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]


def efficiencies(record: list[dict]) -> dict[int, float]:
    """Return the efficiency at each number of slots in a benchmark record."""
    return {row["slots"]: row["efficiency"] for row in record if row["kind"] == "row"}


def floors(path: Path = RECORD) -> dict[int, float]:
    """Return the lowest efficiency that CI accepts at each number of slots."""
    runs = [run["efficiency"] for run in lines(path.read_text())]
    return {slots: min(ENOUGH, min(run[str(slots)] for run in runs) - MARGIN) for slots in SLOTS}


def measure(lab) -> dict:
    """Measure once in a project on the testbed; return the line to record."""
    out = "speedup"
    lab.testbed.run(
        f"cd {lab.home} && rm -rf {out} && .venv/bin/{COMMAND} --out {out} --no-next", timeout=300
    )
    record = lines(lab.testbed.run(f"cat {lab.home}/{out}/*.jsonl").stdout)
    start = next(line for line in record if line["kind"] == "start")
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M"),
        "efficiency": efficiencies(record),
        "cold_total_s": round(start["cold_total_s"], 2),
        "dask": record[0]["versions"]["dask"],
        "slurm": start["settings"]["SLURM_VERSION"],
        "cores": record[0]["machine"]["usable_cores"],
        "load": os.getloadavg()[0],
    }


def main() -> int:
    """Measure until the file has enough runs; return the exit code."""
    from on_testbed import options, project

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=20)
    chosen = parser.parse_args()
    path = chosen.json or RECORD
    there = len(lines(path.read_text())) if path.exists() else 0
    with project("speedup", chosen.home) as lab:
        for number in range(there, chosen.times):
            run = measure(lab)
            with path.open("a") as file:
                file.write(json.dumps(run) + "\n")
            print(f"run {number + 1}: {run['efficiency']}", flush=True)
    print({slots: round(floor, 3) for slots, floor in floors(path).items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
