"""Keep further jobs off nodes on which jobs were lost."""

from .._asyncio import Clock
from ..batch import JobState, JobStatus
from .restart_policy import ENDS_NOT_BLAMING_NODE
from .tracked_job import TrackedJob
from .tracking import JobTracker

# A bad node is left out for so long (seconds).
EXCLUDED_S = 600.0
# Of the nodes that were seen, at most one in so many is left out, and always the last bad one: jobs
# have to find a place.
EXCLUDE_ONE_IN = 4


class NodeHealth:
    """Knows the nodes on which jobs were lost, or no worker came although others did.

    A node that has lost its fast network soon ends a job's workers. Then it is free, and a batch
    system that sees nothing wrong starts the next job there.

    Parameters
    ----------
    tracker : JobTracker
    clock : Clock
    """

    def __init__(self, tracker: JobTracker, clock: Clock) -> None:
        self._tracker = tracker
        self._clock = clock
        self._bad: dict[str, float] = {}  # since when, oldest first
        tracker.on_job_ended.append(self._on_job_ended)

    @property
    def excluded(self) -> list[str]:
        """Nodes on which no further job should run."""
        now = self._clock.monotonic()
        bad = [node for node, since in self._bad.items() if now - since < EXCLUDED_S]
        return sorted(bad[-max(1, len(self._tracker.nodes_seen) // EXCLUDE_ONE_IN) :])

    def exclude(self, node: str) -> None:
        """Keep further jobs off this node for a while."""
        self._bad.pop(node, None)  # to the end
        self._bad[node] = self._clock.monotonic()

    def reset(self) -> None:
        """Allow all nodes again, since the batch system takes no job without these."""
        self._bad.clear()

    def _on_job_ended(self, job: TrackedJob, status: JobStatus) -> None:
        """Hold the end of a job against its node, or not."""
        if status.state in ENDS_NOT_BLAMING_NODE and not job.lost_reason:
            return
        # Where it is the only node, there is nothing to compare it with.
        elsewhere = any(j.addresses and j.node not in ("", status.node) for j in self._tracker)
        if status.node and elsewhere and self._failed(job, status.state):
            self.exclude(status.node)

    def _failed(self, job: TrackedJob, state: JobState) -> bool:
        """Return whether a job's workers were lost, or never came although others did."""
        if job.lost_reason or job.unresponsive:
            return True
        if job.first_worker_at is None and self._tracker.any_worker_came:
            return True
        # They ended in order, with work to do: they did not reach the scheduler any more.
        return job.worker_died and state is JobState.DONE
