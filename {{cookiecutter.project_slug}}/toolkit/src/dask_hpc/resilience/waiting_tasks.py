"""Warn about tasks that wait although no worker will run them."""

from dataclasses import dataclass

from .._compat.unrunnable_tasks import restart_unrunnable
from .policy import Policy
from .resubmission import Resubmitter


@dataclass(eq=False)
class WaitingTasks(Policy):
    """Warn, once, if tasks wait for workers while no job exists or is about to be submitted.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    resubmitter : Resubmitter
    """

    resubmitter: Resubmitter
    _warned = False

    def tick(self) -> None:
        """Check for such tasks. Call this periodically."""
        self._warn()
        restart_unrunnable(self.pool.scheduler)

    def _warn(self) -> None:
        pool, scheduler = self.pool, self.pool.scheduler
        jobs = len(self.tracker) or self.resubmitter.scheduled or pool.names
        over = not jobs and not scheduler.workers
        waiting = len(scheduler.queued) + len(scheduler.unrunnable)
        abandoned = self.resubmitter.replacements.abandoned
        if not over or not abandoned or not waiting or pool.is_adapting:
            self._warned = self._warned and over
        elif not self._warned:
            self._warned = True
            tasks = "1 task is" if waiting == 1 else f"{waiting} tasks are"
            self.messages.warning(
                f"No jobs left, but {tasks} still queued: call cluster.scale(jobs=...) to continue."
            )
