"""Nodes on which workers die while the batch system takes them for healthy."""

from __future__ import annotations

import time
from collections import defaultdict

# Deaths count for so long, and a bad node is left out for so long (seconds).
REMEMBERED = 600.0
# Workers of a node that die within so many seconds die of one thing.
AT_ONCE = 1.5
# So many times make a node bad: with more, its tasks would have died as often as Dask lets them.
TIMES = 2
# Of the nodes that were seen, at most one in so many is left out, and always the last bad one: jobs
# have to find a place.
ONE_IN = 4


class Nodes:
    """Which nodes are bad for jobs, so that further ones had better run elsewhere.

    A node that is short of memory or has lost its fast network ends a job's workers soon. Then it
    is free, and a batch system that sees nothing wrong starts the next job there.
    """

    def __init__(self):
        self._seen: set[str] = set()
        self._deaths: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._bad: dict[str, float] = {}  # since when, oldest first

    @property
    def left_out(self) -> list[str]:
        """Nodes on which no further job should run."""
        now = time.monotonic()
        bad = [node for node, since in self._bad.items() if now - since < REMEMBERED]
        return sorted(bad[-max(1, len(self._seen) // ONE_IN) :])

    def seen(self, node: str) -> None:
        """A job runs there."""
        self._seen.add(node)

    def died(self, node: str, job_id: str) -> bool:
        """A worker died there with tasks; returns whether workers die there and nowhere else.

        Where they die elsewhere too, it is the tasks that kill them.
        """
        now = time.monotonic()
        self._deaths[node].append((now, job_id))
        for deaths in self._deaths.values():
            deaths[:] = [death for death in deaths if now - death[0] < REMEMBERED]
        if any(deaths for other, deaths in self._deaths.items() if other != node):
            return False
        times, last = 0, -AT_ONCE
        for moment, _ in self._deaths[node]:
            if moment - last >= AT_ONCE:
                times, last = times + 1, moment
        return times >= TIMES

    def acquit(self, job_id: str) -> None:
        """The end of this job explains why its workers died: its node is not to blame."""
        for deaths in self._deaths.values():
            deaths[:] = [death for death in deaths if death[1] != job_id]

    def condemn(self, node: str) -> None:
        """No job should run there for a while."""
        self._deaths.pop(node, None)
        self._bad.pop(node, None)  # to the end
        self._bad[node] = time.monotonic()

    def pardon(self) -> None:
        """The batch system takes no job without these nodes."""
        self._bad.clear()
