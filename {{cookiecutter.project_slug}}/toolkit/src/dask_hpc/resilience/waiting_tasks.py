"""Look after tasks that wait although nobody will run them."""

from dataclasses import dataclass

from .._compat.unrunnable_tasks import restart_unrunnable
from .policy import Policy
from .resubmission import Resubmitter


@dataclass(eq=False)
class WaitingTasks(Policy):
    """Says, once, that tasks wait for workers while no job is there or about to come.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    resubmitter : Resubmitter
    """

    resubmitter: Resubmitter
    _warned = False

    def tick(self) -> None:
        """Look for such tasks. To be called now and then."""
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
            tasks = "a task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.messages.warning(
                f"No job is left, and {tasks}: cluster.scale(jobs=...) asks for new ones."
            )
