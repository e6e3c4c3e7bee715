"""What `sweep.py` runs on the testbed's login node: a cluster, and measurements on it.

    python sweep_inside.py MEASUREMENT '{"an": "argument"}'

Prints a JSON line for each measurement.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

THREADS = 30  # of a job, for the measurements on 120 slots
# What the lab's config/distributed.yaml changes, as Dask has it.
DASKS_OWN = {
    "distributed.scheduler.worker-saturation": 1.1,
    "distributed.scheduler.worker-ttl": "5 minutes",
    "distributed.scheduler.preload": [],
    "distributed.client.preload": [],
}
DASKS_OWN_OF_WORKERS = "export DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL=10ms"


def nap(item, seconds):
    """Sleep; return the item, and when it began and ended."""
    begin = time.time()
    time.sleep(seconds)
    return item, begin, time.time()


def double(item):
    """Do next to nothing."""
    return 2 * item


def read_and_nap(path):
    """Read a file, and work on it for a second."""
    text = path.read_text()
    time.sleep(1)
    return text


def note(item, seconds, calls):
    """Note the call in a file that all workers share, and sleep."""
    with Path(calls).open("a") as file:
        file.write(f"{os.environ['RUN']} {item}\n")
    time.sleep(seconds)
    return item


@contextlib.contextmanager
def cluster(jobs, threads=THREADS, processes=1, plain=False, **arguments):
    """Yield a client whose workers are all there and have computed something."""
    import dask
    import dask_jobqueue
    from distributed import Client

    import dask_hpc
    from dask_hpc import sweep  # noqa: F401 - before a clock runs, as programs import it

    arguments = {"cores": threads, "processes": processes, "memory": "4 GiB", **arguments}
    if plain:
        arguments["job_script_prologue"] = [DASKS_OWN_OF_WORKERS]
    with dask.config.set(DASKS_OWN if plain else {}), contextlib.ExitStack() as stack:
        create = dask_jobqueue.SLURMCluster if plain else dask_hpc.get_cluster
        made = stack.enter_context(create(**arguments))
        client = stack.enter_context(Client(made))
        made.scale(jobs=jobs)
        made.wait_for_workers(jobs * processes, timeout=180)
        client.gather(client.map(nap, range(jobs * threads), seconds=0.05, pure=False))
        yield client


# --- ways to run a function for many inputs, as a user types them ---------------------------------


def by_gather(client, function, inputs, **kwargs):
    """Return the results of the usual line."""
    return client.gather(client.map(function, inputs, **kwargs))


def by_as_completed(client, function, inputs, **kwargs):
    """Return the results, taken while tasks run."""
    from distributed import as_completed

    futures = client.map(function, inputs, **kwargs)
    found = {}
    for batch in as_completed(futures, with_results=True).batches():
        found.update((future.key, result) for future, result in batch)
    return [found[future.key] for future in futures]


def by_sweep(client, function, inputs, **kwargs):
    """Return the results of a sweep, which are in a folder when the clock stops."""
    from dask_hpc import sweep

    shutil.rmtree("results", ignore_errors=True)
    return sweep(function, inputs, "results", client=client, kwargs=kwargs)


WAYS = {"gather": by_gather, "as_completed": by_as_completed, "sweep": by_sweep}


def timed(way, client, function, inputs, **kwargs):
    """Return the results, as a list, and the seconds until they were there."""
    begin = time.time()
    results = WAYS[way](client, function, inputs, **kwargs)
    seconds = time.time() - begin
    return list(results), seconds


def naps(way, client, inputs, seconds):
    """Time tasks that sleep, and check their results."""
    begin = time.time()
    results, took = timed(way, client, nap, inputs, seconds=seconds)
    assert [item for item, _, _ in results] == list(inputs)
    first, last = min(it[1] for it in results), max(it[2] for it in results)
    # Until the first task began, and from the end of the last one to the last result.
    return {"seconds": took, "head": first - begin, "tail": begin + took - last}


def report(**found):
    """Print what was found."""
    print(json.dumps({**found, "load": os.getloadavg()[0]}), flush=True)


# --- measurements ---------------------------------------------------------------------------------


def headline(number, plain, ways, tasks, seconds, jobs):
    """Time long tasks on a warm cluster."""
    with cluster(jobs, plain=plain) as client:
        for turn, way in enumerate(ways):
            inputs = range(turn * tasks, (turn + 1) * tasks)
            side = "dask-jobqueue" if plain else "dask_hpc"
            found = naps(way, client, inputs, seconds)
            report(round=number, side=side, way=way, tasks=tasks, length=seconds, **found)
            time.sleep(0.5)  # let Dask release the results


def lengths(points, rounds, jobs):
    """Time tasks of different lengths, in both ways; `points` are dicts of way, length, tasks."""
    with cluster(jobs) as client:
        start = itertools.count(step=10**8)
        for number in range(rounds):
            for point in points[:: -1 if number % 2 else 1]:
                begin = next(start)
                inputs = range(begin, begin + point["tasks"])
                found = naps(point["way"], client, inputs, point["length"])
                report(round=number, **point, **found)
                time.sleep(0.5)


def files(rounds, number, jobs, processes):
    """Time a function that takes files, one worker thread for each process."""
    shutil.rmtree("data", ignore_errors=True)
    with cluster(jobs, processes, processes) as client:
        for turn in range(rounds):
            for way in ("sweep", "gather")[:: -1 if turn % 2 else 1]:
                folder = Path("data", f"{turn}-{way}").absolute()
                folder.mkdir(parents=True)
                for item in range(number):
                    (folder / f"{item:04}.txt").write_text(f"{turn} {way} {item}")
                inputs = sorted(folder.glob("*.txt"))
                results, seconds = timed(way, client, read_and_nap, inputs)
                assert results == [path.read_text() for path in inputs]
                report(round=turn, way=way, seconds=seconds)


def memory_mib():
    """Return the peak of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return size / 1024


