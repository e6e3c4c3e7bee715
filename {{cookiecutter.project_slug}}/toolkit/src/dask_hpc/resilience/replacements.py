"""Submit jobs in place of others, after a delay, and again where the batch system refuses them."""

from dataclasses import dataclass, field, replace

from ..errors import SubmitError
from .policy import Policy
from .restart_policy import MAX_RESUBMIT_DELAY_S, RestartLimits, backoff
from .tracked_job import RestartHistory, TrackedJob

# Between tries while the job that it replaces is still there.
QUOTA_RETRY_S = 10.0


@dataclass(eq=False)
class Replacements(Policy):
    """The jobs that are about to be submitted in place of others.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    limits : RestartLimits

    Attributes
    ----------
    scheduled : int
        Jobs whose delay is not over.
    abandoned : int
        Jobs that are not submitted again, since the last `scale` or `adapt`.
    """

    limits: RestartLimits
    scheduled = 0
    abandoned = 0
    _refusal: SubmitError | None = field(default=None, init=False)  # the last one
    # By name: jobs that are being submitted.
    _inherited: dict[str, RestartHistory] = field(default_factory=dict, init=False)

    @property
    def is_submitting(self) -> bool:
        """Whether some of them are being submitted at this moment."""
        return bool(self._inherited)

    def take_history(self, name: str) -> RestartHistory | None:
        """Return what a job that was submitted just now inherits; None if it replaces no other."""
        return self._inherited.pop(name, None)

    def schedule(self, delay: float, histories: list[RestartHistory]) -> None:
        """Submit jobs with these histories after so many seconds, as far as they are wanted."""
        self.scheduled += len(histories)
        self.tasks.spawn(self._submit(delay, histories))

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
        needed = len(self.pool.names) + self.scheduled < self.pool.target
        if needed:
            until = end + MAX_RESUBMIT_DELAY_S
            self.schedule(0.0, [replace(job.history, predecessor_until=until)])
        return needed

    async def _submit(self, delay: float, histories: list[RestartHistory]) -> None:
        pool = self.pool
        await self.clock.sleep(delay)
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
        most, now = self.limits.max_resubmits, self.clock.monotonic()
        later = []
        for history in histories:
            if now >= history.predecessor_until:  # until then that one counts for the site's limits
                history = replace(history, failures=history.failures + 1)
            if history.failures <= most:
                later.append(history)
        if len(later) < len(histories):
            self.abandoned += len(histories) - len(later)
            self.messages.warning(f"{refusal} It is not submitted again.")
        if not later:
            return
        failures = max(history.failures for history in later)
        delay = backoff(failures) if failures else QUOTA_RETRY_S
        count = f" ({failures} of {most})" if failures else ""
        line = f"{refusal} Next try in {delay:g} s{count}."
        if failures or line not in self.messages.recent:
            self.messages.warning(line)
        self.pool.target += len(later)
        self.schedule(delay, later)
