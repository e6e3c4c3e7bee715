"""Compare ways to collect results, interleaved, on a LocalCluster, to justify the harness's choice.

    python benchmarks/profile_choice.py [REPEATS]

Runs 500 tasks of 1 s on 100 and on 120 slots, and 500 uneven ones (lognormal with a mean of 1 s, at
most 5.6 s, always the same) on 120, for each worker-saturation and each way to collect. Prints a
Markdown table of medians: total, how late after the ideal the last task ended, and the time after
that until all results were received. The ideal is the longest task, or the total work divided by
the slots (in whole tasks, if they are equal), whichever is larger. A table in
docs/explanation/benchmarks.md comes from this script.
"""

import math
import random
import sys
import time
from pathlib import Path
from statistics import median

from distributed import as_completed

from dask_hpc.bench.backends import _dask
from dask_hpc.bench.backends.local import LocalBackend
from dask_hpc.bench.tasks import sleep_task

TASKS = 500


def uneven(seed: int = 1) -> list[float]:
    """Return the lengths of the tasks, in seconds, with a mean of 1 s."""
    drawn = random.Random(seed)
    lengths = [drawn.lognormvariate(0, 0.5) for _ in range(TASKS)]
    mean = sum(lengths) / TASKS
    return [length / mean for length in lengths]


EVEN = [1.0] * TASKS
MAPS = {"100 slots": (100, EVEN), "120 slots": (120, EVEN), "120 slots, uneven": (120, uneven())}


def ideal(slots: int, lengths: list[float]) -> float:
    """Return the shortest possible time for these tasks, in seconds; exact if all are equal."""
    if len(set(lengths)) == 1:
        return math.ceil(len(lengths) / slots) * lengths[0]
    return max(*lengths, sum(lengths) / slots)


def timed(length: float):
    """Run the harness's task with this length."""
    return sleep_task(0, seconds=length)


async def gather(client, futures):
    """Gather all results at the end, as usual."""
    return await client.gather(futures)


async def one_by_one(client, futures):
    """Fetch each result when its task has ended."""
    ended = as_completed(futures, loop=client.loop, with_results=True)
    return [result async for _, result in ended]


WAYS = {
    (1.1, "`gather` (Dask's defaults)"): gather,
    (1.0, "`gather`"): gather,
    (2.0, "`gather`"): gather,
    (2.0, "`as_completed`"): one_by_one,
    (1.1, "`gather_between_waves`"): _dask.gather_between_waves,
    (1.0, "`gather_between_waves`"): _dask.gather_between_waves,
    (2.0, "`gather_between_waves` (the harness)"): _dask.gather_between_waves,
}


def main(repeats: int) -> None:
    """Measure and print."""
    from tests.tables import markdown

    table = {way: [] for way in WAYS}
    for slots, lengths in MAPS.values():
        backend = LocalBackend()
        try:
            backend.start(slots)
            backend.map(timed, [0.05] * slots)
            runs = {way: [] for way in WAYS}
            for _ in range(repeats):
                for way in WAYS:
                    runs[way].append(one(backend, *way, lengths, ideal(slots, lengths)))
        finally:
            backend.close()
        for way, found in runs.items():
            table[way] += [median(column) for column in zip(*found, strict=True)]
    heads = [f"{name}: {head}" for name in MAPS for head in ("total", "late", "tail")]
    rows = [[*way, *(f"{number:.2f}" for number in numbers)] for way, numbers in table.items()]
    print(markdown(["worker-saturation", "way", *heads], rows))


def one(backend, saturation, way, lengths, least):
    """Return total, lateness, and tail of one map, in seconds."""
    backend.cluster.scheduler.WORKER_SATURATION = saturation
    collect = WAYS[saturation, way]

    async def run():
        begin = time.time()
        futures = backend.client.map(timed, lengths, pure=False)
        results = await collect(backend.client, futures)
        end = time.time()
        assert len(results) == TASKS
        last = max(result[5] for result in results)  # (item, host, pid, thread, start, end)
        return end - begin, last - begin - least, end - last

    found = backend.cluster.sync(run)
    time.sleep(0.3)  # let Dask release the futures before the next map
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests/
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
