"""Let workers leave in order: no new tasks, running ones end, their results go to others."""

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

# Between two looks at what still runs, seconds.
DRAIN_POLL_S = 0.2
# Workers tell what they execute with their heartbeats, every half second to some seconds.
HEARTBEAT_WAIT_S = 3.0
# tcpi_last_ack_recv of Linux's struct tcp_info (linux/tcp.h), milliseconds: after 8 bytes and 12
# numbers of 4.
LAST_ANSWER = struct.Struct("=56xI")


def stop_accepting(scheduler: Scheduler, workers: Iterable[WorkerState]) -> None:
    """Give these workers no more tasks; the tasks that they run go on.

    These are the two steps that `Scheduler.retire_workers` begins with.
    """
    stimulus = f"dask-hpc-drain-{time.time()}"
    for worker in workers if upstream.is_known("closing-workers") else ():
        if worker.status is Status.closing_gracefully or worker.address not in scheduler.workers:
            continue
        scheduler.handle_worker_status_change(Status.closing_gracefully, worker, stimulus)
        with contextlib.suppress(CommClosedError):  # it is about to be removed
            scheduler.stream_comms[worker.address].send(
                {
                    "op": "worker-status-change",
                    "status": Status.closing_gracefully.name,
                    "stimulus_id": stimulus,
                }
            )


async def remove_worker(
    scheduler: Scheduler, address: str, why: str, expected: bool = True
) -> None:
    """Give the tasks of a worker that is gone to others, even if its connection seems open.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    address : str
        The worker's address.
    why : str
        The reason as a word, for the scheduler's log.
    expected : bool
        Whether its end does not count against the tasks that ran on it.
    """
    # Nobody reads at a silent node's end: the connection would stay until the scheduler closes,
    # which then complains about it with a traceback.
    if (stream := scheduler.stream_comms.get(address)) is not None:
        stream.abort()
    await scheduler.remove_worker(
        address, expected=expected, stimulus_id=f"dask-hpc-{why}-{time.time()}"
    )


def unanswered(scheduler: Scheduler, address: str) -> float:
    """Return for how many seconds a worker's node has acknowledged nothing; 0 if that is unknown.

    A node does so, and answers the system's own probes of an idle connection, whatever its
    processes are busy with.
    """
    comm = getattr(scheduler.stream_comms.get(address), "comm", None)
    connection = getattr(getattr(comm, "stream", None), "socket", None)
    if connection is None or not sys.platform.startswith("linux"):
        return 0.0
    try:
        found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_ANSWER.size)
    except OSError:  # it is closed
        return 0.0
    milliseconds: int = LAST_ANSWER.unpack(found)[0]
    return milliseconds / 1000


def reassign_queued(scheduler: Scheduler, worker: WorkerState) -> None:
    """Give tasks that wait on a worker, and will not start there, to other workers."""
    waiting = [task for task in worker.processing if task not in worker.executing]
    if upstream.is_known("queued-on-workers") and waiting:
        scheduler.transitions(
            {task.key: "released" for task in waiting}, stimulus_id=f"dask-hpc-drain-{time.time()}"
        )
        # distributed would go on to take an actor for this worker's, which it then never lets go.
        worker.actors.difference_update(waiting)


async def drain(scheduler: Scheduler, addresses: Collection[str], until: float) -> list[TaskState]:
    """Let workers finish the tasks that they run.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    addresses : collection of str
        Addresses of the workers. Changes to it meanwhile count (`TrackedJob.addresses`).
    until : float
        Moment (`time.monotonic`) at which the wait for them ends.

    Returns
    -------
    list of distributed.scheduler.TaskState
        The tasks that still run on them.
    """
    closed: dict[str, float] = {}  # by address: since when (time.time)
    while True:
        workers = workers_named(scheduler, addresses)
        # Again and again: a nanny may have started one anew.
        stop_accepting(scheduler, workers)
        patience = max(HEARTBEAT_WAIT_S, 2 * heartbeat_interval(len(scheduler.workers)))
        for worker in workers:
            since = closed.setdefault(worker.address, time.time())
            # It has told meanwhile what it executes.
            if time.time() - since >= patience and worker.last_seen - since >= patience / 2:
                reassign_queued(scheduler, worker)
        busy = [task for worker in workers for task in worker.processing]
        if not busy or time.monotonic() >= until:
            return busy
        await asyncio.sleep(DRAIN_POLL_S)


async def retire(
    scheduler: Scheduler, addresses: Collection[str], until: float | None = None
) -> list[str]:
    """Move the results that only these workers have to others, and let the workers go.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    addresses : collection of str
        As for `drain`.
    until : float, optional
        Moment (`time.monotonic`) until which to try again where there is no other worker to take
        the results. By default, try once.

    Returns
    -------
    list of str
        Addresses of the workers that could not be let go.
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
    """Take back the blame that tasks got for the end of a worker that left in order.

    A worker closes at the end of its lifetime even where nobody could take its results. Dask then
    counts its end against the tasks that it had, as if one of them had killed it.
    """
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is not None and upstream.is_known("blame") and task.suspicious:
            task.suspicious -= 1
            task.prefix.suspicious -= 1
