"""Running tasks on Dask: what is asked of any backend, and what those on Dask share.

The harness has a profile of its own, chosen to show what the hand-out of tasks costs and no more:
few large jobs, one worker process a job with many threads, no nannies on the cluster, no dashboard,
`WORKER_SATURATION`, and `gather_between_waves`. It is right for tasks that wait; it is not how to
run pure-Python computations (the workload ``gil`` shows why). All of it is in the record.

Why these: toward the end of 500 tasks of 1 s, Dask's own worker-saturation lets some wait before
busy threads while other threads are idle, and `gather` begins to fetch when the clock is already
over. On a LocalCluster, 100 slots, median of 3: 6.27 s with Dask's defaults, 5.19 s so (ideal 5.0);
on 120 slots 5.27 and 5.12 s. The repository's docs/benchmarks.md has the whole comparison and its
command. Fetching straight from the workers (``direct=True``), and switching off the workers'
profiler or work stealing, made no difference beyond the noise.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ...errors import DaskHPCError
from ..plan import JobLayout, layout
from ..process_time import process_start

# Tasks that a worker holds for each of its threads: 2.0 is one that runs and one at hand for when
# it ends. A whole number, since workers then run out of work together. Dask's own 1.1 gives a
# worker of 25 threads 28 tasks: toward the end some wait before busy threads while others are
# idle, and 500 tasks on 100 slots take a sixth wave. For tasks of unequal length 1.0 is better.
WORKER_SATURATION = 2.0
# Seconds between two looks at which tasks have ended.
RESULT_POLL_S = 0.02
# Processes of a backend on this computer are as large as the cluster's jobs.
JOB_CORES = 30


class BackendError(DaskHPCError):
    """A backend can't do what is asked. One line: what, and what to do."""


class Backend(Protocol):
    """What the harness asks of anything that runs tasks."""

    name: str

    def start(self, slots: int) -> dict[str, float]:
        """Start workers with `slots` slots in all; return when all of them are there.

        Returns
        -------
        dict of str to float
            The cold-start phases it can tell apart (`record.PHASES`), in seconds.
        """

    def map(self, function: Callable, items: Iterable, timeout: float | None = None) -> list:
        """Run `function(item)` for each item and return the results, in any order.

        Every item is executed, equal ones too, and nothing is remembered from an earlier call.
        `timeout` is in seconds.
        """

    def close(self) -> None:
        """End all workers. Harmless when called twice or before `start`."""

    def describe(self) -> dict:
        """Return what is running, for the record: at least `jobs`, `processes`, `threads`."""


