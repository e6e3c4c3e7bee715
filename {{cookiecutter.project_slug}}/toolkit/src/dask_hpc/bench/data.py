"""The workload ``data``: how fast arrays come to workers, back, and from one worker to the other.

Each transfer is compared with one plain stream of as many bytes between the same two processes, a
moment before, without Dask and without encryption.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from .._output.progress import Progress
from . import cores, data_tasks, metrics, streams
from .backends import lab
from .plan import JobLayout, Plan
from .runner import recording, rounded, write_repeat
from .validation import MeasurementError
from .workloads import WORKLOADS, PlanError

SCATTER, GATHER, BETWEEN = "scatter", "gather", "worker to worker"
# Through the scheduler, as users type it, and with direct=True.
MODES = (SCATTER, f"{SCATTER} direct", GATHER, f"{GATHER} direct", BETWEEN)
SIZES_MB = (0.1, 1.0, 10.0, 100.0)
TOTAL_MB, MAX_OBJECTS = 100.0, 200
WORKERS, REPEATS = 2, 3
# Copies of the data that a process has at one time, at most: its own, and those on the way.
COPIES = 4
SLOWEST_MB_S = 2.0  # for the time-outs
MB_S, OBJECT_S, START_S = 100.0, 0.005, 6.0  # for the forecast


@dataclass(frozen=True)
class Transfer:
    """What is moved: equal arrays.

    Attributes
    ----------
    size_mb : float
        Of each, in megabytes.
    number : int
    """

    size_mb: float
    number: int

    @property
    def size(self) -> int:
        """The size of each array, in bytes."""
        return max(1, round(1e6 * self.size_mb))

    @property
    def total(self) -> int:
        """The size of all of them, in bytes."""
        return self.number * self.size

    def __str__(self) -> str:
        return f"{self.number} x {self.size_mb:g} MB"


def transfers(sizes_mb: Iterable[float]) -> list[Transfer]:
    """Return what to move for these sizes: about `TOTAL_MB`, but not too many arrays."""
    return [Transfer(size, max(1, min(MAX_OBJECTS, round(TOTAL_MB / size)))) for size in sizes_mb]


def forecast_s(chosen: Sequence[Transfer], repeats: int) -> float:
    """Return the approximate duration, in seconds, not including time in a queue."""
    once = sum(each.total / 1e6 / MB_S + each.number * OBJECT_S for each in chosen)
    return repeats * 2 * len(MODES) * once + START_S


def check_memory(chosen: Sequence[Transfer], available: int, owner: str) -> None:
    """Raise an error if there is not enough memory for one of the transfers.

    Raises
    ------
    PlanError
        There is not.
    """
    most = max(chosen, key=lambda each: each.total)
    if COPIES * most.total > available:
        raise PlanError(
            f"{most} need up to {COPIES * most.total / 1e6:,.0f} MB, but {owner} "
            f"{available / 1e6:,.0f} MB of memory: give smaller --sizes"
        )


def measure(
    out: Path,
    chosen: Sequence[Transfer],
    backend: str,
    repeats: int = REPEATS,
    job_cores: int = 1,
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Path:
    """Measure each transfer in each way, `repeats` times, and return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record.
    chosen : sequence of Transfer
    backend : {"cluster", "local"}
    repeats : int
    job_cores : int
        Cores of each of the two jobs. With those of a whole node, they are on two nodes.
    timeout : float
        Seconds to wait for the workers.
    progress : Progress, optional

    Raises
    ------
    PlanError
        A worker's memory is too small.
    MeasurementError
        Data came that were not sent.
    """
    progress = progress or Progress()
    workload = WORKLOADS["data"]
    shape = JobLayout(WORKERS, job_cores if backend == "cluster" else 1)
    common: dict = {"workload": workload.name, "backend": backend}
    common |= {"slots": shape.workers * shape.threads, "jobs": shape.jobs, "processes": 1}
    with recording(Plan(workload, []), out, common) as writer:
        workers = lab.BACKENDS[backend](timeout=timeout)
        progress.status("starting two workers …")
        try:
            writer.write("start", **lab.start(workers, shape))
            check_memory(chosen, workers.least_memory_limit(), "a worker may use")
            run = _Run(workers)
            run.move(SCATTER, Transfer(1e-3, 2))  # loads what is needed
            for repeat in range(1, repeats + 1):
                common["repeat"] = repeat
                for each in chosen if repeat % 2 else reversed(chosen):
                    for mode in MODES:
                        what = f"{mode}, {each}: repeat {repeat} of {repeats}"
                        common |= {"mode": mode, "size_mb": each.size_mb, "tasks": each.number}
                        with lab.naming(what):
                            move = partial(run.measure, mode, each)
                            write_repeat(writer, common, what, move, progress)
        finally:
            workers.close()
    return writer.path


class _Run:
    """The client and two workers."""

    def __init__(self, workers):
        self._workers = workers
        self._first, self._second = workers.workers()
        self._hosts = cores.computers(workers.everywhere(cores.here).values())
        self._host = self._first.rpartition("/")[2].rpartition(":")[0].strip("[]")

    def measure(self, mode: str, transfer: Transfer) -> dict:
        """Return what a row says of a transfer."""
        stream_s = self._stream(mode, transfer)
        makespan, peaks = self.move(mode, transfer)
        megabytes = transfer.total / 1e6
        row = {
            **metrics.of_makespan(stream_s, stream_s, makespan),
            "mb_per_s": megabytes / makespan,
            "stream_mb_per_s": megabytes / stream_s,
            "hosts": self._hosts,
            "encrypted": self._workers.is_encrypted(),
            **peaks,
        }
        return rounded(row)

    def _stream(self, mode: str, transfer: Transfer) -> float:
        """Return how long one stream of as many bytes takes, in seconds."""
        direction = streams.RECEIVE if mode.startswith(SCATTER) else streams.SEND
        there = self._workers.everywhere(
            streams.open_stream, self._host, transfer.total, direction, workers=[self._first]
        )
        arguments = *there[self._first], transfer.total, direction
        if mode == BETWEEN:
            found = self._workers.everywhere(streams.connect, *arguments, workers=[self._second])
            return found[self._second]
        return streams.connect(*arguments)

    def move(self, mode: str, transfer: Transfer) -> tuple[float, dict[str, float]]:
        """Move arrays, check them, and return the seconds and the peaks of memory."""
        timeout = lab.timeout_s(transfer.total / 1e6 / SLOWEST_MB_S)
        way, _, direct = mode.partition(" direct")
        run = {SCATTER: self._scatter, GATHER: self._gather, BETWEEN: self._between}[way]
        resets = self._workers.everywhere(data_tasks.reset_peak)
        known = data_tasks.reset_peak() and all(resets.values())
        clocked: list[float] = []
        client_peak: list[float | None] = []

        async def timed(awaitable: Any) -> Any:
            clock = time.perf_counter()
            found = await awaitable
            clocked.append(time.perf_counter() - clock)
            client_peak.append(data_tasks.peak_mib())
            return found

        self._workers.wait(lambda: run(transfer, bool(direct) or None, timed), timeout)
        [makespan] = clocked
        peaks = self._workers.everywhere(data_tasks.peak_mib).values()
        if not known or None in peaks or None in client_peak:
            return makespan, {}
        return makespan, {"client_peak_mib": client_peak[0], "worker_peak_mib": max(peaks)}

    async def _scatter(self, transfer: Transfer, direct: bool | None, timed: Any) -> None:
        client = self._workers.client
        sent = [data_tasks.array(transfer.size) for _ in range(transfer.number)]
        futures = await timed(client.scatter(sent, workers=[self._first], direct=direct))
        found = await client.submit(data_tasks.checksums, futures, pure=False)
        check(found, data_tasks.checksums(sent))

    async def _gather(self, transfer: Transfer, direct: bool | None, timed: Any) -> None:
        futures, sums = await self._made(transfer)
        found = await timed(self._workers.client.gather(futures, direct=direct))
        check(data_tasks.checksums(found), sums)

    async def _between(self, transfer: Transfer, _direct: bool | None, timed: Any) -> None:
        client = self._workers.client
        futures, sums = await self._made(transfer)
        there = client.submit(data_tasks.received, *futures, workers=[self._second], pure=False)
        number = await timed(there)
        if number != transfer.total:
            raise MeasurementError(f"{number} bytes arrived instead of {transfer.total}")
        found = await client.submit(
            data_tasks.checksums, futures, workers=[self._second], pure=False
        )
        check(found, sums)

    async def _made(self, transfer: Transfer) -> tuple[list, list[int]]:
        """Return arrays that a worker has made, and their checksums."""
        client, here = self._workers.client, {"workers": [self._first], "pure": False}
        futures = client.map(data_tasks.array, [transfer.size] * transfer.number, **here)
        return futures, await client.submit(data_tasks.checksums, futures, **here)


def check(found: Sequence[int], expected: Sequence[int]) -> None:
    """Check that arrays arrived as they were sent.

    Raises
    ------
    MeasurementError
        One did not.
    """
    if list(found) != list(expected):
        raise MeasurementError("arrays did not arrive as they were sent")


def available_memory() -> int:
    """Return the memory that this computer has left, in bytes."""
    return int(psutil.virtual_memory().available)
