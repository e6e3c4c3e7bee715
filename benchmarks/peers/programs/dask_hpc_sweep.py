"""dask_hpc's sweep: each result is saved as it comes."""

from functools import partial
from itertools import count

from common import NODES, OUT, cold_and_warm, report_versions, task


def main():
    from dask.distributed import Client

    from dask_hpc import SLURMCluster, __version__, sweep

    numbers = count()

    def run(items, seconds):
        folder = OUT.with_suffix(f".sweep-{next(numbers)}")
        return list(sweep(partial(task, seconds=seconds), items, out=folder))

    with SLURMCluster() as cluster, Client(cluster):
        cluster.scale(jobs=NODES)
        cold_and_warm(run)
    report_versions("distributed", dask_hpc=__version__)


if __name__ == "__main__":
    main()
