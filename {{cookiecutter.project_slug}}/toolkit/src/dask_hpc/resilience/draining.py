"""Drain workers: stop giving them tasks, let running tasks finish, and move their results."""

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Collection, Iterable

from distributed.comm.core import CommClosedError
from distributed.core import Status
from distributed.scheduler import Scheduler, TaskState, WorkerState, heartbeat_interval

from .._compat import upstream
from .worker_identity import workers_named

# Interval, in seconds, at which to check which tasks are still running.
DRAIN_POLL_S = 0.2
# Workers report what they execute with their heartbeats, every half second to every few seconds.
HEARTBEAT_WAIT_S = 3.0
# tcpi_last_ack_recv, in milliseconds, of Linux's struct tcp_info (linux/tcp.h): it follows 8 bytes
# and 12 four-byte integers.
LAST_ANSWER = struct.Struct("=56xI")


def stop_accepting(scheduler: Scheduler, workers: Iterable[WorkerState]) -> None:
    """Stop assigning tasks to these workers; the tasks that they are running continue.

    These are the first two steps of `Scheduler.retire_workers`.
    """
    stimulus = f"dask-hpc-drain-{time.time()}"
    told = {"op": "worker-status-change", "status": Status.closing_gracefully.name}
    for worker in workers if upstream.is_known("closing-workers") else ():
        if worker.status is Status.closing_gracefully or worker.address not in scheduler.workers:
            continue
        scheduler.handle_worker_status_change(Status.closing_gracefully, worker, stimulus)
        with contextlib.suppress(CommClosedError):  # the worker is about to be removed
            scheduler.stream_comms[worker.address].send({**told, "stimulus_id": stimulus})


async def remove_worker(
    scheduler: Scheduler, address: str, why: str, expected: bool = True
) -> None:
    """Remove a dead worker and reschedule its tasks, even if its connection still looks open.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    address : str
        The worker's address.
    why : str
        The reason, as one word, for the scheduler's log.
    expected : bool
        False to count the worker's death against the tasks that were running on it.
    """
    # An unresponsive node does not read from its connection: without abort(), that would stay open
    # until the scheduler closes and then logs a traceback about it.
    if (stream := scheduler.stream_comms.get(address)) is not None:
        stream.abort()
    await scheduler.remove_worker(
        address, expected=expected, stimulus_id=f"dask-hpc-{why}-{time.time()}"
    )


def unanswered(scheduler: Scheduler, address: str) -> float:
    """Return the seconds since a worker's node last acknowledged a TCP packet; 0 if unknown.

    A node's kernel acknowledges data, and probes of an idle connection, however busy its processes
    are.
    """
    comm = getattr(scheduler.stream_comms.get(address), "comm", None)
    connection = getattr(getattr(comm, "stream", None), "socket", None)
    if connection is None or not sys.platform.startswith("linux"):
        return 0.0
    try:
        found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_ANSWER.size)
    except OSError:  # the connection is closed
        return 0.0
    milliseconds: int = LAST_ANSWER.unpack(found)[0]
    return milliseconds / 1000


def reassign_queued(scheduler: Scheduler, worker: WorkerState) -> None:
    """Reassign tasks that are queued on a worker, and will not start there, to other workers."""
    waiting = [task for task in worker.processing if task not in worker.executing]
    if upstream.is_known("queued-on-workers") and waiting:
        scheduler.transitions(
            {task.key: "released" for task in waiting}, stimulus_id=f"dask-hpc-drain-{time.time()}"
        )
        # distributed would still count an actor among this worker's, and never release it.
        worker.actors.difference_update(waiting)


async def drain(scheduler: Scheduler, addresses: Collection[str], until: float) -> list[TaskState]:
    """Wait for workers to finish the tasks that they are running.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    addresses : collection of str
        Addresses of the workers. May change while this waits (`TrackedJob.addresses`).
    until : float
        When to stop waiting, by `time.monotonic`, in seconds.

    Returns
    -------
    list of distributed.scheduler.TaskState
        The tasks that are still running on them.
    """
    closed: dict[str, float] = {}  # address -> since when it accepts no tasks (time.time)
    while True:
        workers = workers_named(scheduler, addresses)
        # Repeat this: a nanny may have restarted a worker.
        stop_accepting(scheduler, workers)
        patience = max(HEARTBEAT_WAIT_S, 2 * heartbeat_interval(len(scheduler.workers)))
        for worker in workers:
            since = closed.setdefault(worker.address, time.time())
            # The worker has had time to report what it executes.
            if time.time() - since >= patience and worker.last_seen - since >= patience / 2:
                reassign_queued(scheduler, worker)
        busy = [task for worker in workers for task in worker.processing]
        if not busy or time.monotonic() >= until:
            return busy
        await asyncio.sleep(DRAIN_POLL_S)


async def retire(
    scheduler: Scheduler, addresses: Collection[str], until: float | None = None
) -> list[str]:
    """Move results that only these workers hold to other workers, then retire the workers.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    addresses : collection of str
        As for `drain`.
    until : float, optional
        How long to retry, by `time.monotonic`, in seconds, while no other worker can take the
        results. By default, try once.

    Returns
    -------
    list of str
        Addresses of the workers that could not be retired.
    """
    while True:
        leaving = [worker.address for worker in workers_named(scheduler, addresses)]
        if leaving:
            await scheduler.retire_workers(workers=leaving, close_workers=True, remove=True)
        left = [worker.address for worker in workers_named(scheduler, addresses)]
        if not left or until is None or time.monotonic() >= until:
            return left
        await asyncio.sleep(DRAIN_POLL_S)


def reset_suspicion(scheduler: Scheduler, keys: Iterable[str]) -> None:
    """Undo the suspicion that fell on tasks when their worker closed gracefully.

    A worker closes at the end of its lifetime even if no other worker could take its results. Dask
    then counts its tasks as suspicious, as if one of them had killed the worker.
    """
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is not None and upstream.is_known("blame") and task.suspicious:
            task.suspicious -= 1
            task.prefix.suspicious -= 1
