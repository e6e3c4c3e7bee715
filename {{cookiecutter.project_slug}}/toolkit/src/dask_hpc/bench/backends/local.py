"""A backend on this computer's cores."""

import logging
import signal
from multiprocessing import resource_tracker

from ..plan import JobLayout
from ._dask import DaskBackend


class LocalBackend(DaskBackend):
    """A LocalCluster: worker processes on this computer, each as large as a job would be."""

    name = "local"

    def make_cluster(self, shape: JobLayout):
        from ...cluster.local import LocalCluster

        cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=shape.threads,
            processes=True,
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            # The tasks need almost no memory, but a small machine's default limit could stop them.
            memory_limit=None,
            # Workers that end during tasks would log a message for each of them.
            silence_logs=logging.CRITICAL,
        )
        _spare_children_ctrl_c(cluster)
        return cluster

    def scale(self, shape: JobLayout) -> None:
        self.cluster.scale(shape.workers)  # this computer is always one job


def _spare_children_ctrl_c(cluster) -> None:
    """Make worker processes that are started from now on ignore Ctrl-C.

    A terminal sends it to all processes of the command, and all of them would print a traceback
    while this one ends them in an orderly way. Child processes inherit blocked signals from the
    thread that starts them, which is that of the cluster's loop.
    """

    async def block():
        # Otherwise, Python starts this helper with the first child, and unblocks the signal then.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        cluster.sync(block)
