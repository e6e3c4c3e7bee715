"""What is left of a closed cluster in its process."""

import gc
import weakref

from dask.distributed import Client

import dask_hpc


def used():
    """Make a cluster, use its dashboard and handlers, and close it; its scheduler, weakly."""
    with dask_hpc.SLURMCluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        client.scheduler_info()
        cluster.sync(cluster.scheduler.load_dashboard)
        return weakref.ref(cluster.scheduler)


def test_the_schedulers_of_closed_clusters_are_let_go(lab, caplog):
    # pytest keeps log records, and "Lost connection to ..." has a traceback whose frames hold
    # the scheduler: it is logged when a nanny's connection ends before the scheduler does.
    caplog.set_level("WARNING", logger="distributed.core")
    schedulers = [used() for _ in range(3)]
    gc.collect()
    assert [scheduler() for scheduler in schedulers] == [None] * 3
