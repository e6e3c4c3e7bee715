"""Notice when workers come and go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from distributed import Scheduler, SchedulerPlugin
from distributed.core import Status

from .._compat import upstream
from ..resilience.task_limits import WalltimeInterruptions
from ..resilience.tracking import JobTracker

# Statuses that a worker reports before it closes.
CLOSING = Status.closing_gracefully, Status.closing


@dataclass(eq=False)
class WorkerEventsPlugin(SchedulerPlugin):
    """Report workers that connect and leave, tasks that end, and the closing of the scheduler.

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
            self.interruptions.counts.pop(key, None)  # the task finished, or is not needed
        if start == "processing" and finish in ("memory", "erred"):
            self.tracker.task_ended(kwargs.get("worker"))

    def remove_worker(self, scheduler, worker, **_):
        told = {
            event.get("status")
            for _, event in scheduler.get_events(worker)
            if event.get("action") == "worker-status-change"
        }
        # A worker that is retired reports closing_gracefully first.
        closing = next((s.name for s in CLOSING if s.name in told), "")
        self.tracker.worker_removed(worker, lost_tasks(scheduler, worker), closing)

    async def before_close(self):
        self.scheduler_closes()


@dataclass(eq=False)
class LostTasksPlugin(SchedulerPlugin):
    """Call a function when a worker leaves unasked while it has tasks."""

    on_lost: Callable[[], None]
    name: ClassVar = "dask-hpc"

    def remove_worker(self, scheduler, worker, **_):
        if lost_tasks(scheduler, worker):
            self.on_lost()


def lost_tasks(scheduler: Scheduler, worker: str) -> list[str]:
    """Return the keys of the tasks of a worker that has just left, if it left unasked."""
    events = [event for _, event in scheduler.get_events(worker)]
    removals = [event for event in events if event.get("action") == "remove-worker"]
    if not removals or not upstream.is_known("removals") or removals[-1]["expected"]:
        return []
    return list(removals[-1].get("processing-tasks", ()))
