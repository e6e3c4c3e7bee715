"""How a cluster starts, keeps up its jobs, and ends: what `SpecCluster` calls while it does so.

Ctrl-C has no handler: it is a KeyboardInterrupt in the user's program, whose ``with`` block, or
Python's own end, closes the cluster. Closing cancels the jobs before anything else; a submission
that runs just then is completed first (`batch.commands.run`). The watchdog cancels the jobs of a
process that is killed.
"""

import asyncio
import itertools
import os
import time
from typing import TYPE_CHECKING, Any, ClassVar

from dask.utils import format_bytes, parse_bytes
from distributed import SpecCluster
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from .. import batch as batch_systems
from .._compat.lazy_dashboard import DashboardOnDemand
from .._compat.scheduler_caches import clear_scheduler_caches
from .._compat.tls_error_queue import IsolatedTLSMixin
from .._output import formatting, messages
from ..accounting import UsageMeter, cores_held
from ..batch import output_files, watcher
from ..batch.canceller import BatchedCanceller
from ..config import options as config_options
from ..errors import SubmitError
from ..resilience.diagnosis import Diagnosis
from ..resilience.resubmission import Resubmitter
from ..resilience.task_limits import WalltimeInterruptions
from ..resilience.tracking import JobKind, workers_named
from ..resilience.walltime import WalltimeManager
from ..resilience.worker_loss import MONITOR_TICK_S
from ..watchdog.client import WatchdogClient
from . import registration
from .departures import Departures
from .job import job_class_for
from .job_kinds import JobKinds
from .job_settings import resolve_job_settings
from .self_closing import SelfClosingMixin
from .start_errors import StartErrorsMixin
from .submit_errors import SubmitErrors
from .wait import WorkerWait
from .worker_events import WorkerEventsPlugin

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster as _Base
    from distributed import Scheduler
else:
    _Base = object


