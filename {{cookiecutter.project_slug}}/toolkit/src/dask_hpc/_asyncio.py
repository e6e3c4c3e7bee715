"""Run tasks in the background of an event loop, once or regularly."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine

logger = logging.getLogger(__name__)

TICK_S = 1.0


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


class Ticker:
    """Calls functions once a second, one after another; the error of one is not the others'.

    Parameters
    ----------
    *parts : callable
        Without arguments; what one returns is awaited if it can be.
    on_stall : callable
        Called before them if the event loop was held up for longer than its timers ask for.
    """

    def __init__(
        self, *parts: Callable[[], Awaitable[None] | None], on_stall: Callable[[], None]
    ) -> None:
        self._parts = parts
        self._on_stall = on_stall
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. To be called on the event loop."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(TICK_S)
            if time.monotonic() - begun > 3 * TICK_S:
                self._on_stall()
            for part in self._parts:
                try:
                    if (done := part()) is not None:
                        await done
                except Exception:
                    logger.exception("A cluster could not look after its jobs")
