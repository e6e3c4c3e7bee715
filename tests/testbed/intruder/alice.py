"""A cluster of alice's: ``python alice.py SIDE KIND '{"argument": …}'``.

It is made by our classes or by plain Dask's, and described in a line of JSON. Then each line of
standard input, such as ``{"do": "square", "tasks": 8}``, is answered by one line.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import dask
from distributed import Client
from distributed.core import Status

SIDE, KIND, ARGUMENTS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
# As a user of dask-jobqueue would write it here; ours reads the lab's configuration.
PLAIN_SLURM = {
    "account": "lab",
    "queue": "short",
    "interface": "ib0",
    "walltime": "00:20:00",
    "scheduler_options": {"interface": "ib0", "dashboard_address": ":0"},
}
SIZE = {"cores": 2, "processes": 2, "memory": "2 GiB"}


def create():
    if KIND == "local":
        if SIDE == "ours":
            from dask_hpc import get_cluster

            with dask.config.set({"dask-hpc.batch-system": "none"}):
                return get_cluster(n_workers=1, threads_per_worker=1, **ARGUMENTS)
        from distributed import LocalCluster

        return LocalCluster(n_workers=1, threads_per_worker=1, **ARGUMENTS)
    if KIND == "allocation" and SIDE == "plain":
        from dask_jobqueue.slurm import SLURMRunner

        return SLURMRunner(scheduler_options={"interface": "ib0", "dashboard_address": ":0"})
    if SIDE == "ours":
        from dask_hpc import get_cluster

        return get_cluster(**SIZE | ARGUMENTS)
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(**SIZE | PLAIN_SLURM | ARGUMENTS)


def describe(cluster, client):
    """Return what an intruder may find out, by scanning ports, and the dashboard's secret."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    options = getattr(cluster, "scheduler_spec", {}).get("options", {})
    link = urlsplit(client.dashboard_link)
    return {
        "pid": os.getpid(),
        "scheduler": client.scheduler.address,
        "workers": list(workers),
        "nannies": [each["nanny"] for each in workers.values() if each.get("nanny")],
        "web_servers": [
            (each["host"], each["services"]["dashboard"])
            for each in workers.values()
            if "dashboard" in each["services"]
        ],
        "dashboard": client.scheduler_info()["services"].get("dashboard"),
        "link": link.geturl(),
        "secret": (options.get("http_prefix") or "/").strip("/"),
        "jobs": list(getattr(cluster, "job_ids", [])),
        "log_directory": getattr(getattr(cluster, "_dummy_job", None), "log_directory", None),
    }


def square(i, seconds):
    time.sleep(seconds)
    return i * i


def do_square(cluster, client, tasks=24, seconds=0.1):
    """Compute squares; say whether they are right."""
    futures = client.map(square, range(tasks), seconds=seconds, pure=False)
    try:
        results = client.gather(futures, errors="raise")
    except Exception as error:
        return {"right": False, "error": f"{type(error).__name__}: {error}"[:200]}
    return {"right": results == [i * i for i in range(tasks)]}


def do_spill(cluster, client, tasks=24, mib=60):
    """Hold more than fits in memory, which workers spill to files, and use it again."""
    held = client.map(lambda i: bytes([i]) * (mib << 20), range(tasks), pure=False)
    used = client.map(len, held, pure=False)
    try:
        return {"right": client.gather(used) == [mib << 20] * tasks}
    except Exception as error:
        return {"right": False, "error": f"{type(error).__name__}: {error}"[:200]}


def do_scale(cluster, client, jobs, workers=None):
    """Scale; wait for workers if asked to."""
    cluster.scale(jobs=jobs)
    if workers is not None:
        client.wait_for_workers(workers, timeout=60)
    return describe(cluster, client)


def do_submit(cluster, client, jobs, times):
    """Submit and cancel many jobs: a job script is written for each."""
    for _ in range(times):
        for wanted in (jobs, 0):
            with contextlib.suppress(Exception):  # the intruder may spoil a script
                cluster.scale(jobs=wanted)
            end = time.monotonic() + 20
            while len(cluster.workers) != wanted and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(3)  # for the jobs that start at once, which none of hers do
    return {}


def do_connect(cluster, client, times):
    """Make connections of clients, one after the other; say how many worked."""
    worked = 0
    for _ in range(times):
        with contextlib.suppress(Exception):
            with Client(cluster.scheduler_address, security=cluster.security, timeout=30):
                worked += 1
    return {"worked": worked}


def do_describe(cluster, client):
    return describe(cluster, client)


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever else is printed
    with create() as cluster, Client(cluster) as client:
        if KIND == "allocation" and SIDE == "ours":
            cluster.scale(jobs=1)
        if KIND != "jobs":
            client.wait_for_workers(1, timeout=60)
        if KIND == "allocation":
            Path("facts").write_text(json.dumps(describe(cluster, client)))
            time.sleep(600)
        print(json.dumps(describe(cluster, client)), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            answer = globals()[f"do_{request.pop('do')}"](cluster, client, **request)
            print(json.dumps(answer), file=answers, flush=True)
        if cluster.status is not Status.running:
            print("closed", file=sys.stderr)


if __name__ == "__main__":
    main()
