"""Tell the tracker when workers come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from distributed import SchedulerPlugin
from distributed.core import Status

from .._compat import upstream

if TYPE_CHECKING:
    from ..resilience.task_limits import WalltimeInterruptions
    from ..resilience.tracking import JobTracker

# Statuses that a worker reports before it closes.
CLOSING = Status.closing_gracefully, Status.closing


class WorkerEventsPlugin(SchedulerPlugin):
    """Report workers that connect and leave, tasks that end, and the closing of the scheduler.

    Parameters
    ----------
    tracker : JobTracker
    interruptions : WalltimeInterruptions
    scheduler_closes : callable
    """

    name = "dask-hpc"

    def __init__(
        self,
        tracker: JobTracker,
        interruptions: WalltimeInterruptions,
        scheduler_closes: Callable[[], None],
    ):
        self._tracker = tracker
        self._interruptions = interruptions
        self._scheduler_closes = scheduler_closes

    def add_worker(self, scheduler, worker):
        self._tracker.worker_added(scheduler.workers[worker])

    def transition(self, key, start, finish, *_, **kwargs):
        if finish in ("memory", "forgotten") and self._interruptions.counts:
            self._interruptions.counts.pop(key, None)  # the task finished, or is not needed
        if start == "processing" and finish in ("memory", "erred"):
            self._tracker.task_ended(kwargs.get("worker"))

    def remove_worker(self, scheduler, worker, **_):
        events = [event for _, event in scheduler.get_events(worker)]
        removals = [e for e in events if e.get("action") == "remove-worker"]
        died = upstream.is_known("removals") and bool(removals) and not removals[-1]["expected"]
        told = {e.get("status") for e in events if e.get("action") == "worker-status-change"}
        # A worker that is retired reports closing_gracefully first.
        closing = next((s.name for s in CLOSING if s.name in told), "")
        tasks = list(removals[-1].get("processing-tasks", ())) if died else []
        self._tracker.worker_removed(worker, tasks, closing)

    async def before_close(self):
        self._scheduler_closes()