def million(way, number, jobs, processes):
    """Measure the peak memory with many inputs that come from a generator."""
    with cluster(jobs, processes, processes) as client:
        before = memory_mib()
        begin = time.time()
        inputs = (item for item in range(number))
        results = WAYS[way](client, double, inputs if way == "sweep" else list(inputs))
        seconds = time.time() - begin
        peak = memory_mib()
        assert len(results) == number
        for position in (0, number // 2, number - 1):
            assert results[position] == 2 * position
        report(way=way, inputs=number, seconds=seconds, before_mib=before, peak_mib=peak)


def killed(way, run, moment, number, seconds, folder):
    """Compute, and get killed after `moment` seconds; None: to the end."""
    prologue = [f"export RUN={run}"]
    calls = str(Path(folder).absolute() / "calls")
    with cluster(2, 8, 1, job_script_prologue=prologue) as client:
        if moment is not None:
            threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL)).start()
        os.chdir(folder)
        begin = time.time()
        if way == "sweep":
            from dask_hpc import sweep

            results = sweep(note, range(number), kwargs={"seconds": seconds, "calls": calls})
        else:
            results = by_gather(client, note, range(number), seconds=seconds, calls=calls)
        took = time.time() - begin
        equal = list(results) == list(range(number))
    report(way=way, run=run, seconds=took, equal=equal)


def saved(folder):
    """Report which inputs have results in the folder."""
    from dask_hpc import sweep
    from dask_hpc.errors import SweepError

    try:
        inputs = [item for item, _ in sweep.results(f"{folder}/results").items()]
    except SweepError:
        inputs = []
    print(json.dumps({"saved": inputs}))


def calls(folder):
    """Report all calls, each as its run and its input."""
    lines = Path(folder, "calls").read_text().splitlines()
    print(json.dumps({"calls": [[int(part) for part in line.split()] for line in lines]}))


def about():
    """Report what was measured on."""
    from dask_hpc.bench import provenance

    print(
        json.dumps(
            {
                "date": provenance.now(),
                "versions": provenance.versions(),
                "machine": provenance.machine(),
                "environment": provenance.environment(),
            }
        )
    )


if __name__ == "__main__":
    globals()[sys.argv[1]](**json.loads(sys.argv[2]))
