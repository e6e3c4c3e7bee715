"""Start tasks that distributed keeps waiting for workers that are gone."""

import time

from distributed import Scheduler

from . import upstream


def restart_unrunnable(scheduler: Scheduler) -> None:
    """Start tasks that wait for specific workers although they could run on others.

    If there were no workers at all for a moment, distributed puts such tasks into the state
    *no-worker*. It then offers a new worker only the tasks that prefer this very worker
    (``bulk_schedule_unrunnable_after_adding_worker``), so that tasks whose workers are gone would
    wait forever. The same applies to a user's tasks with ``allow_other_workers``.
    """
    if not scheduler.running or not upstream.is_known("tasks-without-worker"):
        return
    waiting = [
        task.key
        for task in scheduler.unrunnable
        if task.loose_restrictions
        # Resources are counted per worker, which must provide them (distributed#4792).
        and not task.resource_restrictions
        and not scheduler.valid_workers(task)
    ]
    scheduler.transitions(
        dict.fromkeys(waiting, "processing"), stimulus_id=f"dask-hpc-left-over-{time.time()}"
    )
