"""Wait for workers, and tell meanwhile what the wait is for."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from dask.utils import parse_timedelta
from distributed.core import Status

from .._output import progress
from ..batch import describe
from ..dask_errors import JobsEndedError, WorkerStartTimeoutError
from ..resilience.worker_identity import count_running

if TYPE_CHECKING:
    from distributed import SpecCluster

    from .control import JobControl

# Between two looks at the workers, and between two lines about them, seconds.
WORKER_POLL_S = 0.02
STATUS_INTERVAL_S = 1.0
# A wait shorter than this needs no words.
QUIET_START_S = 2.0
# The list of workers that a cluster shows is at most so much later than its scheduler's, seconds;
# longer only where the connection between them is lost.
INFO_LAG_S = 5.0


async def wait_until_listed(cluster: SpecCluster) -> None:
    """Wait until the cluster's ``scheduler_info`` lists the workers that have arrived.

    The scheduler informs the cluster by messages, which arrive a moment later. Whoever has waited
    for workers expects to see them there, as after distributed's own wait.
    """
    scheduler, end = cluster.scheduler, time.monotonic() + INFO_LAG_S
    there = set(scheduler.workers)
    while there & scheduler.workers.keys() - cluster.scheduler_info["workers"].keys():
        if time.monotonic() > end or cluster.status is not Status.running:
            return
        await asyncio.sleep(WORKER_POLL_S)


class WorkerWait:
    """The wait of one cluster for its workers.

    Parameters
    ----------
    cluster : distributed.SpecCluster
    control : JobControl
    """

    def __init__(self, cluster: SpecCluster, control: JobControl):
        self._cluster = cluster
        self._control = control

    async def wait(self, n_workers: int, timeout=None) -> None:
        """Wait as described in `ClusterMixin.wait_for_workers`."""
        cluster, control = self._cluster, self._control
        limit = None if timeout is None else parse_timedelta(timeout, "s")
        begun = time.monotonic()
        next_status = begun + QUIET_START_S
        with progress.start(sys.stderr) as line:
            while (arrived := len(self.arrived())) < n_workers:
                now = time.monotonic()
                if cluster.status not in (Status.created, Status.starting, Status.running):
                    closed = f"The cluster was closed while {n_workers} workers were awaited"
                    raise WorkerStartTimeoutError(closed, arrived, n_workers, limit)
                control.raise_submit_error()
                if ended := self._describe_end(arrived, n_workers):
                    raise JobsEndedError(ended, arrived, n_workers, limit)
                if limit is not None and now - begun > limit:
                    await control.watcher.poll()  # the reason of this moment
                    arrived, late = len(self.arrived()), self._describe_timeout(n_workers, limit)
                    raise WorkerStartTimeoutError(late, arrived, n_workers, limit)
                if now > next_status:
                    next_status = now + STATUS_INTERVAL_S
                    line.status(self.describe(n_workers))
                await asyncio.sleep(WORKER_POLL_S)
            await wait_until_listed(cluster)
            line.end(f"{arrived} of {n_workers} workers are there.")

    def describe(self, n_workers: int) -> str:
        """Return a line about the state of the wait."""
        missing = self.describe_missing()
        return f"{len(self.arrived())} of {n_workers} workers" + (f"; {missing}" if missing else "")

    def arrived(self) -> set[str]:
        """Return the names of the workers that can be given tasks."""
        scheduler = self._cluster.scheduler
        if scheduler is None:
            return set()
        workers = list(scheduler.workers.values())
        return {str(worker.name) for worker in workers if worker.status == Status.running}

    def all_ended(self) -> bool:
        """Return whether every requested job was submitted and is over, and none will follow."""
        control = self._control
        if control.watcher.active or control.resubmitter.scheduled:
            return False
        asked = bool(control.pool.names or control.replacements.abandoned)
        return asked and control.pool.are_submitted()

    def is_complete(self, n_workers: int) -> bool:
        """Return whether all workers of the remaining jobs are there, and they are too few."""
        pool = self._control.pool
        most = self._planned() + self._control.resubmitter.scheduled * pool.kind().workers
        return not pool.is_adapting and 0 < most < n_workers and len(self.arrived()) >= most

    def _planned(self) -> int:
        pool = self._control.pool
        return sum(pool.kind(name).workers for name in pool.names)

    def describe_missing(self) -> str:
        """Describe the jobs whose workers have not all arrived."""
        scheduler, tracker = self._cluster.scheduler, self._control.tracker
        complete = {
            job.job_id
            for job in tracker
            if count_running(scheduler, job.addresses) >= job.kind.workers
        }
        known = self._control.watcher.jobs
        left = [
            status
            for job_id, status in known.items()
            if job_id not in complete and not status.state.ended
        ]
        return describe.describe(self._control.batch, left)

    def _describe_end(self, arrived: int, n_workers: int) -> str:
        """Return why waiting longer does not help; empty if it may."""
        if self.all_ended():
            line = f"All jobs are over, and {arrived} of {n_workers} workers are there"
        elif self._control.replacements.abandoned and self.is_complete(n_workers):
            line = f"{arrived} of {n_workers} workers are there, and no more come"
        else:
            return ""
        return f"{line}: {self._describe_ended()}."

    def _describe_ended(self) -> str:
        # Jobs that we ended ourselves are no reason; those that ended otherwise may be one.
        ended = [
            status
            for status in self._control.watcher.jobs.values()
            if status.state.ended and status.reason != "by us"
        ]
        if not ended:
            return ""
        words = describe.describe_ends(self._control.batch, ended)
        # A cause says itself where the output is.
        causes = self._control.diagnosis.causes or [self._control.output.hint()]
        return ". ".join(part.strip().rstrip(".") for part in [words, *causes] if part)

    def _describe_timeout(self, n_workers: int, limit: float) -> str:
        message = f"{len(self.arrived())} of {n_workers} workers came within {limit:g} s"
        if missing := self.describe_missing() or self._describe_ended():
            message += f": {missing}"
        planned = self._planned()
        if failure := self._control.watcher.failure:
            message += f" (the jobs can't be asked about: {failure})"
        if planned < n_workers:
            message += f" (the cluster is scaled to {planned} workers only)"
        return f"{message}."
