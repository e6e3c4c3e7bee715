"""Start tasks that distributed leaves waiting for workers that are gone."""

import time

from distributed import Scheduler

from . import upstream


def restart_unrunnable(scheduler: Scheduler) -> None:
    """Start tasks that wait for certain workers although they could run on others.

    Where there was no worker at all for a moment, distributed leaves such tasks in the
    state *no-worker*. It offers a worker that comes later only the tasks that prefer this very
    worker (``bulk_schedule_unrunnable_after_adding_worker``), so that tasks whose workers are gone
    would wait forever. The same is true of a user's tasks with ``allow_other_workers``.
    """
    if not scheduler.running or not upstream.is_known("tasks-without-worker"):
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
