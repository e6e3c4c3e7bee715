"""Note in Dask's scheduler when workers come and go, and which tasks start."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from .tasks import STARTED


class Observer(SchedulerPlugin):
    """A plugin of the scheduler.

    Attributes
    ----------
    changes : list of (float, int)
        When a worker connected or left, in seconds since 1970, and how many there were then.
    started : list
        The item of each task that has started, as `tasks.announced_task` does; an item that ran
        twice is there twice.
    """

    name = "dask-hpc-bench-observer"

    def __init__(self) -> None:
        self.changes: list[tuple[float, int]] = []
        self.started: list[Any] = []
        self._there: set[str] = set()

    def add_worker(self, scheduler, worker):  # noqa: ARG002 - Dask calls it by these names
        self._there.add(worker)
        self.changes.append((time.time(), len(self._there)))

    def remove_worker(self, scheduler, worker, *, stimulus_id, **kwargs):  # noqa: ARG002
        self._there.discard(worker)
        self.changes.append((time.time(), len(self._there)))

    def log_event(self, topic, msg):
        if topic == STARTED:
            self.started.append(msg)


@dataclass(frozen=True)
class Absence:
    """How many workers were missing after something happened, and for how long.

    Attributes
    ----------
    workers_lost : int
        The most workers that were missing at one time.
    noticed_s, back_s : float or None
        Seconds until the scheduler removed the first one, and until there were as many as before;
        None if that did not happen.
    """

    workers_lost: int
    noticed_s: float | None
    back_s: float | None


def absence(changes: Sequence[tuple[float, int]], since: float) -> Absence:
    """Return what the changes in the number of workers show of the time after `since`."""
    before = next((count for at, count in reversed(changes) if at <= since), 0)
    after = [(at, count) for at, count in changes if at > since]
    lowest = min((count for _, count in after), default=before)
    noticed = next((at for at, count in after if count < before), None)
    back = None
    if noticed is not None:
        # Of the last time that workers were missing.
        below = [at for at, count in after if count < before]
        back = next((at for at, count in after if at > below[-1] and count >= before), None)
    return Absence(
        max(0, before - lowest),
        None if noticed is None else noticed - since,
        None if back is None else back - since,
    )
