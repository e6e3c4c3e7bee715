"""The interface of backends, and the common base of backends that run tasks on Dask.

The harness uses settings of its own, chosen to measure only the cost of distributing tasks: few
large jobs, one worker process per job with many threads, no nannies on the cluster, no dashboard,
`WORKER_SATURATION`, and `gather_between_waves`. They suit tasks that wait, not pure-Python
computations (the workload ``gil`` shows why). The record contains all of them.

The reasons: toward the end of 500 tasks of 1 s, Dask's default worker-saturation lets some tasks
wait for busy threads while other threads are idle, and `gather` starts to fetch only at the end. On
a LocalCluster with 100 slots, median of 3: 6.27 s with Dask's defaults, 5.19 s with these (ideal
5.0); with 120 slots, 5.27 and 5.12 s. docs/benchmarks.md in the repository has the full comparison
and its command. Fetching directly from the workers (``direct=True``), and disabling the workers'
profiler or work stealing, made no difference beyond noise.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Protocol

from ...errors import DaskHPCError
from ..plan import JobLayout, layout
from ..points import GATHER, HARNESS, SWEEP, WORKER_SATURATION
from ..process_time import process_start

# Interval at which to check which tasks have finished.
RESULT_POLL_S = 0.02
# Worker processes on this computer are as large as the cluster's jobs.
JOB_CORES = 30


class BackendError(DaskHPCError):
    """A backend cannot do what was requested."""


class Backend(Protocol):
    """The interface that the harness needs from anything that runs tasks."""

    name: str

    def start(self, slots: int, saturation: float) -> dict[str, float]:
        """Start workers with `slots` slots in total; return when all of them have connected.

        `saturation` is Dask's ``worker-saturation``.

        Returns
        -------
        dict of str to float
            The cold-start phases that it can distinguish (`record.PHASES`), in seconds.
        """

    def map(
        self,
        function: Callable,
        items: Iterable,
        timeout: float | None = None,
        way: str = HARNESS,
    ) -> Iterable:
        """Run `function(item)` for each item and return the results, in any order.

        Execute each item, even equal ones, and do not reuse results of an earlier call. `timeout`
        is in seconds. `way` says how, as in `points`.
        """

    def close(self) -> None:
        """End all workers. May be called twice, or before `start`."""

    def describe(self) -> dict:
        """Describe what is running, for the record: at least `jobs`, `processes`, `threads`."""


def phase_durations(begin: float, marks: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """Return the durations of phases, given the times at which they ended.

    Parameters
    ----------
    begin : float
        When the first phase began.
    marks : iterable of (str, float or None)
        Name and end of each phase, in order. A phase with an unknown end (None) is skipped, and the
        next one starts at the end of the previous one. A phase that ends before it starts (clocks
        of two computers, overlapping steps) has duration 0.

    Returns
    -------
    dict of str to float
        Seconds of each phase; their sum is the time from `begin` to the latest mark.
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
    """Return the results of an asynchronous client's futures, fetching them between waves.

    When a wave ends, Dask's scheduler is busy assigning the next tasks to the free slots, and it
    shares this process with the client. So this only polls the futures, and fetches all finished
    ones in one request when a poll finds no new ones. At the end, only the last wave's results are
    left to fetch.
    """
    results: list = []
    waiting: list = list(futures)
    batch: list = []
    # Polling costs about a microsecond per future; keep that well below the poll interval.
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
    """Common base class of the backends on Dask; subclasses create the cluster.

    Parameters
    ----------
    job_cores : int
        Maximum number of slots of one worker process.
    timeout : float
        Seconds to wait for workers.
    """

    name = "dask"
    layout: JobLayout  # set by `start`

    def __init__(self, job_cores: int = JOB_CORES, timeout: float = 120.0):
        self.job_cores = job_cores
        self.timeout = timeout
        self.cluster: Any = None
        self.client: Any = None
        self._sweep_client: Any = None
        self._settings = contextlib.ExitStack()

    def make_cluster(self, shape: JobLayout):
        """Create a cluster, without workers yet, for jobs of this shape."""
        raise NotImplementedError

    def scale(self, shape: JobLayout) -> None:
        """Scale to these jobs."""
        self.cluster.scale(jobs=shape.jobs)

    def start(self, slots: int, saturation: float = WORKER_SATURATION) -> dict[str, float]:
        return self.start_workers(layout(slots, self.job_cores), saturation)

    def start_workers(
        self, shape: JobLayout, saturation: float = WORKER_SATURATION
    ) -> dict[str, float]:
        """Start workers in jobs of this shape; return what `start` returns."""
        begin = time.time()
        self.open(shape, saturation)
        arrivals = _watch_arrivals(self.cluster)
        ready = time.time()
        self.scale(shape)
        self.cluster.sync(self.connect)  # while jobs are submitted and workers start
        self.cluster.wait_for_workers(shape.workers, timeout=self.timeout)
        born = self.cluster.sync(self.client.run, process_start).values()
        times = sorted(arrivals.values())[: shape.workers]
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

    def open(self, shape: JobLayout, saturation: float = WORKER_SATURATION) -> None:
        """Create a cluster for jobs of this shape, without workers and client yet."""
        self.layout = shape
        import dask
        import distributed  # noqa: F401 - sets its defaults first, which the ExitStack restores

        settings = {"distributed.scheduler.worker-saturation": saturation}
        self._settings.enter_context(dask.config.set(settings))
        self.cluster = self.make_cluster(self.layout)

    async def connect(self):
        # Use an asynchronous client on the cluster's loop. A synchronous client that is interrupted
        # by Ctrl-C while it connects cannot be closed, and keeps Python from exiting. Use the
        # cluster's address: a client for the cluster object would wait for the workers, and Ctrl-C
        # would interrupt their start.
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

    def map(
        self,
        function: Callable,
        items: Iterable,
        timeout: float | None = None,
        way: str = HARNESS,
    ) -> Iterable:
        if way == SWEEP:
            return self._sweep(function, items)

        async def run():
            # pure=False: run equal calls separately. The futures are released on return.
            futures = self.client.map(function, list(items), pure=False)
            if way == GATHER:
                return await self.client.gather(futures)
            return await gather_between_waves(self.client, futures)

        return self.run_tasks(run, timeout)

    def run_tasks(self, run: Callable[[], Coroutine], timeout: float | None) -> Any:
        """Run a coroutine function on the cluster's event loop; return its result.

        Raises
        ------
        BackendError
            It took longer than `timeout` seconds.
        """
        try:
            return self.cluster.sync(run, callback_timeout=timeout)
        except TimeoutError:
            there = len(self.cluster.scheduler.workers)
            raise BackendError(
                f"the tasks did not finish within {timeout:.0f} s; "
                f"{there} of {self.layout.workers} workers are still connected"
            ) from None

    def _sweep(self, function: Callable, items: Iterable) -> Iterable:
        """Return the results of a sweep, which are in a folder of `_settings` until `close`."""
        from distributed import Client

        from ... import sweep

        if self._sweep_client is None:
            self._sweep_client = self._settings.enter_context(
                Client(
                    self.cluster.scheduler_address,
                    security=self.cluster.security,
                    set_as_default=False,
                )
            )
        folder = self._settings.enter_context(tempfile.TemporaryDirectory())
        out = Path(folder, "results")
        return sweep(function, items, out, client=self._sweep_client, progress=False)

    def describe(self) -> dict:
        return {
            "jobs": self.layout.jobs,
            "processes": self.layout.processes,
            "threads": self.layout.threads,
            "worker_saturation": self.cluster.scheduler.WORKER_SATURATION,
        }

    def close(self) -> None:
        client, self.client = self.client, None
        cluster, self.cluster = self.cluster, None
        # The cluster holds jobs, so close it even if closing the clients fails.
        try:
            self._settings.close()
            if client is not None:
                cluster.sync(client.close)
        finally:
            if cluster is not None:
                cluster.close()


def _watch_arrivals(cluster) -> dict[str, float]:
    """Return a dict that receives the time at which each worker, by address, connects."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    arrivals: dict[str, float] = {}

    class Arrivals(SchedulerPlugin):
        name = "dask-hpc-bench-arrivals"

        def add_worker(self, scheduler, worker):  # noqa: ARG002 - Dask calls it by these names
            arrivals.setdefault(worker, time.time())

    cluster.scheduler.add_plugin(Arrivals())
    return arrivals
