"""Tell the tracker when workers come and go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from distributed import SchedulerPlugin
from distributed.core import Status

from .._compat import upstream
from ..resilience.task_limits import WalltimeInterruptions
from ..resilience.tracking import JobTracker

# What a worker tells of its own end, beforehand.
CLOSING = Status.closing_gracefully, Status.closing


@dataclass(eq=False)
class WorkerEventsPlugin(SchedulerPlugin):
    """Passes on which workers come and go, which tasks end, and that the scheduler closes.

    Parameters
    ----------
    tracker : JobTracker
    interruptions : WalltimeInterruptions
    scheduler_closes : callable
    """

    tracker: JobTracker
    interruptions: WalltimeInterruptions
    scheduler_closes: Callable[[], None]
    name: ClassVar = "dask-hpc"

    def add_worker(self, scheduler, worker):
        self.tracker.worker_added(scheduler.workers[worker])

    def transition(self, key, start, finish, *_, **kwargs):
        if finish in ("memory", "forgotten") and self.interruptions.counts:
            self.interruptions.counts.pop(key, None)  # it came through
        if start == "processing" and finish in ("memory", "erred"):
            self.tracker.task_ended(kwargs.get("worker"))

    def remove_worker(self, scheduler, worker, **_):
        events = [event for _, event in scheduler.get_events(worker)]
        removals = [e for e in events if e.get("action") == "remove-worker"]
        died = upstream.is_known("removals") and bool(removals) and not removals[-1]["expected"]
        told = {e.get("status") for e in events if e.get("action") == "worker-status-change"}
        # One that leaves in order closes gracefully first.
        closing = next((s.name for s in CLOSING if s.name in told), "")
        tasks = list(removals[-1].get("processing-tasks", ())) if died else []
        self.tracker.worker_removed(worker, tasks, closing)

    async def before_close(self):
        self.scheduler_closes()