class ClusterLifecycle(
    StartErrorsMixin, SelfClosingMixin, IsolatedTLSMixin, DashboardOnDemand, _Base
):
    """Wires together what looks after a cluster's jobs, from its start to its end.

    SpecCluster calls these methods on itself, so they are a base class of `ClusterMixin` and not
    an object of their own.
    """

    batch: ClassVar[batch_systems.BatchSystem]
    if TYPE_CHECKING:
        scheduler: Scheduler  # None until it starts

        def _correct_state(self) -> asyncio.Future[None]: ...

    def __init__(self, n_workers=0, job_cls=None, idle_timeout=None, **kwargs):
        # First of all, since leaving __init__ through an error still runs __del__ and close.
        self.watcher = watcher.JobWatcher(self.batch)
        self.meter = UsageMeter(self, self.watcher)
        self.canceller = BatchedCanceller(self.batch, self.watcher)
        self.watchdog = WatchdogClient(self._describe_to_watchdog, messages.warning)
        self.watcher.subscribe(
            lambda event: self.watchdog.set_job_state(event.job, event.state.ended)
        )
        self.submitted_names: set[str] = set()  # names of the jobs that the batch system took
        self.submit_errors = SubmitErrors()
        self.departures = Departures(self)
        self._ticks: list[PeriodicCallback] = []
        settings = resolve_job_settings(self.batch, type(self), job_cls, kwargs)
        kwargs = settings.arguments
        self.target_jobs = 0
        self._names = itertools.count()
        self._kinds = JobKinds()
        self.workers_per_job: int = kwargs["processes"]
        self._memory = kwargs["memory"]
        self._log_directory = kwargs.get("log_directory") if self.batch.log_key else None
        self._folder = os.getcwd()  # noqa: PTH109 - a str; jobs are submitted from here
        self._section = f"jobqueue.{kwargs['config_name']}"
        self.recovery = Resubmitter(self, config_options.max_resubmits())
        self.watcher.subscribe(self.recovery.on_event)
        self.watcher.has_workers = self.recovery.tracker.has_live_worker
        self._waiting = WorkerWait(self)
        self._walltime = WalltimeManager(self, settings.walltime)
        self.diagnosis = Diagnosis(self, settings.death_timeout)
        job_cls = job_class_for(
            self, job_cls or type(self).job_cls, settings.memory_limit, settings.section
        )
        self.meter.usage.cores = kwargs["cores"]
        self.meter.limit = config_options.idle_timeout(idle_timeout)
        super().__init__(n_workers=n_workers, job_cls=job_cls, **kwargs)
        self.meter.usage.cores = cores_held(self.batch, self.job_script()) or kwargs["cores"]
        # HTCondor's jobs may be on another computer, which its commands have to be told.
        command = registration.cancel_command(self.batch, self._dummy_job)
        self.canceller.own = self.watcher.own = command

    def _describe_to_watchdog(self) -> dict[str, Any]:
        job, name = self._dummy_job, type(self).__name__
        return registration.describe(self.batch, job, name, self._log_directory, self.log_patterns)

    # --- what the parts of the cluster ask ------------------------------------------------------

    def kind(self, name=None) -> JobKind:
        """Return what is known of jobs like the one of this name, or like those submitted next."""
        if name is not None and (known := self._kinds.of_job(name)) is not None:
            return known
        spec = self.new_spec if name is None else self.worker_spec.get(name, self.new_spec)
        return self._kinds.of_spec(spec)

    def describe_memory(self) -> str:
        """Describe the memory that a worker, and its job, may use."""
        share = format_bytes(parse_bytes(self._memory) // self.workers_per_job)
        if self.workers_per_job == 1:
            return f"all of its job's {self._memory}"
        return f"{share} of its job's {self._memory}, shared by {self.workers_per_job}"

    @property
    def log_patterns(self) -> list[str]:
        """The files that jobs print to, as patterns of `output_files`; those of errors last."""
        job = self._dummy_job
        header = getattr(job, "job_header_dict", None) or job.job_header or ""
        return output_files.output_patterns(self.batch, header, job.job_name, self._folder)

    def can_exclude(self, nodes: list[str]) -> bool:
        """Return whether jobs can be submitted so that they do not run on these nodes."""
        directives = self._dummy_job.job_extra_directives
        return bool(nodes) and bool(self.batch.exclude_args(nodes, directives))

    def log_files(self, job_id: str) -> list[str]:
        """Return the files that a job prints to; that of errors last."""
        patterns = self.log_patterns
        return [file for each in patterns for file in output_files.find_files(each, job_id)]

    def log_hint(self) -> str:
        """Return a sentence about where the jobs' output is; empty if there is none."""
        files = [output_files.show_pattern(pattern, "*") for pattern in self.log_patterns]
        folders = {os.path.dirname(file) for file in files}  # noqa: PTH120
        return f" Their output is in {' and '.join(sorted(folders))}." if folders else ""

    def raise_submit_error(self) -> None:
        """Raise the refusal of a job, unless there was none or the user has been told."""
        if not self.recovery.replacements.is_submitting:
            self.submit_errors.raise_unreported()

    @property
    def adapting(self) -> bool:
        """Whether `adapt` decides on the number of jobs."""
        return self._adaptive is not None and self._adaptive.periodic_callback is not None

    def scheduler_closes(self) -> None:
        """Close the cluster, since somebody else closes its scheduler."""
        if self.status is not Status.running or self._ends:
            return
        scheduler, why = self.scheduler, "by a client's shutdown() or its own close()"
        timeout, since = scheduler.idle_timeout, scheduler.idle_since
        if timeout and since and time.time() > since + timeout:
            quiet = formatting.format_duration(timeout)
            why = f"after {quiet} without a task, Dask's own idle-timeout"
        self.meter.closed_because = f"its scheduler was closed ({why})"
        messages.warning(
            f"{type(self).__name__} is closed and its jobs are cancelled, since "
            f"{self.meter.closed_because}."
        )
        # SpecCluster would try for long to reach it.
        self.shutdown_scheduler = False
        self.end_itself()

    # --- SpecCluster's --------------------------------------------------------------------------

    def new_worker_spec(self, kind: JobKind | None = None):
        """Return the specification of one more job, under a name that no other has had."""
        # Never a name twice: a worker of an ended job may still be there, and hold it.
        name = self._new_worker_name(next(self._names))
        kind = kind or self.kind()
        self._kinds.add_job(name, kind)
        return {name: kind.spec}

    async def scale_down(self, workers):
        """Let jobs go, by the names of jobs or workers; a job goes with all of its workers."""
        going = {str(worker) for worker in workers}
        for name in list(self.worker_spec):
            job = self.recovery.tracker.by_name(name)
            own = workers_named(self.scheduler, job.addresses) if job is not None else []
            if going & {str(name), *(str(w.name) for w in own), *(w.address for w in own)}:
                del self.worker_spec[name]
        self.target_jobs = len(self.worker_spec) + self.recovery.scheduled
        await self

    def _update_worker_status(self, op, msg):
        # SpecCluster's own knows jobs of one worker only, and does not replace them.
        super(SpecCluster, self)._update_worker_status(op, msg)

    @property
    def _options_are_in(self) -> str:
        return f"interface and scheduler-options in jobqueue.yaml, section {self._section}"

    async def _start(self):
        await super()._start()
        self.meter.start()
        if not self._ticks:
            interruptions = self._walltime.interruptions = WalltimeInterruptions(self.scheduler)
            plugin = WorkerEventsPlugin(self, interruptions)
            self.scheduler.add_plugin(plugin, name=WorkerEventsPlugin.name, idempotent=True)
            parts = (
                self._walltime.tick,
                self.recovery.lost_workers.tick,
                self.recovery.tick,
                self.diagnosis.tick,
                self._report_submit_error,
            )
            self._ticks = [PeriodicCallback(tick, MONITOR_TICK_S * 1000) for tick in parts]
            for callback in self._ticks:
                callback.start()

    def note_submitted(self, name: str, job_id: str) -> None:
        """Note that the batch system has taken a job."""
        self.submitted_names.add(str(name))
        self.recovery.on_job_submitted(name, job_id, self.kind(name))
        self.watcher.add(job_id)

    async def submit_missing(self) -> None:
        """Submit the jobs that are in ``worker_spec`` and not there yet, in one round for all."""
        # Shielded: others wait for the same round, and its submissions have to be noted.
        await asyncio.shield(self._correct_state())

    async def _submitted_or_refused(self):
        await self.submit_missing()
        self.raise_submit_error()

    async def _correct_state_internal(self):
        # SpecCluster would close jobs with all that their workers hold.
        async with self._lock:
            if self.status is Status.running:
                for name in set(self.workers) - set(self.worker_spec):
                    self.departures.release(name)
        # It calls this in the background after every scale(), where an error would only be a
        # traceback in a log. The refusal is kept, for scale and wait_for_workers to tell; the jobs
        # that failed are forgotten, so that the next scale() tries again. All submissions of the
        # round are over when it arrives here.
        try:
            await super()._correct_state_internal()
        except SubmitError as refusal:
            failed = [name for name, job in self.workers.items() if job.status == Status.failed]
            for name in failed:
                del self.workers[name]
                self.worker_spec.pop(name, None)
            wanted = len(self.worker_spec) + self.recovery.scheduled
            self.target_jobs = min(self.target_jobs, wanted)
            self.submit_errors.record(refusal)

    def _report_submit_error(self) -> None:
        if self.adapting:
            self.submit_errors.leave_to_adapt()
        elif error := self.submit_errors.overdue():
            self.recovery.report(str(error))

    def _remove_keys(self):
        """Delete the key files of a temporary `Security`, which would stay until Python ends."""
        for name in ("ca_file", "cert", "key"):
            file = getattr(self, f"_job_{name}", None)
            if file is not None:
                file.close()

    async def _end(self, close):
        # Jobs first: whatever else fails or is interrupted while closing, they end.
        for callback in self._ticks:
            callback.stop()
        self.recovery.close()
        self._walltime.close()
        self.departures.cancel()
        if self.status in (Status.running, Status.failed):
            await self.canceller.cancel(*self.job_ids)
            await self.departures.close()
        self.meter.stop()
        self._remove_keys()
        try:
            await close()
            if self.scheduler is not None and not self.shutdown_scheduler:
                await self.scheduler.finished()
        finally:
            await self.canceller.over()
            await self.watchdog.close()
        self.meter.report_usage()
        await self.watcher.stop()
        for tasks in (self.recovery.tasks, self._walltime.tasks):
            await tasks.wait()  # the event loop may be closed next
        clear_scheduler_caches()
