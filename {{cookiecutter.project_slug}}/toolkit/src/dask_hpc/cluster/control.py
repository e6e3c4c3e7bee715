"""Connect the parts that manage the jobs of one cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dask.utils import format_bytes, parse_bytes
from tornado.ioloop import PeriodicCallback

from .._asyncio import BackgroundTasks, Clock
from .._output.messages import Messages
from ..accounting import UsageMeter, UsageTotals, cores_held
from ..batch.canceller import BatchedCanceller
from ..batch.watcher import JobWatcher
from ..resilience.diagnosis import Diagnosis
from ..resilience.draining import retire
from ..resilience.node_health import NodeHealth
from ..resilience.restart_policy import RestartLimits
from ..resilience.resubmission import Resubmitter
from ..resilience.task_limits import WalltimeInterruptions
from ..resilience.tracked_job import TrackedJob
from ..resilience.tracking import JobTracker
from ..resilience.waiting_tasks import WaitingTasks
from ..resilience.walltime import WalltimeManager
from ..resilience.worker_loss import MONITOR_TICK_S, LostWorkerMonitor
from ..resources import ResourceUse, requested
from ..watchdog.client import WatchdogClient
from . import registration
from .environment_check import EnvironmentCheck
from .job_output import ClusterJobOutput
from .pool import ClusterJobPool
from .scaling import JobSize
from .worker_events import WorkerEventsPlugin

if TYPE_CHECKING:
    from ..config.resolve import JobSettings
    from .lifecycle import ClusterLifecycle


class JobControl:
    """The policies of one cluster and the objects that they share.

    Parameters
    ----------
    cluster : ClusterLifecycle
    settings : JobSettings
    max_resubmits : int
        How many times in a row to resubmit a job.
    idle_timeout : float or None
        In seconds; see `UsageMeter`.
    correct_state, any_job : callable
        See `ClusterJobPool`.
    end_itself : callable
        Starts closing the cluster.
    clock : Clock, optional
    """

    def __init__(
        self,
        cluster: ClusterLifecycle,
        settings: JobSettings,
        max_resubmits: int,
        idle_timeout: float | None,
        *,
        correct_state: Callable[[], Any],
        any_job: Callable[[], Any],
        end_itself: Callable[[], None],
        clock: Clock | None = None,
    ):
        self.batch = batch = cluster.batch
        self.job_size = JobSize(settings.processes, settings.cores, parse_bytes(settings.memory))
        self.origins = settings.origins
        self.messages = messages = Messages()
        self.tasks = tasks = BackgroundTasks("Looking after jobs")
        clock = clock or Clock()
        self.watcher = JobWatcher(batch)
        self.canceller = BatchedCanceller(batch, self.watcher)
        self.output = ClusterJobOutput(batch, any_job)
        self.pool = pool = ClusterJobPool(
            cluster, self.watcher, self.canceller, correct_state, any_job
        )
        self.tracker = tracker = JobTracker(pool, clock, tasks)
        usage = UsageTotals(settings.cores)
        self.resources = resources = ResourceUse(
            requested(settings), lambda worker: tracker.by_address(worker.address) or worker.address
        )
        self.meter = UsageMeter(pool, self.watcher, usage, idle_timeout, end_itself, resources)
        tracker.on_worker_died.append(lambda *_: resources.worker_died())
        self.watchdog = WatchdogClient(
            lambda: registration.describe(
                batch, any_job(), pool.name, cluster.name, self.output.patterns
            ),
            messages.warning,
        )
        memory = describe_memory(settings.memory, settings.processes)
        self.limits = limits = RestartLimits(max_resubmits, memory)
        self.health = NodeHealth(tracker, clock)
        shared = (pool, tracker, clock, messages, tasks)
        self.diagnosis = Diagnosis(*shared, self.output, settings.death_timeout, settings.origins)
        self.resubmitter = Resubmitter(*shared, limits, self.health, self.diagnosis.examine)
        self.replacements = self.resubmitter.replacements
        self.lost_workers = LostWorkerMonitor(*shared)
        self.walltime = WalltimeManager(*shared, self.replacements, settings.walltime)
        self._waiting_tasks = WaitingTasks(*shared, self.resubmitter)
        self._ticks: list[PeriodicCallback] = []
        self.watcher.has_workers = tracker.has_live_worker
        self.watcher.subscribe(
            lambda event: self.watchdog.set_job_state(event.job, event.state.ended)
        )
        self.watcher.subscribe(tracker.job_changed)
        # A worker may show that a job is running before the next poll does.
        tracker.on_worker_added.append(self._note_running)
        tracker.on_worker_added.append(EnvironmentCheck(pool, messages, tasks).worker_added)

    def complete(self, job: Any) -> None:
        """Read from one of dask-jobqueue's jobs what the arguments do not specify.

        Parameters
        ----------
        job : dask_jobqueue.core.Job
        """
        if held := cores_held(self.batch, job.job_script()):
            self.meter.usage.cores = self.resources.held_cores = held
        # HTCondor's jobs may be queued on another computer, which its commands need to know.
        command = registration.cancel_command(self.batch, job)
        self.canceller.own = self.watcher.own = command

    def start(self, scheduler_closes: Callable[[], None]) -> None:
        """Start managing the jobs, once the scheduler has started. Call this on its event loop."""
        if self._ticks:
            return
        scheduler = self.pool.scheduler
        self.walltime.interruptions = WalltimeInterruptions(scheduler)
        plugin = WorkerEventsPlugin(self.tracker, self.walltime.interruptions, scheduler_closes)
        scheduler.add_plugin(plugin, name=plugin.name, idempotent=True)
        parts = (
            self.walltime.tick,
            self.lost_workers.tick,
            self.tracker.tick,
            self._waiting_tasks.tick,
            self.diagnosis.tick,
            self.meter.tick,
            self._report_submit_error,
        )
        self._ticks = [PeriodicCallback(tick, MONITOR_TICK_S * 1000) for tick in parts]
        for callback in self._ticks:
            callback.start()

    def stop(self) -> None:
        """Stop managing the jobs, because the cluster is closing."""
        for callback in self._ticks:
            callback.stop()
        self.tasks.close()
        self.meter.conclude()

    def note_submitted(self, name: str, job_id: str) -> None:
        """Record that the batch system has accepted a job."""
        self.pool.note_submitted(name)
        history = self.replacements.take_history(name)
        self.tracker.job_submitted(name, job_id, self.pool.kind(name), history)
        self.watcher.add(job_id)

    def raise_submit_error(self) -> None:
        """Raise the error of a rejected job, if there is one that was not reported yet."""
        if not self.replacements.is_submitting:
            self.pool.submit_errors.raise_unreported()

    def scale(self, target: int, asked: bool) -> None:
        """Scale to this many jobs.

        Parameters
        ----------
        target : int
        asked : bool
            Whether the user requested any jobs, as opposed to none.
        """
        if asked:
            self.raise_submit_error()
            self.replacements.abandoned = 0
            self.pool.submit_errors.clear()
        self.pool.target = target
        self.pool.scale(target, self.tracker)

    def scale_adaptively(self, target: int) -> None:
        """Scale to this many jobs, in addition to those that are about to be resubmitted."""
        self.pool.submit_errors.clear()
        self.pool.target = target + self.resubmitter.scheduled
        self.pool.scale(target, self.tracker)

    def release_unwanted(self) -> None:
        """End jobs that are no longer wanted, after moving their results to other workers."""
        for name in self.pool.unwanted():
            self.pool.release(name)
            self.tasks.spawn(self._retire(name))

    async def _retire(self, name: str) -> None:
        try:
            if (job := self.tracker.by_name(name)) is not None:
                await retire(self.pool.scheduler, job.addresses)
        finally:
            await self.pool.finish(name)

    def _note_running(self, job: TrackedJob, _: object) -> None:
        if self.tracker.by_id(job.job_id) is not None:
            self.meter.usage.began(job.job_id)

    def _report_submit_error(self) -> None:
        if self.pool.is_adapting:
            self.pool.submit_errors.leave_to_adapt()
        elif error := self.pool.submit_errors.overdue():
            self.messages.warning(str(error))


def describe_memory(memory: str, workers: int) -> str:
    """Describe the memory of a worker and of its job."""
    if workers == 1:
        return f"all of its job's {memory}"
    share = format_bytes(parse_bytes(memory) // workers)
    return f"{share} of its job's {memory}, shared by {workers}"
