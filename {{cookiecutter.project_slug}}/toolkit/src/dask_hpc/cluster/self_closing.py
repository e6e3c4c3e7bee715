"""A mixin for clusters that close themselves."""

import asyncio


class SelfClosingMixin:
    """Mixin for cluster classes that may close, once, without a call of `close`.

    The class implements its own part of closing in ``_end``.
    """

    _ending: asyncio.Task | None = None

    def _end_itself(self) -> None:
        """Start closing, in a task that closing does not cancel. Call this on the event loop."""
        self._ending = asyncio.create_task(self._close())

    @property
    def _ends(self) -> bool:
        return self._ending is not None and not self._ending.done()

    def close(self, timeout=None):
        """Close the cluster and cancel its jobs; do nothing if it is already closed.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait until it is closed.
        """
        if self._ends and not self.asynchronous:
            # distributed considers the cluster closed too early, and would stop the event loop.
            self.sync(self._close)
        return super().close(timeout)

    async def _close(self):
        if self._ends and self._ending is not asyncio.current_task():
            await self._ending
        else:
            await self._end(super()._close)
