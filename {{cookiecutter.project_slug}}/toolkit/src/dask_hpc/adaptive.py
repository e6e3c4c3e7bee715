"""Dask's adaptive scaling, in whole jobs."""

from __future__ import annotations

import math

import distributed

from .retiring import here, retire


class Adaptive(distributed.Adaptive):
    """`distributed.Adaptive`, which adds and removes jobs and not single workers.

    A job ends as a whole, and with it whatever its workers hold. So only a job none of whose
    workers is busy is let go, after their results have gone to others; and jobs that are about to
    be submitted again, or were given up, count as there.
    """

    async def recommendations(self, target: int) -> dict:
        cluster = self.cluster
        if len(self.plan) != len(self.requested):
            await cluster
        each = cluster.workers_per_job
        wanted = math.ceil(target / each)
        there = list(cluster.worker_spec)
        planned = len(there) + cluster.recovery.pending + cluster.recovery.given_up
        if wanted > planned:
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

    def _dispensable(self, names: list[str], number: int) -> list[str]:
        """Jobs to let go: those without a worker first, then idle ones that hold the least."""
        scheduler = self.cluster.scheduler
        free = []
        for name in names:
            workers = here(scheduler, self.cluster.workers_of(name))
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

    async def scale_down(self, workers) -> None:
        cluster = self.cluster
        going = []
        for name in workers:
            # Its results go first; where nobody can take them, or a task has begun, it stays.
            if not await retire(cluster.scheduler, cluster.workers_of(name)):
                going.append(name)
        if going:
            await cluster.scale_down(going)
