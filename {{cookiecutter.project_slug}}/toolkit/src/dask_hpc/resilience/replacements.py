"""Submit jobs in place of others, after a delay, and again where the batch system refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .restart_policy import MAX_RESUBMIT_DELAY_S, RestartLimits, backoff
from .tracked_job import RestartHistory, TrackedJob

if TYPE_CHECKING:
    from .._asyncio import BackgroundTasks, Clock
    from .._output.messages import Messages
    from ..errors import SubmitError
    from .interface import JobPool

# Between tries while the job that it replaces is still there.
QUOTA_RETRY_S = 10.0


class Replacements:
    """The jobs that are about to be submitted in place of others.

    Parameters
    ----------
    pool : JobPool
    clock : Clock
    messages : Messages
    tasks : BackgroundTasks
    limits : RestartLimits

    Attributes
    ----------
    scheduled : int
        Jobs whose delay is not over.
    abandoned : int
        Jobs that are not submitted again, since the last `scale` or `adapt`.
    """

    def __init__(
        self,
        pool: JobPool,
        clock: Clock,
        messages: Messages,
        tasks: BackgroundTasks,
        limits: RestartLimits,
    ):
        self.scheduled = 0
        self.abandoned = 0
        self._pool = pool
        self._clock = clock
        self._messages = messages
        self._tasks = tasks
        self._limits = limits
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
        self._tasks.spawn(self._submit(delay, histories))

    def schedule_successor(self, job: TrackedJob, end: float) -> bool:
        """Submit another job in place of one that was released and ends by then, if it is needed.

        Parameters
        ----------
        job : TrackedJob
        end : float
            By the monotonic clock.

        Returns
        -------
        bool
            Whether another one is needed.
        """
        needed = len(self._pool.names) + self.scheduled < self._pool.target
        if needed:
            until = end + MAX_RESUBMIT_DELAY_S
            self.schedule(0.0, [replace(job.history, predecessor_until=until)])
        return needed

    async def _submit(self, delay: float, histories: list[RestartHistory]) -> None:
        pool = self._pool
        await self._clock.sleep(delay)
        self.scheduled -= len(histories)
        if not pool.is_running:
            return
        mine = {}
        for history in histories:
            if len(pool.names) < pool.target:
                mine[pool.add(history.kind)] = history
        self._inherited.update(mine)
        try:
            await pool.submit()
        finally:
            # Those that were taken have been noted by now.
            refused = [self._inherited.pop(name) for name in mine if name in self._inherited]
        # Two that return at once may be refused together, for one reason.
        self._refusal = pool.pop_submit_error() or self._refusal
        if refused and self._refusal is not None:
            self._handle_refusal(self._refusal, refused)

    def _handle_refusal(self, refusal: SubmitError, histories: list[RestartHistory]) -> None:
        most, now = self._limits.max_resubmits, self._clock.monotonic()
        later = []
        for history in histories:
            if now >= history.predecessor_until:  # until then that one counts for the site's limits
                history = replace(history, failures=history.failures + 1)
            if history.failures <= most:
                later.append(history)
        if len(later) < len(histories):
            self.abandoned += len(histories) - len(later)
            self._messages.warning(f"{refusal} It is not submitted again.")
        if not later:
            return
        failures = max(history.failures for history in later)
        delay = backoff(failures) if failures else QUOTA_RETRY_S
        count = f" ({failures} of {most})" if failures else ""
        line = f"{refusal} Next try in {delay:g} s{count}."
        if failures or line not in self._messages.recent:
            self._messages.warning(line)
        self._pool.target += len(later)
        self.schedule(delay, later)
