"""Find nodes on which workers die while the batch system takes them for healthy."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .._asyncio import Clock

# Deaths count for so long, and a bad node is left out for so long (seconds).
MEMORY_S = 600.0
# Workers of a node that die within so many seconds, one after another, die of one thing.
BURST_S = 1.5
# Of the nodes that were seen, at most one in so many is left out, and always the last bad one: jobs
# have to find a place.
EXCLUDE_ONE_IN = 4


@dataclass
class WorkerDeath:
    """The death of a worker that had tasks."""

    moment: float  # monotonic
    job_id: str
    tasks: set[str]  # that it had, and that have not come through elsewhere since


class NodeHealth:
    """Knows which nodes are bad for jobs, so that further jobs had better run elsewhere.

    A node that is short of memory or has lost its fast network soon ends a job's workers. Then it
    is free, and a batch system that sees nothing wrong starts the next job there.

    Parameters
    ----------
    clock : Clock
    nodes_seen : collection of str
        The nodes on which jobs have run; changes to it count.
    """

    def __init__(self, clock: Clock, nodes_seen: Collection[str]) -> None:
        self._clock = clock
        self._seen = nodes_seen
        self._deaths: dict[str, list[WorkerDeath]] = defaultdict(list)
        self._bad: dict[str, float] = {}  # since when, oldest first
        self.suspect_tasks: set[str] = set()  # tasks of those who died

    @property
    def excluded(self) -> list[str]:
        """Nodes on which no further job should run."""
        now = self._clock.monotonic()
        bad = [node for node, since in self._bad.items() if now - since < MEMORY_S]
        return sorted(bad[-max(1, len(self._seen) // EXCLUDE_ONE_IN) :])

    def record_death(self, node: str, job_id: str, tasks: Iterable[str]) -> None:
        """Note that a worker with tasks died there."""
        now = self._clock.monotonic()
        self._deaths[node].append(WorkerDeath(now, job_id, set(tasks)))
        for deaths in self._deaths.values():
            deaths[:] = [death for death in deaths if now - death.moment < MEMORY_S]
        everywhere = (death.tasks for deaths in self._deaths.values() for death in deaths)
        self.suspect_tasks = set().union(*everywhere)

    def task_succeeded(self, task: str) -> None:
        """Clear a task that a dead worker had: it has a result now, so it was not the reason."""
        self.suspect_tasks.discard(task)
        for deaths in self._deaths.values():
            for death in deaths:
                death.tasks.discard(task)

    def is_unhealthy(self, node: str) -> bool:
        """Return whether workers die repeatedly there, nowhere else, and not of their tasks."""
        if any(deaths for other, deaths in self._deaths.items() if other != node):
            return False
        moments: list[list[WorkerDeath]] = []
        for death in self._deaths[node]:
            if moments and death.moment - moments[-1][-1].moment < BURST_S:
                moments[-1].append(death)
            else:
                moments.append([death])
        # The tasks of the last one are about to show elsewhere what they do.
        explained = [death for moment in moments[:-1] for death in moment if death.tasks]
        return len(moments) > 1 and not explained

    def clear_deaths(self, job_id: str) -> None:
        """Clear the node of a job whose end explains why its workers died."""
        for deaths in self._deaths.values():
            deaths[:] = [death for death in deaths if death.job_id != job_id]

    def exclude(self, node: str) -> None:
        """Keep further jobs off this node for a while."""
        self._deaths.pop(node, None)
        self._bad.pop(node, None)  # to the end
        self._bad[node] = self._clock.monotonic()

    def reset(self) -> None:
        """Allow all nodes again, since the batch system takes no job without these."""
        self._bad.clear()
