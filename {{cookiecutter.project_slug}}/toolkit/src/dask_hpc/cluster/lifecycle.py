"""How a cluster starts, maintains its jobs, and closes: the hooks that `SpecCluster` calls.

There is no handler for Ctrl-C: it raises KeyboardInterrupt in the user's program, whose ``with``
block, or the exit of Python, closes the cluster. Closing cancels the jobs before anything else, but
waits for running submissions (`batch.commands.run`). If the process is killed, the watchdog cancels
its jobs.
"""

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, ClassVar

from distributed import Scheduler, SpecCluster
from distributed.core import Status

from .. import batch as batch_systems
from .._compat.scheduler_caches import clear_scheduler_caches
from .._output import formatting, messages
from ..config import options as config_options
from ..errors import SubmitError
from ..resilience.worker_identity import workers_named
from ..security import dashboard
from .control import JobControl
from .job import job_class_for
from .job_settings import resolve_job_settings
from .private_cluster import PrivateCluster


class ClusterLifecycle(PrivateCluster):
    """The hooks that `SpecCluster` calls, passed on to the cluster's `JobControl`.

    SpecCluster calls these methods on itself, so they are in a base class of `ClusterMixin` and not
    in a separate object.
    """

    batch: ClassVar[batch_systems.BatchSystem]
    _control: JobControl
    if TYPE_CHECKING:
        scheduler: Scheduler  # None until it starts

        def _correct_state(self) -> asyncio.Future[None]: ...

    def __init__(self, n_workers=0, job_cls=None, idle_timeout=None, **kwargs):
        settings = resolve_job_settings(self.batch, type(self), job_cls, kwargs)
        options = dashboard.private(settings.get("scheduler-options") or {})
        settings = self._with_key_folder(settings.with_arguments(scheduler_options=options))
        self._names = itertools.count()
        self._section = f"jobqueue.{settings.arguments['config_name']}"
        control = self._control = JobControl(
            self,
            settings,
            config_options.max_resubmits(),
            config_options.idle_timeout(idle_timeout),
            correct_state=self._correct_state,
            any_job=lambda: self._dummy_job,
            end_itself=self._end_itself,
        )
        job_cls = job_class_for(
            control, job_cls or type(self).job_cls, settings.memory_limit, settings.section
        )
        super().__init__(n_workers=n_workers, job_cls=job_cls, **settings.arguments)
        control.complete(self._dummy_job)

    @property
    def adapting(self) -> bool:
        """Whether `adapt` decides on the number of jobs."""
        return self._adaptive is not None and self._adaptive.periodic_callback is not None

    def new_worker_spec(self):
        """Return the specification of one more job, under a new name."""
        # Never reuse a name: a worker of an ended job may still exist and hold it.
        return {self._new_worker_name(next(self._names)): self.new_spec}

    async def scale_down(self, workers):
        """Remove jobs, given names of jobs or workers; a job is removed with all its workers."""
        control = self._control
        going = {str(worker) for worker in workers}
        for name in list(self.worker_spec):
            job = control.tracker.by_name(name)
            own = workers_named(self.scheduler, job.addresses) if job is not None else []
            if going & {str(name), *(str(w.name) for w in own), *(w.address for w in own)}:
                del self.worker_spec[name]
        control.pool.target = len(self.worker_spec) + control.resubmitter.scheduled
        await self

    def _update_worker_status(self, op, msg):
        # SpecCluster's own method assumes one worker per job, and does not replace jobs.
        super(SpecCluster, self)._update_worker_status(op, msg)

    @property
    def _options_are_in(self) -> str:
        line = f"interface and scheduler-options in jobqueue.yaml, section {self._section}"
        return self._control.origins(line) or line

    async def _start(self):
        await super()._start()
        self._control.start(self._scheduler_closes)

    async def _correct_state_internal(self):
        control = self._control
        # SpecCluster would close jobs without moving their workers' results.
        async with self._lock:
            if self.status is Status.running:
                control.release_unwanted()
        # SpecCluster calls this in the background after every scale(), where an error would only be
        # a traceback in a log. Keep the error for scale and wait_for_workers to raise, and forget
        # the failed jobs, so that the next scale() tries again. By the time of the error, all
        # submissions of the round have finished.
        try:
            await super()._correct_state_internal()
        except SubmitError as refusal:
            control.pool.note_refused(refusal, control.resubmitter.scheduled)

    def _scheduler_closes(self) -> None:
        """Close the cluster, because something else is closing its scheduler."""
        if self.status is not Status.running or self._ends:
            return
        scheduler, why = self.scheduler, "by a client's shutdown() or its own close()"
        timeout, since = scheduler.idle_timeout, scheduler.idle_since
        if timeout and since and time.time() > since + timeout:
            quiet = formatting.format_duration(timeout)
            why = f"after {quiet} without a task, by Dask's idle-timeout"
        meter = self._control.meter
        meter.closed_because = f"its scheduler was closed ({why})"
        messages.warning(
            f"Closing {type(self).__name__} and cancelling its jobs, because "
            f"{meter.closed_because}."
        )
        # SpecCluster would spend a long time trying to reach it.
        self.shutdown_scheduler = False
        self._end_itself()

    async def _end(self, close):
        control: JobControl | None = getattr(self, "_control", None)
        if control is None:  # __init__ failed on an argument; Python still calls __del__
            await close()
            return
        # Cancel the jobs first, so that they end even if the rest fails or is interrupted.
        control.stop()
        if self.status in (Status.running, Status.failed):
            await control.canceller.cancel(*control.watcher.active)
            await control.tasks.wait()
            await control.pool.finish_all()
        try:
            await close()
            if self.scheduler is not None and not self.shutdown_scheduler:
                await self.scheduler.finished()
        finally:
            await control.canceller.over()
            await control.watchdog.close()
        control.meter.report_usage()
        await control.watcher.stop()
        await control.tasks.wait()  # the event loop may be closed next
        clear_scheduler_caches()
