"""Tasks of workers that are gone run on others next, and wait for none of them in vain."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

# How the keys of tasks begin on which all outputs of a P2P shuffle or rechunk wait.
BARRIER = "shuffle-barrier-"


class Chosen(set):
    """The address of the worker that a task is sent to by us, and not by the user.

    Parameters
    ----------
    address : str
    away : set of str
        Addresses of workers that it is not to run on, since it was on one of them when that died.
    """

    def __init__(self, address: str, away: set[str]):
        super().__init__([address])
        self.away = away


def send_elsewhere(scheduler, keys: Iterable[str], away: set[str]) -> None:
    """Have tasks run on none of these workers, and on different ones, as long as there are others.

    Dask blames all tasks that a worker has for its death, and gives each up after so many deaths.
    On different workers, those that are innocent do not meet the one that kills again and again;
    what they need is copied there. Where there are fewer workers, they are dealt out in turns.

    Tasks for which somebody else says where they run are left alone: the user, or a shuffle. One
    that waits on a worker may still be stolen by an idle one, as Dask otherwise does it.

    Parameters
    ----------
    keys : iterable of str
    away : set of str
        Addresses of the workers.
    """
    others = [worker for worker in scheduler.running if worker.address not in away]
    if not others:
        return
    # Those that got none of these tasks first, then those whose last one is longest ago.
    line = OrderedDict.fromkeys(sorted(others, key=lambda w: w.occupancy / w.nthreads))
    free = set(others)
    again = []
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is None or task.state not in ("waiting", "queued", "no-worker", "processing"):
            continue
        if _is_placed_by_others(task):
            continue
        # Not back to where it was when a worker died before, either.
        avoided = away | getattr(task.worker_restrictions, "away", set())
        worker = task.processing_on
        if worker not in free or worker.address in avoided:
            worker = next((w for w in line if w.address not in avoided), next(iter(line)))
        free.discard(worker)
        line.move_to_end(worker)
        task.worker_restrictions = Chosen(worker.address, avoided)
        task.loose_restrictions = True
        # Otherwise it is in line for any worker, or for another one.
        if task.state == "queued" or task.processing_on not in (None, worker):
            again.append(key)
    scheduler.transitions(
        dict.fromkeys(again, "released"), stimulus_id=f"dask-hpc-elsewhere-{time.time()}"
    )


def forgive(scheduler, keys: Iterable[str]) -> None:
    """Take back that tasks are blamed for the end of a worker that left in order.

    A worker closes at the end of its lifetime also where nobody could take its results; Dask then
    counts its end against the tasks that it had, as if one of them had killed it.
    """
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is not None and task.suspicious:
            task.suspicious -= 1
            task.prefix.suspicious -= 1


def _is_placed_by_others(task) -> bool:
    if task.worker_restrictions and not isinstance(task.worker_restrictions, Chosen):
        return True
    if task.host_restrictions or task.resource_restrictions:
        return True
    # distributed takes an actor for one of the worker's that it was to start on, whatever we do;
    # and from the workers that a barrier may run on it makes those of the shuffle.
    return task.actor or any(str(t.key).startswith(BARRIER) for t in (task, *task.dependencies))


def start_left_over(scheduler) -> None:
    """Have tasks run that wait for certain workers, may run on others, and could.

    Where no worker at all was there for a moment, distributed (2026.8.0) leaves such tasks in the
    state *no-worker*: whoever comes then is offered only tasks that prefer this very worker
    (``bulk_schedule_unrunnable_after_adding_worker``), so that those whose workers are gone would
    wait for ever. The same goes for a user's tasks with ``allow_other_workers``.
    """
    if not scheduler.running:
        return
    waiting = [
        task.key
        for task in scheduler.unrunnable
        if task.loose_restrictions
        # Those are counted on the worker, which has to have them (distributed#4792).
        and not task.resource_restrictions
        and not scheduler.valid_workers(task)
    ]
    scheduler.transitions(
        dict.fromkeys(waiting, "processing"), stimulus_id=f"dask-hpc-left-over-{time.time()}"
    )
