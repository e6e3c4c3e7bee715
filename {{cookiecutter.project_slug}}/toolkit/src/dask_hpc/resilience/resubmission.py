"""Keep a cluster at the jobs that it was scaled to, when jobs end that nobody wanted to end."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from .._output import formatting
from ..batch import JobStatus, describe
from .draining import remove_worker, reset_suspicion
from .node_health import NodeHealth
from .policy import Policy
from .replacements import Replacements
from .restart_policy import Abandon, RestartLimits, Resubmit, decide
from .tracked_job import TrackedJob

logger = logging.getLogger(__name__)

# Endings that come this close together are told in one line, seconds.
COALESCE_S = 0.3

_Ended = tuple["TrackedJob", JobStatus]


@dataclass(eq=False)
class Resubmitter(Policy):
    """Notices when jobs of a cluster end, and submits others in their place.

    It ignores jobs that the toolkit itself has ended. When somebody else cancels a job, it says so
    and the cluster stays smaller. Every other job is submitted again, under a new name, since a
    worker of the old job might still be there; a limited number of times in a row, with growing
    pauses. All of it runs on the cluster's event loop.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    limits : RestartLimits
    health : NodeHealth
        Which nodes the next jobs avoid.
    examine : callable
        Takes a `TrackedJob` and returns a line about its log.

    Attributes
    ----------
    replacements : Replacements
        The jobs that are about to be submitted in place of others.
    """

    limits: RestartLimits
    health: NodeHealth
    examine: Callable[[TrackedJob], str]
    _ended: list[_Ended] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.replacements = Replacements(
            self.pool, self.tracker, self.clock, self.messages, self.tasks, self.limits
        )
        self.tracker.on_job_ended.append(self._on_job_ended)
        self.tracker.on_worker_died.append(self._on_worker_died)

    @property
    def scheduled(self) -> int:
        """Jobs that are about to be submitted again."""
        return len(self._ended) + self.replacements.scheduled

    def _on_worker_died(self, job: TrackedJob, tasks: list[str]) -> None:
        if job.ended_in_order:
            reset_suspicion(self.pool.scheduler, tasks)

    def _on_job_ended(self, job: TrackedJob, status: JobStatus) -> None:
        self._ended.append((job, status))
        if len(self._ended) == 1:
            self.tasks.spawn(self._follow())

    async def _follow(self) -> None:
        """Draw the conclusions from jobs that have ended together."""
        await self.clock.sleep(COALESCE_S)
        ended, self._ended = self._ended, []
        if not self.pool.is_running:
            return
        groups: dict[tuple[Resubmit | Abandon, str], list[_Ended]] = {}
        for job, status in ended:
            wanted = self.pool.is_wanted(job.name)
            await self._remove(job)
            if not wanted:
                continue
            excluded = self.health.excluded
            decision = decide(
                job,
                status,
                self.limits,
                now=self.clock.monotonic(),
                any_worker_came=self.tracker.any_worker_came,
                excluded=excluded if self.pool.can_exclude(excluded) else (),
            )
            if isinstance(decision, Resubmit):
                job.history = decision.history
            groups.setdefault((decision, job.lost_reason), []).append((job, status))
        for (decision, _), group in groups.items():
            self._apply(decision, group)

    async def _remove(self, job: TrackedJob) -> None:
        """Remove every trace of an ended job from the cluster and its scheduler."""
        await self.pool.remove(job.name)
        for address in list(job.addresses):
            await remove_worker(self.pool.scheduler, address, "job-ended")
        self.tracker.forget(job)

    def _apply(self, decision: Resubmit | Abandon, group: list[_Ended]) -> None:
        self._report(decision, group)
        if isinstance(decision, Abandon):
            self.replacements.abandoned += len(group)
            self.pool.target -= len(group)
        else:
            self.replacements.schedule(decision.delay_s, [job.history for job, _ in group])

    def _report(self, decision: Resubmit | Abandon, group: list[_Ended]) -> None:
        statuses = [status for _, status in group]
        job = group[0][0]
        if job.lost_reason:
            names = formatting.format_job_ids(sorted(status.job for status in statuses))
            its, it = ("its", "it was") if len(group) == 1 else ("their", "they were")
            what = f"{names}: {job.lost_reason.format(its=its)}, so {it} cancelled"
        else:
            what = describe.describe_ends(self.pool.batch, statuses)
        found = self.examine(job) if decision.examine else ""
        words = decision.message
        parts = [what, words, found] if isinstance(decision, Abandon) else [what, found, words]
        line = " ".join(f"{part.strip().rstrip('.')}." for part in parts if part.strip())
        line = f"{line[0].upper()}{line[1:]}"
        self.messages.warning(line) if words else logger.info("%s", line)
