"""A mixin for clusters that close themselves."""

import asyncio


class SelfClosingMixin:
    """Mixin for a cluster class that may close although nobody has called `close`, once.

    The class has its own part of closing in ``_end``.
    """

    _ending: asyncio.Task | None = None

    def _end_itself(self) -> None:
        """Begin to close, in a task that closing does not cancel. To be called on the loop."""
        self._ending = asyncio.create_task(self._close())

    @property
    def _ends(self) -> bool:
        return self._ending is not None and not self._ending.done()

    def close(self, timeout=None):
        """Close the cluster and end its jobs; do nothing if it is closed already.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for that.
        """
        if self._ends and not self.asynchronous:
            # distributed takes the cluster for closed before all is done, and would stop the loop.
            self.sync(self._close)
        return super().close(timeout)

    async def _close(self):
        if self._ends and self._ending is not asyncio.current_task():
            await self._ending
        else:
            await self._end(super()._close)
