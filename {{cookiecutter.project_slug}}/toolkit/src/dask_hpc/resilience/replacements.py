"""Submit replacement jobs after a delay, and retry when the batch system rejects them."""

from dataclasses import dataclass, field, replace

from ..errors import SubmitError
from .policy import Policy
from .restart_policy import MAX_RESUBMIT_DELAY_S, RestartLimits, backoff
from .tracked_job import RestartHistory, TrackedJob

# Delay between attempts while the job to replace still exists and may count toward a job limit.
QUOTA_RETRY_S = 10.0


@dataclass(eq=False)
class Replacements(Policy):
    """Replacement jobs that are about to be submitted.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    limits : RestartLimits

    Attributes
    ----------
    scheduled : int
        Number of jobs that wait for their delay.
    abandoned : int
        Number of jobs given up since the last `scale` or `adapt`.
    """

    limits: RestartLimits
    scheduled = 0
    abandoned = 0
    _refusal: SubmitError | None = field(default=None, init=False)  # the last one
    # Histories of the jobs that are being submitted, by job name.
    _inherited: dict[str, RestartHistory] = field(default_factory=dict, init=False)

    @property
    def is_submitting(self) -> bool:
        """Whether replacements are being submitted at this moment."""
        return bool(self._inherited)

    def take_history(self, name: str) -> RestartHistory | None:
        """Return the history that a just submitted job inherits; None if it is no replacement."""
        return self._inherited.pop(name, None)

    def schedule(self, delay: float, histories: list[RestartHistory]) -> None:
        """Submit jobs with these histories after `delay` seconds, unless no longer wanted."""
        self.scheduled += len(histories)
        self.tasks.spawn(self._submit(delay, histories))

    def schedule_successor(self, job: TrackedJob, end: float) -> bool:
        """Submit a replacement for a released job, if one is needed.

        Parameters
        ----------
        job : TrackedJob
        end : float
            When the job ends, in seconds of the monotonic clock.

        Returns
        -------
        bool
            Whether a replacement is needed.
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
            # Accepted jobs have taken their history by now.
            refused = [self._inherited.pop(name) for name in mine if name in self._inherited]
        # Two concurrent calls may be rejected together, with a single error.
        self._refusal = pool.pop_submit_error() or self._refusal
        if refused and self._refusal is not None:
            self._handle_refusal(self._refusal, refused)

    def _handle_refusal(self, refusal: SubmitError, histories: list[RestartHistory]) -> None:
        most, now = self.limits.max_resubmits, self.clock.monotonic()
        later = []
        for history in histories:
            if now >= history.predecessor_until:  # before, the predecessor counts toward job limits
                history = replace(history, failures=history.failures + 1)
            if history.failures <= most:
                later.append(history)
        if len(later) < len(histories):
            self.abandoned += len(histories) - len(later)
            self.messages.warning(f"{refusal} Giving up.")
        if not later:
            return
        failures = max(history.failures for history in later)
        delay = backoff(failures) if failures else QUOTA_RETRY_S
        count = f" ({failures} of {most})" if failures else ""
        line = f"{refusal} Retrying in {delay:g} s{count}."
        if failures or line not in self.messages.recent:
            self.messages.warning(line)
        self.pool.target += len(later)
        self.schedule(delay, later)
