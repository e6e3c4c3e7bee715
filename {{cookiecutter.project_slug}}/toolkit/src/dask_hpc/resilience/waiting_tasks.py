"""Look after tasks that wait although nobody will run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._compat.unrunnable_tasks import restart_unrunnable

if TYPE_CHECKING:
    from .._output.messages import Messages
    from .interface import JobPool
    from .resubmission import Resubmitter
    from .tracking import JobTracker


class WaitingTasks:
    """Says, once, that tasks wait for workers while no job is there or about to come.

    Parameters
    ----------
    pool : JobPool
    tracker : JobTracker
    messages : Messages
    resubmitter : Resubmitter
    """

    def __init__(
        self, pool: JobPool, tracker: JobTracker, messages: Messages, resubmitter: Resubmitter
    ):
        self._pool = pool
        self._tracker = tracker
        self._messages = messages
        self._resubmitter = resubmitter
        self._warned = False

    def tick(self) -> None:
        """Look for such tasks. To be called now and then."""
        self._warn()
        restart_unrunnable(self._pool.scheduler)

    def _warn(self) -> None:
        pool, scheduler = self._pool, self._pool.scheduler
        jobs = len(self._tracker) or self._resubmitter.scheduled or pool.names
        over = not jobs and not scheduler.workers
        waiting = len(scheduler.queued) + len(scheduler.unrunnable)
        abandoned = self._resubmitter.replacements.abandoned
        if not over or not abandoned or not waiting or pool.is_adapting:
            self._warned = self._warned and over
        elif not self._warned:
            self._warned = True
            tasks = "a task waits" if waiting == 1 else f"{waiting} tasks wait"
            self._messages.warning(
                f"No job is left, and {tasks}: cluster.scale(jobs=...) asks for new ones."
            )
