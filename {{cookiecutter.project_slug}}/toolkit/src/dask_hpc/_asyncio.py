"""Background tasks on an event loop, and a clock that tests can replace."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Clock:
    """The clock that policies use; tests replace it."""

    def monotonic(self) -> float:
        """Return the monotonic time, in seconds."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since 1970, as Dask's scheduler uses them."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep for this many seconds."""
        await asyncio.sleep(seconds)


class BackgroundTasks:
    """Asyncio tasks that run in the background: keep references to them, and log their errors.

    Parameters
    ----------
    what : str
        What the tasks do, for the log.
    """

    def __init__(self, what: str):
        self._what = what
        self._running: set[asyncio.Task] = set()
        self._closed = False

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine, unless `close` was called."""
        if self._closed:
            coroutine.close()
            return
        self.start(coroutine)

    def start(self, coroutine: Coroutine[Any, Any, object]) -> asyncio.Task:
        """Run a coroutine, even after `close`, and return its task."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self) -> None:
        """Cancel all tasks except the one that calls this."""
        for task in self._running - {asyncio.current_task()}:
            task.cancel()

    def close(self) -> None:
        """Cancel all tasks, and start no more."""
        self._closed = True
        self.cancel()

    async def wait(self) -> None:
        """Wait until all tasks have ended."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _done(self, task: asyncio.Task) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s failed", self._what, exc_info=task.exception())
