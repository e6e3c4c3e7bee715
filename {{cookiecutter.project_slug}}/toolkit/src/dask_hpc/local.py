"""This computer as a cluster, for labs or laptops without a batch system."""

from __future__ import annotations

import distributed
from dask.utils import parse_bytes
from distributed.core import Status

from . import config, values
from .errors import WorkersTimeout
from .tls import ConnectsApart

# Arguments of dask-jobqueue's classes that no key of jobqueue.yaml stands for, and keys that are
# arguments of LocalCluster as well.
BATCH_ONLY = {"config_name", "idle_timeout", "job_cls", "nanny", "scheduler_cls"}
LOCAL_TOO = {"name", "local_directory", "processes"}


class LocalCluster(ConnectsApart, distributed.LocalCluster):
    """distributed's LocalCluster, with the few calls that notebooks make on a batch cluster."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._most = max(1, len(self.worker_spec))

    def scale(self, n=0, jobs=None, memory=None, cores=None):
        """As for a batch cluster. There is one job at most, this computer, with all its workers."""
        if jobs is not None:
            n = self._most if jobs else 0
        return super().scale(n, memory=memory, cores=cores)

    def wait_for_workers(self, n_workers, timeout=None):
        """As for a batch cluster.

        Raises
        ------
        WorkersTimeout
            They were not there in time.
        """
        return self.sync(self._wait, n_workers, timeout)

    async def _wait(self, n_workers, timeout):
        try:
            await self._wait_for_workers(n_workers, timeout)
        except TimeoutError:
            workers = self.scheduler.workers.values()
            arrived = sum(worker.status == Status.running for worker in workers)
            raise WorkersTimeout(
                f"{arrived} of {n_workers} workers came within {timeout} s "
                f"(the cluster is scaled to {len(self.worker_spec)} workers).",
                arrived,
                n_workers,
            ) from None


def local_arguments(kwargs: dict) -> dict:
    """Arguments of a batch cluster as those of a LocalCluster.

    `cores`, `processes` and `memory` (of one job) become `n_workers`, `threads_per_worker` and
    `memory_limit` unless these are given; what only a batch system has is left out. Everything
    else is LocalCluster's own.
    """
    kwargs = dict(kwargs)
    cores, memory = kwargs.pop("cores", None), kwargs.pop("memory", None)
    processes = kwargs.pop("processes", None)
    if isinstance(processes, bool):  # LocalCluster's own meaning: False for threads alone
        kwargs["processes"], processes = processes, None
    dashboard = (kwargs.pop("scheduler_options", None) or {}).get("dashboard_address")
    if dashboard is not None:
        kwargs.setdefault("dashboard_address", dashboard)
    for name in (config.batch_arguments() | BATCH_ONLY) - LOCAL_TOO:
        kwargs.pop(name, None)
    if (found := values.whole(processes)) is not None:
        processes = found
    if cores is not None:
        cores = cores if values.whole(cores) is None else values.whole(cores)
        processes = processes or config.default_processes(cores)
        kwargs.setdefault("threads_per_worker", max(1, cores // processes))
    if processes is not None:
        kwargs.setdefault("n_workers", processes)
    if memory is not None:
        kwargs.setdefault(
            "memory_limit", parse_bytes(values.memory_text(memory)) // (processes or 1)
        )
    return kwargs
