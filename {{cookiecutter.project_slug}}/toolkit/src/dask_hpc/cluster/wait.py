"""Wait for workers, and show meanwhile what jobs are waiting for."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask.utils import parse_timedelta
from distributed.core import Status

from .._output import formatting, progress
from ..batch import describe
from ..config import validators
from ..dask_errors import JobsEndedError, WorkerStartTimeoutError
from ..resilience.worker_identity import count_running

if TYPE_CHECKING:
    from distributed import SpecCluster

    from .control import JobControl

# Intervals at which to check the workers, and to print a status line about them, in seconds.
WORKER_POLL_S = 0.02
STATUS_INTERVAL_S = 1.0
# Print nothing if the wait is shorter than this.
QUIET_START_S = 2.0
# A cluster's list of workers lags behind its scheduler's by at most this, unless the connection
# between them is lost.
INFO_LAG_S = 5.0


async def wait_until_listed(cluster: SpecCluster) -> None:
    """Wait until the cluster's ``scheduler_info`` lists the workers that have connected.

    The scheduler informs the cluster by messages, which arrive a moment later. After waiting for
    workers, users expect to see them there, as with distributed's own method.
    """
    scheduler, end = cluster.scheduler, time.monotonic() + INFO_LAG_S
    there = set(scheduler.workers)
    while there & scheduler.workers.keys() - cluster.scheduler_info["workers"].keys():
        if time.monotonic() > end or cluster.status is not Status.running:
            return
        await asyncio.sleep(WORKER_POLL_S)


def check_n_workers(n_workers: Any) -> int:
    """Return the argument of `wait_for_workers` as an int, or raise a ValueError."""
    if (number := validators.as_whole_number(n_workers)) is None or number < 1:
        raise ValueError(f"n_workers must be a positive integer, not {n_workers!r}")
    return number


@dataclass(eq=False)
class WorkerWait:
    """Waits for the workers of one cluster.

    Parameters
    ----------
    cluster : distributed.SpecCluster
    may_arrive : callable, optional
        Takes the numbers of workers that are there and that are awaited, and the time limit; raises
        an error if waiting longer does not help.
    hint : str
        A sentence for those who have waited too long.
    """

    cluster: SpecCluster
    may_arrive: Callable[[int, int, float | None], None] | None = None
    hint: str = ""

    async def wait(self, n_workers: int, timeout: float | str | None = None) -> None:
        """Wait as described in `ClusterMixin.wait_for_workers`."""
        limit = None if timeout is None else parse_timedelta(timeout, "s")
        begun = time.monotonic()
        next_status = begun + QUIET_START_S
        with progress.start(sys.stderr) as line:
            while (arrived := self.arrived()) < n_workers:
                now = time.monotonic()
                self.check(arrived, n_workers, limit)
                if limit is not None and now - begun > limit:
                    late = await self.describe_timeout(n_workers, limit)
                    raise WorkerStartTimeoutError(late, self.arrived(), n_workers, limit)
                if now > next_status:
                    next_status = now + STATUS_INTERVAL_S
                    missing = self.describe_missing()
                    text = f"{arrived} of {n_workers} workers"
                    line.status(f"{text}; {missing}" if missing else text)
                await asyncio.sleep(WORKER_POLL_S)
            await wait_until_listed(self.cluster)
            line.end(f"{arrived} of {n_workers} workers connected.")

    def check(self, arrived: int, n_workers: int, limit: float | None) -> None:
        """Raise an error if waiting longer would not help."""
        if self.may_arrive is not None:
            self.may_arrive(arrived, n_workers, limit)
        if self.cluster.status not in (Status.created, Status.starting, Status.running):
            closed = f"The cluster was closed while waiting for {n_workers} workers"
            raise WorkerStartTimeoutError(closed, arrived, n_workers, limit)

    def arrived(self) -> int:
        """Return how many workers can accept tasks."""
        scheduler = self.cluster.scheduler
        return count_running(scheduler, scheduler.workers) if scheduler is not None else 0

    def planned(self) -> int:
        """Return how many workers the cluster is scaled to."""
        return len(self.cluster.plan)

    def describe_missing(self) -> str:
        """Describe what the missing workers are waiting for; empty if unknown."""
        return ""

    async def describe_timeout(self, n_workers: int, limit: float, why: str = "") -> str:
        """Return the message of a timeout; `why` describes what is missing."""
        message = f"{self.arrived()} of {n_workers} workers connected within {limit:g} s{why}"
        if (planned := self.planned()) < n_workers:
            message += f" (the cluster is scaled to {formatting.format_count(planned, 'worker')})"
        return f"{message}.{self.hint}"


class JobsWait(WorkerWait):
    """Waits for workers in batch jobs.

    Parameters
    ----------
    cluster : distributed.SpecCluster
    control : JobControl
    """

    def __init__(self, cluster: SpecCluster, control: JobControl):
        super().__init__(cluster)
        self._control = control

    def check(self, arrived: int, n_workers: int, limit: float | None) -> None:
        super().check(arrived, n_workers, limit)
        self._control.raise_submit_error()
        if ended := self._describe_end(arrived, n_workers):
            raise JobsEndedError(ended, arrived, n_workers, limit)

    def all_ended(self) -> bool:
        """Return whether every requested job was submitted and has ended, and none will follow."""
        control = self._control
        if control.watcher.active or control.resubmitter.scheduled:
            return False
        asked = bool(control.pool.names or control.replacements.abandoned)
        return asked and control.pool.are_submitted()

    def is_complete(self, n_workers: int) -> bool:
        """Return whether all workers of the remaining jobs have connected, but are too few."""
        pool = self._control.pool
        most = self.planned() + self._control.resubmitter.scheduled * pool.kind().workers
        return not pool.is_adapting and 0 < most < n_workers and self.arrived() >= most

    def planned(self) -> int:
        pool = self._control.pool
        return sum(pool.kind(name).workers for name in pool.names)

    def describe_missing(self) -> str:
        """Describe the jobs whose workers have not all connected."""
        scheduler, tracker = self.cluster.scheduler, self._control.tracker
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
        """Return why waiting longer would not help; empty if it might."""
        if self.all_ended():
            line = f"All jobs have ended, with {arrived} of {n_workers} workers connected"
        elif self._control.replacements.abandoned and self.is_complete(n_workers):
            line = f"{arrived} of {n_workers} workers connected, and no more will follow"
        else:
            return ""
        return f"{line}: {self._describe_ended()}."

    def _describe_ended(self) -> str:
        # Only jobs that we did not end ourselves can be the reason.
        ended = [
            status
            for status in self._control.watcher.jobs.values()
            if status.state.ended and status.reason != "by us"
        ]
        if not ended:
            return ""
        words = describe.describe_ends(self._control.batch, ended)
        # A cause already says where the output is.
        cause = self._control.diagnosis.finding or self._control.output.hint()
        return ". ".join(part.strip().rstrip(".") for part in (words, cause) if part)

    async def describe_timeout(self, n_workers: int, limit: float, why: str = "") -> str:
        await self._control.watcher.poll()  # for the current reason
        if missing := self.describe_missing() or self._describe_ended():
            why += f": {missing}"
        if failure := self._control.watcher.failure:
            why += f" (the state of the jobs is unknown: {failure})"
        return await super().describe_timeout(n_workers, limit, why)
