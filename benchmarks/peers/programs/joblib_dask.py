"""joblib with its Dask backend, on a plain cluster of dask-jobqueue.

joblib asks once, at the beginning, how many slots there are, so the program waits for its workers.
"""

from common import NODES, cold_and_warm, report_versions, task
from dask_jobqueue_map import plain_cluster


def main():
    import joblib
    from dask.distributed import Client

    def run(items, seconds):
        with joblib.parallel_config(backend="dask"):
            return joblib.Parallel()(joblib.delayed(task)(item, seconds) for item in items)

    with plain_cluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=NODES)
        client.wait_for_workers(NODES)
        cold_and_warm(run)
    report_versions("joblib", "distributed")


if __name__ == "__main__":
    main()
