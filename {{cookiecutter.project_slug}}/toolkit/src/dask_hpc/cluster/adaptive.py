"""Scale adaptively, as Dask does, but in whole jobs."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import distributed

from ..resilience.draining import retire
from ..resilience.restart_policy import backoff
from ..resilience.worker_identity import workers_named

if TYPE_CHECKING:
    from ..errors import SubmitError
    from .control import JobControl
    from .mixin import ClusterMixin


class Adaptive(distributed.Adaptive):
    """Adaptive scaling that adds and removes whole jobs instead of single workers.

    A job ends as a whole, together with everything that its workers hold. It is therefore let go
    only when none of its workers is busy, after their results have been moved to other workers.
    Jobs that are about to be submitted again, or that were given up, count as present.

    Parameters
    ----------
    cluster : ClusterMixin
    control : JobControl
    **kwargs
        Those of `distributed.Adaptive`.
    """

    cluster: ClusterMixin
    close_counts: defaultdict[Any, int]  # by names of jobs, where distributed's has workers

    _refusal: SubmitError | None = None  # the one that was told last
    _refusals = 0  # in a row
    _not_before = 0.0  # time.monotonic

    def __init__(self, cluster: ClusterMixin, control: JobControl, **kwargs: Any):
        self._control = control
        super().__init__(cluster, **kwargs)

    async def target(self) -> int:
        # Dask counts workers that come; the bounds, and what follows, those of the arguments.
        jobs = math.ceil(await super().target() / self._control.pool.kind().workers)
        return jobs * self._control.job_size.workers

    async def recommendations(self, target: int) -> dict:
        control = self._control
        if len(self.plan) != len(self.requested):
            await self.cluster
        each = control.job_size.workers
        wanted = math.ceil(target / each)
        there = control.pool.names
        replacements, scheduled = control.replacements, control.resubmitter.scheduled
        # What was given up is not asked for again while the work that it was for goes on.
        missing = max(0, wanted - len(there) - scheduled)
        replacements.abandoned = min(replacements.abandoned, missing)
        planned = len(there) + scheduled + replacements.abandoned
        if wanted > planned and not self._is_refused():
            self.close_counts.clear()
            up = len(there) + wanted - planned
            return {"status": "up", "n": up * each}
        surplus = len(there) - wanted
        chosen = self._dispensable(there, surplus) if surplus > 0 else []
        ripe = []
        for name in chosen:
            self.close_counts[name] += 1
            if self.close_counts[name] >= self.wait_count:
                ripe.append(name)
        for name in list(self.close_counts):
            if name in ripe or name not in chosen:
                del self.close_counts[name]
        return {"status": "down", "workers": ripe} if ripe else {"status": "same"}

    def _is_refused(self) -> bool:
        """Return whether the batch system has refused jobs, so that the next try has to wait."""
        refusal, now = self._control.pool.submit_errors.last, time.monotonic()
        if refusal is None:
            if now > self._not_before:
                self._refusals = 0
        elif refusal is not self._refusal:
            self._refusal = refusal
            self._refusals += 1
            delay = 2 * backoff(self._refusals)
            self._not_before = now + delay
            self._control.messages.warning(f"{refusal} Next try in {delay:g} s.")
        return now < self._not_before

    def _dispensable(self, names: list[str], number: int) -> list[str]:
        """Return the jobs to let go: those without workers, then idle ones that hold the least."""
        scheduler, tracker = self._control.pool.scheduler, self._control.tracker
        free = []
        for name in names:
            job = tracker.by_name(name)
            workers = workers_named(scheduler, job.addresses) if job is not None else []
            if not workers and tracker.has_unidentified_workers and job is not None:
                continue  # they may be its own
            allowed = workers
            for plugin in list(scheduler.plugins.values()):
                allowed = plugin.valid_workers_downscaling(scheduler, allowed)
            if len(allowed) < len(workers) or any(w.processing or w.long_running for w in workers):
                continue
            free.append((len(workers), sum(worker.nbytes for worker in workers), name))
        chosen = sorted(free, key=lambda job: (bool(job[0]), job[1]))[:number]
        # Results need a worker to go to.
        if chosen and chosen[-1][1] and sum(job[0] for job in chosen) == len(scheduler.running):
            chosen.pop()
        return [name for _, _, name in chosen]

    # n: int. distributed's own types of this and the next one are interchanged.
    async def scale_up(self, n) -> None:
        self._control.scale_adaptively(math.ceil(n / self._control.job_size.workers))

    async def scale_down(self, workers) -> None:
        scheduler = self._control.pool.scheduler
        for name in workers:
            job = self._control.tracker.by_name(name)
            addresses = job.addresses if job is not None else set()
            if any(w.processing or w.long_running for w in workers_named(scheduler, addresses)):
                continue  # a task has come meanwhile
            # Its results go first; where nobody can take them, it stays.
            if not await retire(scheduler, addresses):
                await self.cluster.scale_down([name])
