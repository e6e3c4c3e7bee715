"""A release of Dask that has changed what a workaround relies on: the cluster goes without it."""

import inspect
import time
import urllib.request
from functools import reduce
from importlib import import_module

import pytest
from dask.distributed import Client, wait

import dask_hpc
from dask_hpc._compat import interrupts, upstream
from dask_hpc._compat.unrunnable_tasks import restart_unrunnable
from dask_hpc.cluster.local import LocalCluster
from dask_hpc.resilience.draining import reassign_queued, reset_suspicion, stop_accepting
from dask_hpc.resilience.task_limits import MAX_INTERRUPTIONS, WalltimeInterruptions

from ..marks import quick

# Bokeh takes two seconds to import: one process does.
pytestmark = pytest.mark.xdist_group("bokeh")


def rewritten(real):
    """Return a function that does the same, and whose source is another."""

    def function(*args, **kwargs):
        return real(*args, **kwargs)

    function.__signature__ = inspect.signature(real)
    return function


@pytest.fixture
def changed(request, monkeypatch):
    """Replace the functions that a part has lines of by others that do the same."""
    for place in upstream.PARTS[request.param]["lines"]:
        module, _, name = place.partition(":")
        *owners, last = name.split(".")
        owner = reduce(getattr, owners, import_module(module))
        monkeypatch.setattr(owner, last, rewritten(getattr(owner, last)))
    upstream.is_known.cache_clear()
    yield request.param
    upstream.is_known.cache_clear()


async def use_workarounds(scheduler):
    """Do what clusters do when jobs end, tasks hang, and workers die."""
    workers, tasks = list(scheduler.workers.values()), list(scheduler.tasks.values())
    keys = [task.key for task in tasks]
    restart_unrunnable(scheduler)
    reassign_queued(scheduler, workers[0])
    stop_accepting(scheduler, workers[:1])
    interruptions = WalltimeInterruptions(scheduler)
    for _ in range(MAX_INTERRUPTIONS if not upstream.is_known("failing-tasks") else 1):
        running = [task for task in tasks if task.state == "processing"]
        interruptions.stopped(running, "a minute")
    await scheduler.remove_worker(workers[0].address, stimulus_id="test")
    reset_suspicion(scheduler, keys)


@pytest.mark.parametrize(
    "changed",
    quick(upstream.PARTS, "removals"),
    indirect=True,
)
def test_cluster_works_without_workaround(lab, changed, caplog):
    caplog.set_level("INFO", logger="dask_hpc")
    interrupts.hide_calls_not_begun()
    with dask_hpc.SLURMCluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=60)
        futures = client.map(lambda x: time.sleep(0.1) or x + 1, range(20))
        wait(futures[0])
        cluster.sync(use_workarounds, cluster.scheduler)
        assert client.gather(futures) == list(range(1, 21))
        with urllib.request.urlopen(cluster.dashboard_link, timeout=60) as answer:
            assert b"Bokeh" in answer.read()
    if changed == "worker-exit":  # of workers on this computer
        with (
            LocalCluster(n_workers=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            assert client.submit(abs, -1).result() == 1
    assert not upstream.is_known(changed)
    assert upstream.PARTS[changed]["without"] in caplog.text
