"""Adaptive scaling, as in Dask, but in whole jobs."""

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

    A job ends as a whole, together with everything that its workers hold. It is therefore removed
    only when none of its workers is busy, and after moving their results to other workers. Jobs
    that are about to be resubmitted, or that were abandoned, count as present.

    Parameters
    ----------
    cluster : ClusterMixin
    control : JobControl
    **kwargs
        Passed to `distributed.Adaptive`.
    """

    cluster: ClusterMixin
    close_counts: defaultdict[Any, int]  # by job name; by worker in distributed

    _refusal: SubmitError | None = None  # the last one reported
    _refusals = 0  # consecutive
    _not_before = 0.0  # when to retry (time.monotonic)

    def __init__(self, cluster: ClusterMixin, control: JobControl, **kwargs: Any):
        self._control = control
        super().__init__(cluster, **kwargs)

    async def target(self) -> int:
        # Dask's target counts actual workers per job; the bounds, and all that follows, count
        # workers per job according to the arguments.
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
        # Do not request abandoned jobs again as long as the same work continues.
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
        """Return whether to hold off, because the batch system has rejected jobs."""
        refusal, now = self._control.pool.submit_errors.last, time.monotonic()
        if refusal is None:
            if now > self._not_before:
                self._refusals = 0
        elif refusal is not self._refusal:
            self._refusal = refusal
            self._refusals += 1
            delay = 2 * backoff(self._refusals)
            self._not_before = now + delay
            self._control.messages.warning(f"{refusal} Retrying in {delay:g} s.")
        return now < self._not_before

    def _dispensable(self, names: list[str], number: int) -> list[str]:
        """Return jobs to remove: those without workers, then idle ones with the least data."""
        scheduler, tracker = self._control.pool.scheduler, self._control.tracker
        free = []
        for name in names:
            job = tracker.by_name(name)
            workers = workers_named(scheduler, job.addresses) if job is not None else []
            if not workers and tracker.has_unidentified_workers and job is not None:
                continue  # these workers may belong to it
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

    # n is an int: distributed's annotations of this and the next method are swapped.
    async def scale_up(self, n) -> None:
        self._control.scale_adaptively(math.ceil(n / self._control.job_size.workers))

    async def scale_down(self, workers) -> None:
        scheduler = self._control.pool.scheduler
        for name in workers:
            job = self._control.tracker.by_name(name)
            addresses = job.addresses if job is not None else set()
            if any(w.processing or w.long_running for w in workers_named(scheduler, addresses)):
                continue  # it has received a task since
            # Move its results first; if no other worker can take them, keep the job.
            if not await retire(scheduler, addresses):
                await self.cluster.scale_down([name])
