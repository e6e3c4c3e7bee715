"""A cluster's life on a batch system, told as JSON; run inside its container, as a user.

Arguments: the batch system, and the settings of its section of ``jobqueue.yaml``, as JSON.
"""

import asyncio
import contextlib
import json
import sys
import time
import warnings

warnings.simplefilter("error", FutureWarning)
sys.path.insert(0, "/opt/toolkit")

import dask  # noqa: E402
from dask.distributed import Client  # noqa: E402

import dask_hpc  # noqa: E402
from dask_hpc.batch import watcher  # noqa: E402

PYTHON = "env PYTHONPATH=/opt/toolkit /usr/bin/python3"


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)


def line(cluster, workers, timeout):
    """Return the error, in a line, of waiting in vain for workers."""
    try:
        cluster.wait_for_workers(workers, timeout=timeout)
    except dask_hpc.DaskHPCError as error:
        return f"{type(error).__name__}: {error}"
    return "they came"


def main(name, settings, refused):
    settings = {
        "cores": 2,
        "processes": 2,
        "memory": "512 MiB",
        "log-directory": "logs",
        "scheduler-options": {"dashboard_address": ":0"},
        **settings,
    }
    dask.config.set({"dask-hpc.batch-system": name})
    dask.config.set({f"jobqueue.{name}.{key}": value for key, value in settings.items()})
    told = {}
    with dask_hpc.get_cluster(python=PYTHON) as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        cluster.wait_for_workers(4, timeout=120)
        told["sum"] = client.submit(sum, [1, 2]).result()
        until(lambda: len([j for j in cluster.watcher.jobs.values() if j.state == "running"]) == 2)
        told["running"] = [[job.state, job.node] for job in cluster.watcher.jobs.values()]
        cluster.scale(jobs=6)  # more than there is room for
        until(lambda: len(cluster.job_ids) == 6)
        # OAR's scheduler, which runs once in a while, predicts when a job starts.
        words = {"oar": "scheduledStart"}.get(name, "")
        jobs = cluster.watcher.jobs
        until(lambda: any(j.state == "pending" and words in j.reason for j in jobs.values()))
        told["waiting"] = line(cluster, 12, 5)
        mine = list(cluster.job_ids)
    told["cancelled"] = [cluster.watcher.jobs[job].state for job in mine]
    batch = cluster.batch
    # Asked until the batch system knows of none of them any more, or says that they are over.
    left = watcher.JobWatcher(batch, *mine)

    async def over():
        while left.active:
            await left.poll()
            await asyncio.sleep(1)

    with contextlib.suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(over(), 2 * watcher.GONE_AFTER_S))
    told["left"] = left.active
    with dask_hpc.get_cluster(python="exit 3; #") as cluster:
        cluster.scale(jobs=2)
        told["ended"] = line(cluster, 4, 60)
    told["refused"] = []
    for arguments in refused:
        with dask_hpc.get_cluster(**arguments) as cluster:
            cluster.scale(jobs=1)
            told["refused"].append(line(cluster, 1, 30))
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]))
