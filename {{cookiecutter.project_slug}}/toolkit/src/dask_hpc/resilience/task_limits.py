"""Count how often the end of a job stopped each task, and allow it three times at most."""

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

# A task is stopped by its job's end so often, then it fails.
MAX_INTERRUPTIONS = 3


class WalltimeInterruptions:
    """Counts, for each task, how often a job's end stopped it.

    Dask runs such a task again on another worker, from its beginning. A task that takes longer
    than a job would start over forever.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    """

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler
        self.counts: Counter[Key] = Counter()

    def stopped(self, tasks: Iterable[TaskState], ran: str) -> None:
        """Note that these tasks are being stopped, on workers whose job ends.

        Parameters
        ----------
        tasks : iterable of distributed.scheduler.TaskState
            In state "processing".
        ran : str
            How long such a job runs, in words.
        """
        again: list[TaskState] = []
        over: list[TaskState] = []
        limit = MAX_INTERRUPTIONS if upstream.is_known("failing-tasks") else math.inf
        for task in tasks:
            self.counts[task.key] += 1
            (over if self.counts[task.key] >= limit else again).append(task)
        if again:
            messages.warning(
                f"{_names(again)} still ran when the job had to end ({ran}), and "
                f"{'begins' if len(again) == 1 else 'begin'} again on another worker."
            )
        for task in over:
            line = (
                f"Task {task.key!r} was stopped {MAX_INTERRUPTIONS} times by the end of its job "
                f"({ran}), so it is not begun again: ask for a longer walltime, or split it into "
                "shorter tasks."
            )
            messages.warning(line)
            error = TaskExceedsWalltimeError(line, task.key, None, MAX_INTERRUPTIONS)
            self._fail(task, error)

    def _fail(self, task: TaskState, error: Exception) -> None:
        del self.counts[task.key]  # `Client.retry` is a new beginning
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
