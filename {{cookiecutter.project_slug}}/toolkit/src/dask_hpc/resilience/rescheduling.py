"""Take back the blame that tasks got for workers that left in order."""

from collections.abc import Iterable

from distributed import Scheduler


def reset_suspicion(scheduler: Scheduler, keys: Iterable[str]) -> None:
    """Take back the blame that tasks got for the end of a worker that left in order.

    A worker closes at the end of its lifetime even where nobody could take its results. Dask then
    counts its end against the tasks that it had, as if one of them had killed it.
    """
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is not None and task.suspicious:
            task.suspicious -= 1
            task.prefix.suspicious -= 1
