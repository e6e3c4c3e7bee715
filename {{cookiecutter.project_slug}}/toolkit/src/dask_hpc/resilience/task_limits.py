"""Fail tasks that keep running into their job's walltime."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from dask.typing import Key
from distributed.protocol.pickle import dumps
from distributed.scheduler import Scheduler, TaskState

from .._compat import upstream
from .._output import messages
from ..dask_errors import TaskExceedsWalltimeError

# A task fails after its job's walltime has interrupted it this many times.
MAX_INTERRUPTIONS = 3


class WalltimeInterruptions:
    """Count, for each task, how often its job's walltime interrupted it.

    Dask restarts such a task from the beginning on another worker. A task that takes longer than a
    job's walltime would be restarted forever.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    """

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler
        self.counts: Counter[Key] = Counter()

    def stopped(self, tasks: Iterable[TaskState], ran: str) -> None:
        """Record that these tasks are being interrupted by the walltime of their workers' job.

        Parameters
        ----------
        tasks : iterable of distributed.scheduler.TaskState
            In state "processing".
        ran : str
            How long such a job runs, as shown to the user.
        """
        again: list[TaskState] = []
        over: list[TaskState] = []
        limit = MAX_INTERRUPTIONS if upstream.is_known("failing-tasks") else math.inf
        for task in tasks:
            self.counts[task.key] += 1
            (over if self.counts[task.key] >= limit else again).append(task)
        if again:
            messages.warning(
                f"{_names(again)} {'was' if len(again) == 1 else 'were'} still running at the "
                f"job's walltime ({ran}); restarting on another worker."
            )
        for task in over:
            line = (
                f"Task {task.key!r} was interrupted {MAX_INTERRUPTIONS} times by a job's walltime "
                f"({ran}) and is not restarted: request a longer walltime, or split it into "
                "shorter tasks."
            )
            messages.warning(line)
            error = TaskExceedsWalltimeError(line, task.key, None, MAX_INTERRUPTIONS)
            self._fail(task, error)

    def _fail(self, task: TaskState, error: Exception) -> None:
        del self.counts[task.key]  # so that `Client.retry` starts from zero
        stimulus = f"dask-hpc-too-long-{time.time()}"
        worker = task.processing_on.address if task.processing_on else None
        further = self._scheduler.transition(
            task.key,
            "erred",
            exception=dumps(error),
            cause=task.key,
            worker=worker,
            stimulus_id=stimulus,
        )
        self._scheduler.transitions(further, stimulus_id=stimulus)


def _names(tasks: Sequence[TaskState]) -> str:
    shown = ", ".join(repr(task.key) for task in tasks[:3])
    more = f" and {len(tasks) - 3} more" if len(tasks) > 3 else ""
    return f"Task{'' if len(tasks) == 1 else 's'} {shown}{more}"
