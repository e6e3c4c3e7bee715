"""dask_hpc, as a member types it, with the lab's defaults."""

from common import NODES, cold_and_warm, report_versions, task


def main():
    from dask.distributed import Client

    from dask_hpc import SLURMCluster, __version__

    with SLURMCluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=NODES)
        cold_and_warm(
            lambda items, seconds: client.gather(client.map(task, items, seconds=seconds))
        )
    report_versions("distributed", dask_hpc=__version__)


if __name__ == "__main__":
    main()