def phase_durations(begin: float, marks: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """Return the phases' lengths, from the moments at which they ended.

    Parameters
    ----------
    begin : float
        When the first phase began.
    marks : iterable of (str, float or None)
        Name and end of each phase, in order. A phase whose end is not known (None) is left out,
        and the next one begins where the one before it ended. A phase that ends before it begins
        (clocks of two computers, steps that overlap) takes no time at all.

    Returns
    -------
    dict of str to float
        Seconds of each; their sum is the time from `begin` to the latest mark.
    """
    phases = {}
    for name, end in marks:
        if end is None:
            continue
        end = max(begin, end)
        phases[name] = end - begin
        begin = end
    return phases


async def gather_between_waves(client, futures) -> list:
    """Return the results of an asynchronous client's futures, fetched between two waves.

    When a wave ends, Dask's scheduler is busy giving the freed slots their next tasks, and it
    shares this process with the client. So futures are only looked at, and the results of those
    that have ended are fetched in one request once a look finds no new ones. At the end only the
    last wave's results are left to fetch.
    """
    results: list = []
    waiting: list = list(futures)
    batch: list = []
    # A look costs about a microsecond a future; it is to stay well below the time between looks.
    tick = max(RESULT_POLL_S, 2e-5 * len(waiting))
    while waiting or batch:
        still = [future for future in waiting if not future.done()]
        finished = len(still) < len(waiting)
        if finished:
            left = set(map(id, still))
            batch += [future for future in waiting if id(future) not in left]
            waiting = still
        if batch and not (finished and waiting):
            results += await client.gather(batch)
            batch = []
        else:
            await asyncio.sleep(tick)
    return results


class DaskBackend:
    """What the backends on Dask have in common; subclasses make the cluster.

    Parameters
    ----------
    job_cores : int
        Most slots of one worker process.
    timeout : float
        Seconds that workers may take to come.
    """

    name = "dask"
    layout: JobLayout  # set by `start`

    def __init__(self, job_cores: int = JOB_CORES, timeout: float = 120.0):
        self.job_cores = job_cores
        self.timeout = timeout
        self.cluster: Any = None
        self.client: Any = None
        self._settings = contextlib.ExitStack()

    def make_cluster(self, shape: JobLayout):
        """Return a cluster without workers; those to come have `shape.threads` threads each."""
        raise NotImplementedError

    def scale(self, jobs: int) -> None:
        """Ask for that many jobs, of one worker process each."""
        self.cluster.scale(jobs=jobs)

    def start(self, slots: int) -> dict[str, float]:
        self.layout = layout(slots, self.job_cores)
        begin = time.time()
        import dask
        import distributed  # noqa: F401 - its defaults come first: leaving the setting restores them

        settings = {"distributed.scheduler.worker-saturation": WORKER_SATURATION}
        self._settings.enter_context(dask.config.set(settings))
        self.cluster = self.make_cluster(self.layout)
        arrivals = _watch_arrivals(self.cluster)
        ready = time.time()
        self.scale(self.layout.jobs)
        self.cluster.sync(self._connect)  # while jobs are submitted and workers start
        self.cluster.wait_for_workers(self.layout.jobs, timeout=self.timeout)
        born = self.cluster.sync(self.client.run, process_start).values()
        times = sorted(arrivals.values())[: self.layout.jobs]
        return phase_durations(
            begin,
            [
                ("cluster", ready),
                ("submit", self.submitted_at()),
                ("queue", min(born)),
                ("first_worker", times[0]),
                ("all_workers", times[-1]),
            ],
        )

    async def _connect(self):
        # All that the client does is done on the cluster's loop, as an asynchronous client. A
        # synchronous one that Ctrl-C catches while it connects is out of reach: it can't be closed
        # and keeps Python from ending. And one made of the cluster itself, not of its address,
        # waits for the workers, and Ctrl-C there breaks off their start in the middle.
        from distributed import Client

        self.client = Client(
            self.cluster.scheduler_address,
            security=self.cluster.security,
            set_as_default=False,
            asynchronous=True,
        )
        await self.client

    def submitted_at(self) -> float | None:
        """Return when the last job was submitted, in seconds since 1970; None without jobs."""
        return None

    def map(self, function: Callable, items: Iterable, timeout: float | None = None) -> list:
        async def run():
            # pure=False: equal calls are calls of their own. The futures are let go at the return.
            return await gather_between_waves(
                self.client, self.client.map(function, list(items), pure=False)
            )

        try:
            return self.cluster.sync(run, callback_timeout=timeout)
        except TimeoutError:
            there = len(self.cluster.scheduler.workers)
            raise BackendError(
                f"the tasks were not done within {timeout:.0f} s; "
                f"{there} of {self.layout.jobs} workers are still there"
            ) from None

    def describe(self) -> dict:
        return {
            "jobs": self.layout.jobs,
            "processes": 1,
            "threads": self.layout.threads,
            "worker_saturation": WORKER_SATURATION,
        }

    def close(self) -> None:
        client, self.client = self.client, None
        cluster, self.cluster = self.cluster, None
        # The cluster holds jobs: it is closed even if the client can't be.
        try:
            if client is not None:
                cluster.sync(client.close)
        finally:
            if cluster is not None:
                cluster.close()
            self._settings.close()


def _watch_arrivals(cluster) -> dict[str, float]:
    """Return a dict that fills up with the moment at which each worker, by address, connects."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    arrivals: dict[str, float] = {}

    class Arrivals(SchedulerPlugin):
        name = "dask-hpc-bench-arrivals"

        def add_worker(self, scheduler, worker):  # noqa: ARG002 - Dask calls it by these names
            arrivals.setdefault(worker, time.time())

    cluster.scheduler.add_plugin(Arrivals())
    return arrivals
