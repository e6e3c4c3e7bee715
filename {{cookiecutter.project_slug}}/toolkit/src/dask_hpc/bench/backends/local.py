"""Measure on this computer's cores."""

import logging
import signal
from multiprocessing import resource_tracker

from ..plan import JobLayout
from ._dask import DaskBackend


class LocalBackend(DaskBackend):
    """A LocalCluster: worker processes of this computer, each as large as a job would be."""

    name = "local"

    def make_cluster(self, shape: JobLayout):
        from ...cluster.local import LocalCluster

        cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=shape.threads,
            processes=True,
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            # These tasks need none to speak of, and a share of a small machine's could stop them.
            memory_limit=None,
            # Ended in the middle of a task, workers would say so once a task.
            silence_logs=logging.ERROR,
        )
        _spare_children_ctrl_c(cluster)
        return cluster

    def scale(self, jobs: int) -> None:
        self.cluster.scale(jobs)  # workers: this computer is one job, however many they are


def _spare_children_ctrl_c(cluster) -> None:
    """Keep Ctrl-C from the worker processes that are started from now on.

    A terminal sends it to every process of the command, and all of them would print a traceback
    while this one is ending them in order. Child processes inherit blocked signals from the thread
    that starts them, which is the cluster's loop.
    """

    async def block():
        # Python starts this helper with the first child process, and then unblocks the signal.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    cluster.sync(block)
