"""Keep further jobs off nodes on which jobs were lost."""

from .._asyncio import Clock
from ..batch import JobState, JobStatus
from .restart_policy import ENDS_NOT_BLAMING_NODE
from .tracked_job import TrackedJob
from .tracking import JobTracker

# How long a bad node is excluded.
EXCLUDED_S = 600.0
# At most one in this many of the nodes seen is excluded (but always the last bad one), so that jobs
# still find a node.
EXCLUDE_ONE_IN = 4


class NodeHealth:
    """Record nodes on which jobs were lost, or failed to start workers while other nodes did not.

    A node that has lost its fast network, for example, quickly loses a job's workers. It is then
    free, and a batch system that sees nothing wrong starts the next job there.

    Parameters
    ----------
    tracker : JobTracker
    clock : Clock
    """

    def __init__(self, tracker: JobTracker, clock: Clock) -> None:
        self._tracker = tracker
        self._clock = clock
        self._bad: dict[str, float] = {}  # node -> since when, oldest first
        tracker.on_job_ended.append(self._on_job_ended)

    @property
    def excluded(self) -> list[str]:
        """Nodes on which no further jobs should run."""
        now = self._clock.monotonic()
        bad = [node for node, since in self._bad.items() if now - since < EXCLUDED_S]
        return sorted(bad[-max(1, len(self._tracker.nodes_seen) // EXCLUDE_ONE_IN) :])

    def exclude(self, node: str) -> None:
        """Keep further jobs off this node for a while."""
        self._bad.pop(node, None)  # so that it moves to the end
        self._bad[node] = self._clock.monotonic()

    def reset(self) -> None:
        """Allow all nodes again, because the batch system accepts no job that excludes these."""
        self._bad.clear()

    def _on_job_ended(self, job: TrackedJob, status: JobStatus) -> None:
        """Exclude a job's node if the node is to blame for its end."""
        if status.state in ENDS_NOT_BLAMING_NODE and not job.lost_reason:
            return
        # If it is the only node, there is nothing to compare it with.
        comparable = status.node and self._tracker.has_workers_elsewhere(status.node)
        if comparable and self._failed(job, status.state):
            self.exclude(status.node)

    def _failed(self, job: TrackedJob, state: JobState) -> bool:
        """Return whether a job failed as none of those on other nodes did."""
        if job.lost_reason or job.unresponsive or self._tracker.dies_alone(job):
            return True
        if job.first_worker_at is None and self._tracker.any_worker_came:
            return True
        # The workers exited cleanly with work left: they had lost the scheduler.
        return job.worker_died and state is JobState.DONE
