"""Plain dask-jobqueue, as its documentation begins: a cluster, scale, a client, a map."""

from common import INTERFACE, NODES, SLOTS_PER_NODE, cold_and_warm, report_versions, task


def plain_cluster():
    """Return a cluster that has not read the lab's configuration."""
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(
        cores=SLOTS_PER_NODE,
        processes=1,
        memory="8 GiB",
        queue="short",
        account="lab",
        walltime="00:10:00",
        interface=INTERFACE,
        scheduler_options={"interface": INTERFACE, "dashboard_address": ":0"},
    )


def main():
    from dask.distributed import Client

    with plain_cluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=NODES)
        cold_and_warm(
            lambda items, seconds: client.gather(client.map(task, items, seconds=seconds))
        )
    report_versions("dask-jobqueue", "distributed")


if __name__ == "__main__":
    main()
