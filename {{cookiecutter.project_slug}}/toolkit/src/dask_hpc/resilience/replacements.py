"""Submit jobs in place of others, after a delay, and again where the batch system refuses them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from distributed.core import Status

from ..errors import SubmitError
from .tracking import RestartHistory, TrackedJob

if TYPE_CHECKING:
    from ..cluster.mixin import ClusterMixin

# Before a job is submitted again: doubled each time, so that a site in trouble is left alone.
MIN_RESUBMIT_DELAY_S, MAX_RESUBMIT_DELAY_S = 1.0, 60.0
# Between tries while the job that it replaces is still there.
QUOTA_RETRY_S = 10.0


class Replacements:
    """The jobs that are about to be submitted in place of others.

    Parameters
    ----------
    cluster : ClusterMixin
    spawn : callable
        Runs a coroutine in the background.
    """

    def __init__(self, cluster: ClusterMixin, spawn: Callable[[Coroutine[Any, Any, object]], None]):
        self._cluster = cluster
        self._spawn = spawn
        self.scheduled = 0  # jobs whose delay is not over
        self._inherited: dict[str, RestartHistory] = {}  # by name: jobs that are being submitted
        self._refusal: SubmitError | None = None  # the last one

    @property
    def is_submitting(self) -> bool:
        """Whether some of them are being submitted at this moment."""
        return bool(self._inherited)

    def take_history(self, name: str) -> RestartHistory | None:
        """Return what a job that was submitted just now inherits; None if it replaces no other."""
        return self._inherited.pop(name, None)

    def clear(self) -> None:
        """Forget those that are scheduled, since the cluster is closing."""
        self.scheduled = 0

    def schedule(self, delay: float, histories: list[RestartHistory]) -> None:
        """Submit jobs with these histories after so many seconds, as far as they are wanted."""
        self.scheduled += len(histories)
        self._spawn(self._submit(delay, histories))

    def schedule_successor(self, job: TrackedJob, end: float) -> None:
        """Submit another job in place of one that ends by then (`time.monotonic`)."""
        job.history.predecessor_until = end + MAX_RESUBMIT_DELAY_S
        self.schedule(0.0, [job.history])

    async def _submit(self, delay: float, histories: list[RestartHistory]) -> None:
        cluster = self._cluster
        await asyncio.sleep(delay)
        self.scheduled -= len(histories)
        if cluster.status is not Status.running:
            return
        mine = {}
        for history in histories:
            if len(cluster.worker_spec) < cluster.target_jobs:
                spec = cluster.new_worker_spec(history.kind)
                mine.update(dict.fromkeys(spec, history))
                cluster.worker_spec.update(spec)
        self._inherited.update(mine)
        try:
            await cluster.submit_missing()
        finally:
            # Those that were taken have been noted by now.
            refused = [self._inherited.pop(name) for name in mine if name in self._inherited]
        # Two that return at once may be refused together, for one reason.
        self._refusal = cluster.submit_errors.pop() or self._refusal
        if refused and self._refusal is not None:
            self._handle_submit_errors(self._refusal, refused)

    def _handle_submit_errors(self, refusal: SubmitError, histories: list[RestartHistory]) -> None:
        recovery = self._cluster.recovery
        now, later = time.monotonic(), []
        for history in histories:
            if now < history.predecessor_until:  # that one still counts for the site's limits
                later.append(history)
                continue
            history.failures += 1
            if history.failures <= recovery.max_resubmits:
                later.append(history)
        if len(later) < len(histories):
            recovery.abandoned += len(histories) - len(later)
            recovery.report(f"{refusal} It is not submitted again.")
        if not later:
            return
        failures = max(history.failures for history in later)
        delay = backoff(failures) if failures else QUOTA_RETRY_S
        count = f" ({failures} of {recovery.max_resubmits})" if failures else ""
        line = f"{refusal} Next try in {delay:g} s{count}."
        if failures or line not in recovery.reported:
            recovery.report(line)
        self._cluster.target_jobs += len(later)
        self.schedule(delay, later)


def backoff(failures: int) -> float:
    """Return the seconds before a job is submitted again after so many failures in a row."""
    return min(MIN_RESUBMIT_DELAY_S * 2.0 ** min(failures - 1, 10), MAX_RESUBMIT_DELAY_S)
