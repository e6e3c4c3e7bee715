"""Have tasks of workers that are gone run on other workers, without waiting in vain."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._compat import upstream
from .._compat.unrunnable_tasks import PreferredWorker, is_placed_by_others

if TYPE_CHECKING:
    from distributed import Scheduler


def reschedule_off(scheduler: Scheduler, keys: Iterable[str], away: set[str]) -> None:
    """Have tasks run on workers other than these, each on a different one, as far as possible.

    Dask blames all tasks that a worker has for its death, and gives a task up after a number of
    deaths. On different workers, innocent tasks do not meet the one that kills again and again;
    the data that they need is copied there. Where there are fewer workers than tasks, the workers
    take turns.

    Tasks whose place somebody else has chosen, the user or a shuffle, are left alone. A task that
    waits on a worker may still be stolen by an idle one, as is usual in Dask.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    keys : iterable of str
        Keys of the tasks.
    away : set of str
        Addresses of the workers to avoid.
    """
    others = [worker for worker in scheduler.running if worker.address not in away]
    if not others or not upstream.PREFERRED_WORKERS.is_known:
        return
    # Those that got none of these tasks first, then those whose last one is longest ago.
    line = OrderedDict.fromkeys(sorted(others, key=lambda w: w.occupancy / w.nthreads))
    free = set(others)
    again = []
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is None or task.state not in ("waiting", "queued", "no-worker", "processing"):
            continue
        if is_placed_by_others(task):
            continue
        # Not back to where it was when a worker died before, either.
        avoided = away | getattr(task.worker_restrictions, "away", set())
        worker = task.processing_on
        if worker not in free or worker.address in avoided:
            worker = next((w for w in line if w.address not in avoided), next(iter(line)))
        free.discard(worker)
        line.move_to_end(worker)
        task.worker_restrictions = PreferredWorker(worker.address, avoided)
        task.loose_restrictions = True
        # Otherwise it is in line for any worker, or for another one.
        if task.state == "queued" or task.processing_on not in (None, worker):
            again.append(key)
    scheduler.transitions(
        dict.fromkeys(again, "released"), stimulus_id=f"dask-hpc-elsewhere-{time.time()}"
    )


def reset_suspicion(scheduler: Scheduler, keys: Iterable[str]) -> None:
    """Take back the blame that tasks got for the end of a worker that left in order.

    A worker closes at the end of its lifetime even where nobody could take its results. Dask then
    counts its end against the tasks that it had, as if one of them had killed it.
    """
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is not None and upstream.BLAME.is_known and task.suspicious:
            task.suspicious -= 1
            task.prefix.suspicious -= 1
