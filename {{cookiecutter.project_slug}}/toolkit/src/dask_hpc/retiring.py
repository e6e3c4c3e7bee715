"""Workers leave in order: no new tasks, the running ones end, their results go to others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Collection

from distributed.comm import CommClosedError
from distributed.core import Status
from distributed.scheduler import heartbeat_interval

from .members import here

# Between two looks at what still runs, seconds.
LOOK = 0.2
# Workers tell what they execute with their heartbeats, every half second to some seconds.
HEARTBEAT = 3.0
# tcpi_last_ack_recv of Linux's struct tcp_info (linux/tcp.h), milliseconds: after 8 bytes and 12
# numbers of 4.
LAST_ANSWER = struct.Struct("=56xI")


def close_to_new_tasks(scheduler, workers) -> None:
    """From now on these workers get no tasks; what they run goes on.

    The same two steps with which `Scheduler.retire_workers` begins.
    """
    stimulus = f"dask-hpc-drain-{time.time()}"
    for worker in workers:
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


async def give_up(scheduler, address: str, why: str, expected: bool = True) -> None:
    """A worker is gone, although its connection may still seem open: its tasks go to others.

    Parameters
    ----------
    expected : bool
        Whether its end is not to be held against the tasks that ran on it.
    """
    # Nobody reads at a silent node's end: the connection would stay until the scheduler closes,
    # which then complains about it with a traceback.
    if (stream := scheduler.stream_comms.get(address)) is not None:
        stream.abort()
    await scheduler.remove_worker(
        address, expected=expected, stimulus_id=f"dask-hpc-{why}-{time.time()}"
    )


def unanswered(scheduler, address: str) -> float:
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
    return LAST_ANSWER.unpack(found)[0] / 1000


def take_back(scheduler, worker) -> None:
    """Give tasks that wait on a worker, and will not start there, to others."""
    waiting = [task for task in worker.processing if task not in worker.executing]
    if waiting:
        scheduler.transitions(
            {task.key: "released" for task in waiting}, stimulus_id=f"dask-hpc-drain-{time.time()}"
        )
        # distributed would go on to take an actor for this worker's, which it then never lets go.
        worker.actors.difference_update(waiting)


async def drain(scheduler, addresses: Collection[str], until: float) -> list:
    """Let workers end what they run.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    addresses : collection of str
        The workers'; what comes and goes there meanwhile counts (`Member.addresses`).
    until : float
        Moment (`time.monotonic`) after which they are waited for no longer.

    Returns
    -------
    list of distributed.scheduler.TaskState
        What still runs on them.
    """
    closed: dict[str, float] = {}  # by address: since when (time.time)
    while True:
        workers = here(scheduler, addresses)
        # Again and again: a nanny may have started one anew.
        close_to_new_tasks(scheduler, workers)
        patience = max(HEARTBEAT, 2 * heartbeat_interval(len(scheduler.workers)))
        for worker in workers:
            since = closed.setdefault(worker.address, time.time())
            # It has told meanwhile what it executes.
            if time.time() - since >= patience and worker.last_seen - since >= patience / 2:
                take_back(scheduler, worker)
        busy = [task for worker in workers for task in worker.processing]
        if not busy or time.monotonic() >= until:
            return busy
        await asyncio.sleep(LOOK)


async def retire(scheduler, addresses: Collection[str], until: float | None = None) -> list[str]:
    """Move the results that only these workers have to others, and let the workers go.

    Parameters
    ----------
    addresses : collection of str
        As for `drain`.
    until : float, optional
        Moment (`time.monotonic`) until which it is tried again where there is no other worker to
        take the results. By default it is tried once.

    Returns
    -------
    list of str
        Addresses of the workers that could not be let go.
    """
    while True:
        leaving = [worker.address for worker in here(scheduler, addresses)]
        if leaving:
            await scheduler.retire_workers(workers=leaving, close_workers=True, remove=True)
        left = [worker.address for worker in here(scheduler, addresses)]
        if not left or until is None or time.monotonic() >= until:
            return left
        await asyncio.sleep(LOOK)
