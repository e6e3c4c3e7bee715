"""Close asynchronous clusters whose event loop has stopped.

When Python exits, distributed closes all clusters. The loop of an asynchronous cluster has usually
stopped by then, as in JupyterLab, whose Dask panel does not close its clusters. distributed still
waits for that loop: 10 seconds, after which the cluster is not closed.
"""

from typing import Any

from distributed import SpecCluster
from distributed.core import Status


class StoppedLoopMixin(SpecCluster):
    """Mixin for `SpecCluster` classes that runs a stopped event loop to close the cluster."""

    def close(self, timeout=None):
        """Close the cluster; do nothing if it is already closed.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait until it is closed.
        """
        if self.status is not Status.closed and self._loop_has_stopped():
            return self.loop.run_sync(self._close, timeout)
        return super().close(timeout)

    def _loop_has_stopped(self) -> bool:
        try:
            loop: Any = self.loop
        except RuntimeError:  # the cluster was never started
            return False
        return not loop.asyncio_loop.is_running() and not loop.asyncio_loop.is_closed()
