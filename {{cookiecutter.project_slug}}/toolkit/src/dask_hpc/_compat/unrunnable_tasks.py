"""Start tasks that distributed leaves waiting for workers that are gone."""

import time

from distributed.scheduler import Scheduler, TaskState

from .upstream import TASKS_WITHOUT_WORKER

# How the keys of tasks begin on which all outputs of a P2P shuffle or rechunk wait.
BARRIER = "shuffle-barrier-"


class PreferredWorker(set[str]):
    """The address of the worker that the toolkit, and not the user, sends a task to.

    Parameters
    ----------
    address : str
    away : set of str
        Addresses of workers that it must not run on, since it was on one of them when that died.
    """

    def __init__(self, address: str, away: set[str]):
        super().__init__([address])
        self.away = away


def is_placed_by_others(task: TaskState) -> bool:
    if task.worker_restrictions and not isinstance(task.worker_restrictions, PreferredWorker):
        return True
    if task.host_restrictions or task.resource_restrictions:
        return True
    # distributed takes an actor for one of the worker's that it was to start on, whatever we do;
    # and from the workers that a barrier may run on it makes those of the shuffle.
    return task.actor or any(str(t.key).startswith(BARRIER) for t in (task, *task.dependencies))


def restart_unrunnable(scheduler: Scheduler) -> None:
    """Start tasks that wait for certain workers although they could run on others.

    Where there was no worker at all for a moment, distributed leaves such tasks in the
    state *no-worker*. It offers a worker that comes later only the tasks that prefer this very
    worker (``bulk_schedule_unrunnable_after_adding_worker``), so that tasks whose workers are gone
    would wait forever. The same is true of a user's tasks with ``allow_other_workers``.
    """
    if not scheduler.running or not TASKS_WITHOUT_WORKER.is_known:
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
