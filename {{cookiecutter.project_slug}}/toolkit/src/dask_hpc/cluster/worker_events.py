"""Tell a cluster when workers come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributed import SchedulerPlugin
from distributed.core import Status

from .._compat import upstream
from ..resilience.task_limits import WalltimeInterruptions

if TYPE_CHECKING:
    from .mixin import ClusterMixin
# What a worker tells of its own end, beforehand.
CLOSING = Status.closing_gracefully, Status.closing


class WorkerEventsPlugin(SchedulerPlugin):
    """Tells the cluster which workers come and go, and when its scheduler closes."""

    name = "dask-hpc"

    def __init__(self, cluster: ClusterMixin, interruptions: WalltimeInterruptions):
        self._cluster = cluster
        self._recovery = cluster.recovery
        self._interruptions = interruptions

    def add_worker(self, scheduler, worker):
        self._recovery.on_worker_added(scheduler.workers[worker])

    def transition(self, key, start, finish, *_, **kwargs):
        if finish in ("memory", "forgotten") and self._interruptions.counts:
            self._interruptions.counts.pop(key, None)  # it came through
        if finish == "memory" and key in self._recovery.nodes.suspect_tasks:
            self._recovery.nodes.task_succeeded(key)
        if start == "processing" and finish in ("memory", "erred"):
            self._recovery.on_task_ended(kwargs.get("worker"))

    def remove_worker(self, scheduler, worker, **_):
        events = [event for _, event in scheduler.get_events(worker)]
        removals = [e for e in events if e.get("action") == "remove-worker"]
        died = upstream.REMOVALS.is_known and bool(removals) and not removals[-1]["expected"]
        told = {e.get("status") for e in events if e.get("action") == "worker-status-change"}
        # One that leaves in order closes gracefully first.
        closing = next((s.name for s in CLOSING if s.name in told), "")
        tasks = removals[-1].get("processing-tasks", ()) if died else ()
        self._recovery.on_worker_removed(worker, tasks, closing)

    async def before_close(self):
        self._cluster.scheduler_closes()
