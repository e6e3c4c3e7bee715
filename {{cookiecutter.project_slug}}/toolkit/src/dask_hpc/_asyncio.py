"""Run tasks in the background of an event loop."""

import asyncio
import logging
from collections.abc import Coroutine

logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Tasks that nobody waits for: keeps them while they run, and logs their errors.

    Parameters
    ----------
    what : str
        What the tasks do, for the log.
    """

    def __init__(self, what: str):
        self._what = what
        self._running: set[asyncio.Task] = set()

    def spawn(self, coroutine: Coroutine) -> asyncio.Task:
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self) -> None:
        """Cancel all tasks except the one that calls this."""
        for task in self._running - {asyncio.current_task()}:
            task.cancel()

    async def wait(self) -> None:
        """Wait until all tasks have ended."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _done(self, task: asyncio.Task) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s failed", self._what, exc_info=task.exception())
