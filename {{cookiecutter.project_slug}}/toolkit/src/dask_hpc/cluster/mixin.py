"""dask-jobqueue's cluster classes, which report what happens to their jobs, and `get_cluster`."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dask.utils import format_bytes, parse_bytes
from distributed import SpecCluster
from distributed.core import Status

from .. import batch as batch_systems
from .._asyncio import BackgroundTasks
from .._compat.scheduler_caches import clear_scheduler_caches
from .._compat.tls_error_queue import IsolatedTLSMixin
from .._output import formatting, messages
from ..accounting import UsageMeter, cores_held
from ..batch import custom_commands, output_files, watcher
from ..batch.canceller import BatchedCanceller
from ..config import argument_names, resolve, validators, warnings
from ..config import options as config_options
from ..config.worker_start import add_worker_start
from ..errors import ClusterClosedError, SubmitError
from ..resilience.diagnosis import Diagnosis
from ..resilience.draining import retire
from ..resilience.resubmission import Resubmitter
from ..resilience.task_limits import WalltimeInterruptions
from ..resilience.tracking import JobKind, count_running, workers_named
from ..resilience.walltime import WalltimeManager
from ..watchdog import registry
from ..watchdog.client import WatchdogClient
from .adaptive import Adaptive
from .job import job_class_for
from .lazy_dashboard import DashboardOnDemand
from .plugin import WorkerEventsPlugin
from .self_closing import SelfClosingMixin
from .start_errors import StartErrorsMixin
from .submit_errors import PendingSubmission
from .wait import WorkerWait

if TYPE_CHECKING:
    from distributed import Scheduler

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster as _Base
else:
    _Base = object

logger = logging.getLogger(__name__)

# Seconds between two looks at what nobody tells: silent workers, ends that come near.
TICK_S = 1.0
# A refusal is an exception at wait_for_workers and the next scale; after so long, also a line.
REPORT_AFTER_S = 3.0


class ClusterMixin(StartErrorsMixin, SelfClosingMixin, IsolatedTLSMixin, DashboardOnDemand, _Base):
    """What every class here adds to dask-jobqueue's class of the same name.

    * Cores, memory and processes may be set in ``jobqueue.yaml`` alone, and ``scale`` and ``adapt``
      work, in whole jobs.
    * A refused job is raised as `SubmitError`, at `wait_for_workers` and at the next `scale`.
    * `wait_for_workers` says what the jobs wait for.
    * Jobs that end unexpectedly are noticed, reported and submitted again; jobs near their walltime
      are left in order.
    * All jobs are cancelled with one call, before anything else is taken down.

    Attributes
    ----------
    batch : Scheduler
        The description of the batch system.
    watcher : Watcher
        What it says about this cluster's jobs, as events.
    recovery : Recovery
        What follows when jobs end.
    meter : Meter
        What the jobs have used, and whether there is anything to do; see `idle_timeout`.

    Parameters
    ----------
    idle_timeout : number or str, optional
        In addition to those of dask-jobqueue's class: close the cluster when its workers have had
        nothing to do for so long, in seconds or as ``"30 minutes"``; 0 for never. By default it is
        the configuration's ``dask-hpc: idle-timeout:``.
    """

    batch: ClassVar[batch_systems.BatchSystem]
    if TYPE_CHECKING:
        scheduler: Scheduler  # None until it starts

        def _correct_state(self) -> asyncio.Future[None]: ...

    def __init__(self, n_workers=0, job_cls=None, idle_timeout=None, **kwargs):
        # First of all, since leaving __init__ through an error still runs __del__ and close.
        self.watcher = watcher.JobWatcher(self.batch)
        self.meter = UsageMeter(self, self.watcher)
        self._canceller = BatchedCanceller(self.batch, self.watcher)
        self._guard = WatchdogClient(self._describe_to_watchdog, messages.warning)
        self.watcher.subscribe(
            lambda event: self._guard.set_job_state(event.job, event.state.ended)
        )
        self.submitted: set[str] = set()  # names of the jobs that the batch system took
        self._refusal: SubmitError | None = None
        self._refusal_shown = False
        self._refused_at: float | None = None  # time.monotonic; None: it has been told
        self._leaving: set = set()  # jobs whose workers leave before its end
        self._departures = BackgroundTasks("Moving the results of a job")
        self._periodic: asyncio.Task | None = None
        files, sections = warnings.source_files(), {self.batch.section, kwargs.get("config_name")}
        warnings.warn_about_keys(files, sections)
        kwargs = argument_names.normalize_names(self.batch, type(self), job_cls, kwargs)
        given = [name for name, value in kwargs.items() if value is not None]
        kwargs = add_worker_start(resolve.resolve_arguments(self.batch, kwargs))
        self._settings = kwargs.pop("settings")
        warnings.warn_about_values(files, sections, given)
        self._warn_about_arguments(given, kwargs["cores"], kwargs["processes"])
        self._target_jobs = 0  # jobs
        self._names = itertools.count()
        self._kinds: list[JobKind] = []
        self._kind_of: dict[str, JobKind] = {}  # by names in worker_spec
        self.workers_per_job: int = kwargs["processes"]
        self._memory = kwargs["memory"]
        self._log_directory = kwargs.get("log_directory") if self.batch.log_key else None
        self._folder = os.getcwd()  # noqa: PTH109 - a str; jobs are submitted from here
        self._section = f"jobqueue.{kwargs['config_name']}"
        self.recovery = Resubmitter(self, config_options.max_resubmits())
        self.watcher.subscribe(self.recovery.on_event)
        self.watcher.has_workers = self.recovery.members.alive
        self._waiting = WorkerWait(self)
        self._walltime = WalltimeManager(self, self._asked_seconds(kwargs))
        self.diagnosis = Diagnosis(self, self._setting(kwargs, "death-timeout"))
        limit = kwargs.pop("memory_limit", None)
        job_cls = job_class_for(self, job_cls or type(self).job_cls, limit, self._settings)
        self.meter.usage.cores = kwargs["cores"]
        self.meter.limit = config_options.idle_timeout(idle_timeout)
        super().__init__(n_workers=n_workers, job_cls=job_cls, **kwargs)
        self.meter.usage.cores = cores_held(self.batch, self.job_script()) or kwargs["cores"]
        # HTCondor's jobs may be on another computer, which its commands have to be told.
        self._canceller.own = self.watcher.own = self._own_cancel_command()

    def _warn_about_arguments(self, given: list[str], cores: int, processes: int) -> None:
        line = validators.check_core_split(cores, processes)
        if line and {"cores", "processes"} & set(given):
            name = f"{type(self).__name__}(cores={cores}, processes={processes})"
            warnings.warn(f"{name}: processes {line}")

    def _own_cancel_command(self) -> list[str]:
        """Return the words of the job class's cancel command, and of where its jobs are."""
        job = self._dummy_job
        own = custom_commands.split_command(job.cancel_command)
        if not custom_commands.is_known(self.batch, own):
            return own
        submit = custom_commands.split_command(job.submit_command)
        return [*own, *self.batch.where(submit, job.job_extra_directives, os.environ)]

    def _other_names(self) -> list[str]:
        job = self._dummy_job
        directives = job.job_extra_directives
        words = directives if isinstance(directives, (list, tuple)) else []
        return self.batch.own_names(
            [*custom_commands.split_command(job.submit_command), *words], os.environ
        )

    def _describe_to_watchdog(self) -> dict[str, Any]:
        own = self._own_cancel_command()
        directory = self._log_directory
        known = registry.new(
            batch=self.batch.name,
            cancel=own,
            cluster=type(self).__name__,
            job_name=self.job_name,
            other_names=self._other_names(),
            log_directory=str(Path(directory).absolute()) if directory else None,
            logs=self.log_forms,
        )
        return known | {
            "cancel": custom_commands.cancel_commands(self.batch, [""], own)[0][:-1],
            "one_by_one": not custom_commands.is_known(self.batch, own),
            "environment": self.batch.reading(os.environ),
            "over": list(self.batch.gone_messages),
            "pattern": self._dummy_job.job_id_regexp,
        }

    def _setting(self, kwargs: dict, key: str):
        value = kwargs.get(key.replace("-", "_"))
        return self._settings.get(key) if value is None else value

    def _asked_seconds(self, kwargs: dict) -> float | None:
        """Return the walltime asked for; None without one, or if it can't be read."""
        key = self.batch.walltime_key
        asked = self._setting(kwargs, key) if key else None
        try:
            return None if asked is None else self.batch.parse_walltime(str(asked))
        except ValueError:
            return None

    @property
    def job_ids(self) -> list[str]:
        """Ids of this cluster's jobs that are not over; submissions overlap, so in any order."""
        return self.watcher.live

    def scale(self, n=None, jobs=0, memory=None, cores=None):
        """Ask for more or fewer workers; return before they are there.

        Parameters
        ----------
        n : int, optional
            Workers (processes), rounded up to whole jobs.
        jobs : int
            Jobs.
        memory : str, optional
            Memory of all jobs, such as ``"64 GiB"``.
        cores : int, optional
            Cores of all jobs.

        Returns
        -------
        awaitable or None
            With ``asynchronous=True``, an object to await for knowing that the batch system took
            the jobs; JupyterLab's Dask panel does so, and shows the error that is raised.

        Raises
        ------
        SubmitError
            An earlier job was refused, and nobody has been told yet; or, when awaited, one of
            these jobs.
        ValueError
            An argument is not a number of workers, jobs or cores, or not an amount of memory.
        """
        for name, value in {"n": n, "jobs": jobs, "cores": cores}.items():
            if value is not None and (line := validators.check_amount(value)):
                raise ValueError(f"scale({name}=...) {line}")
        if memory is not None and (line := validators.check_memory_amount(memory)):
            raise ValueError(f"scale(memory=...): {line}")
        asked = bool(n or jobs or memory or cores)
        if asked and self.status == Status.closed:
            why = f": {self.meter.closed_because}" if self.meter.closed_because else ""
            raise ClusterClosedError(f"This cluster is closed{why}. Make a new one.")
        target = math.ceil(n / self.workers_per_job) if n is not None else math.ceil(jobs or 0)
        if memory is not None:
            size = parse_bytes(validators.memory_text(memory))
            target = max(target, math.ceil(size / self._memory_per_worker()))
        if cores is not None:
            target = max(target, math.ceil(cores / self._threads_per_worker()))
        if self.asynchronous or self.status == Status.closed:
            return self._scale_manually(target, asked)
        # All that happens to jobs does so on the event loop, one thing after another.
        return self.sync(self._scale_on_loop, target, asked)

    async def _scale_on_loop(self, target: int, asked: bool) -> None:
        self._scale_manually(target, asked)

    def _scale_manually(self, target: int, asked: bool):
        if asked:
            self.raise_submit_error()
            self.recovery.reset_failures()
            self._refusal, self._refusal_shown = None, False
        self._target_jobs = target
        self._scale_to(target)
        return PendingSubmission(self) if asked else None

    def scale_adaptively(self, target: int) -> None:
        """Ask for this many jobs, in addition to those that are about to be submitted again."""
        self._refusal, self._refusal_shown = None, False
        self._target_jobs = target + self.recovery.pending
        self._scale_to(target)

    def _scale_to(self, target: int) -> None:
        self._drop_jobs(len(self.worker_spec) - target)
        super().scale(jobs=target)

    def _drop_jobs(self, number: int) -> None:
        """Let this many jobs go: those without workers first, then the youngest."""
        members, scheduler = self.recovery.members, self.scheduler

        def has_workers(name) -> bool:
            if (member := members.named(name)) is None:
                return False
            # One that is not known yet may be any running job's.
            unknown = members.unidentified and member.running_since is not None
            return unknown or count_running(scheduler, member.addresses) > 0

        names = list(reversed(self.worker_spec))
        for name in sorted(names, key=has_workers)[: max(0, number)]:
            self.worker_spec.pop(name, None)

    def adapt(
        self,
        *,
        minimum=0,
        maximum=math.inf,
        minimum_jobs=None,
        maximum_jobs=None,
        minimum_cores=None,
        maximum_cores=None,
        minimum_memory=None,
        maximum_memory=None,
        **kwargs,
    ):
        """Let the number of jobs follow the work.

        Bounds may be given in several ways; the narrowest ones count. They are rounded to whole
        jobs: a minimum up, and a maximum down, but to one job at least.

        Parameters
        ----------
        minimum, maximum : int
            Workers (processes).
        minimum_jobs, maximum_jobs : int, optional
            Jobs.
        minimum_cores, maximum_cores : int, optional
            Cores of all jobs.
        minimum_memory, maximum_memory : str, optional
            Memory of all jobs, such as ``"64 GiB"``.
        **kwargs
            As for `distributed.Adaptive`, for instance ``interval`` and ``wait_count``.

        Returns
        -------
        Adaptive

        Raises
        ------
        ValueError
            A bound is not a number, or the minimum is above the maximum.
        """
        numbers = {"minimum": minimum, "minimum_jobs": minimum_jobs, "minimum_cores": minimum_cores}
        numbers |= {
            "maximum": maximum,
            "maximum_jobs": maximum_jobs,
            "maximum_cores": maximum_cores,
        }
        for name, value in numbers.items():
            if value not in (None, math.inf) and (line := validators.check_amount(value)):
                raise ValueError(f"adapt({name}=...) {line}")
        for name, value in {"minimum": minimum_memory, "maximum": maximum_memory}.items():
            if value is not None and (line := validators.check_memory_amount(value)):
                raise ValueError(f"adapt({name}_memory=...): {line}")
        minimum, maximum = minimum or 0, math.inf if maximum is None else maximum
        minimum_memory = validators.memory_text(minimum_memory)
        maximum_memory = validators.memory_text(maximum_memory)
        each = {"cores": self._threads_per_worker(), "memory": self._memory_per_worker()}
        least = [minimum / self.workers_per_job, minimum_jobs or 0]
        most = [maximum / self.workers_per_job]
        most += [maximum_jobs] if maximum_jobs is not None else []
        least += [minimum_cores / each["cores"]] if minimum_cores is not None else []
        most += [maximum_cores / each["cores"]] if maximum_cores is not None else []
        least += [parse_bytes(minimum_memory) / each["memory"]] if minimum_memory else []
        most += [parse_bytes(maximum_memory) / each["memory"]] if maximum_memory else []
        low, high = math.ceil(max(least)), min(most)
        high = high if math.isinf(high) else max(1, math.floor(high))
        if low > high:
            raise ValueError(f"adapt() from {low} jobs to {high}: the minimum is above the maximum")
        self.recovery.reset_failures()
        kwargs.setdefault("Adaptive", Adaptive)
        return super().adapt(
            minimum=low * self.workers_per_job, maximum=high * self.workers_per_job, **kwargs
        )

    def wait_for_workers(self, n_workers, timeout=None):
        """Wait until this many workers (processes, not jobs) are there, and report the progress.

        Parameters
        ----------
        n_workers : int
            At least 1.
        timeout : number or str, optional
            Seconds, or text such as ``"2 minutes"``. By default there is no timeout, since queues
            may be long.

        Raises
        ------
        SubmitError
            A job was refused.
        WorkerStartTimeoutError
            They were not there in time; the message says what each job waits for.
        JobsEndedError
            All jobs were over before that.
        """
        if (number := validators.as_whole_number(n_workers)) is None or number < 1:
            raise ValueError(f"n_workers must be a whole number, 1 or more, not {n_workers!r}")
        return self.sync(self.meter.while_awaited, self._waiting.wait, number, timeout)

    # --- what the parts of the cluster ask ------------------------------------------------------

    def kind(self, name=None) -> JobKind:
        """Return what is known of jobs like the one of this name, or like those submitted next."""
        if name is not None and (known := self._kind_of.get(str(name))) is not None:
            return known
        spec = self.new_spec if name is None else self.worker_spec.get(name, self.new_spec)
        # A copy: users change parts of new_spec between two calls of scale.
        spec = {**spec, "options": _copied(spec.get("options", {}))}
        for known in self._kinds:
            if known.spec == spec:
                return known
        planned = spec["options"].get("processes") or len(spec.get("group", [""]))
        self._kinds.append(kind := JobKind(spec, planned))
        return kind

    def describe_memory(self) -> str:
        """Describe the memory that a worker, and its job, may use."""
        share = format_bytes(parse_bytes(self._memory) // self.workers_per_job)
        if self.workers_per_job == 1:
            return f"all of its job's {self._memory}"
        return f"{share} of its job's {self._memory}, shared by {self.workers_per_job}"

    @property
    def log_forms(self) -> list[str]:
        """The files that jobs print to, as forms of `outputs`; those of errors last."""
        job = self._dummy_job
        header = getattr(job, "job_header_dict", None) or job.job_header or ""
        return output_files.output_patterns(self.batch, header, job.job_name, self._folder)

    def log_files(self, job_id: str) -> list[str]:
        """Return the files that a job prints to; that of errors last."""
        return [file for form in self.log_forms for file in output_files.find_files(form, job_id)]

    def log_hint(self) -> str:
        folders = {os.path.dirname(output_files.show_pattern(form, "*")) for form in self.log_forms}  # noqa: PTH120
        return f" Their output is in {' and '.join(sorted(folders))}." if folders else ""

    def raise_submit_error(self) -> None:
        """Raise the refusal of a job, unless there was none or the user has been told."""
        if self._refusal is None or self._refusal_shown or self.recovery.submitting:
            return
        self._refusal_shown = True
        raise self._refusal

    @property
    def adapting(self) -> bool:
        """Whether `adapt` decides on the number of jobs."""
        return self._adaptive is not None and self._adaptive.periodic_callback is not None

    @property
    def refusal(self) -> SubmitError | None:
        """The refusal of a job since the last `scale`."""
        return self._refusal

    def pop_submit_error(self) -> SubmitError | None:
        """Return the refusal that nobody has been told yet; the caller is to tell it."""
        refusal = None if self._refusal_shown else self._refusal
        self._refusal, self._refusal_shown = None, False
        return refusal

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

    def replace(self, member, end: float) -> tuple[object | None, bool]:
        """Stop counting a job whose workers leave, and submit another one, if it is needed.

        Parameters
        ----------
        member : Member
            The job.
        end : float
            When it ends (`time.monotonic`).

        Returns
        -------
        job, bool
            dask-jobqueue's job, to be closed when the workers have left, and whether another one
            follows.
        """
        self.worker_spec.pop(member.name, None)
        if (job := self.workers.pop(member.name, None)) is not None:
            self._leaving.add(job)
        again = len(self.worker_spec) + self.recovery.pending < self._target_jobs
        if again:
            self.recovery.schedule_successor(member, end)
        return job, again

    async def finish_departure(self, job) -> None:
        """End a job whose workers have left."""
        if job is not None:
            await job.close()
            self._leaving.discard(job)

    # --- SpecCluster's --------------------------------------------------------------------------

    def new_worker_spec(self, kind: JobKind | None = None):
        # Never a name twice: a worker of an ended job may still be there, and hold it.
        name = self._new_worker_name(next(self._names))
        kind = kind or self.kind()
        self._kind_of[str(name)] = kind
        return {name: kind.spec}

    async def scale_down(self, workers):
        """Let jobs go, by the names of jobs or workers; a job goes with all of its workers."""
        going = {str(worker) for worker in workers}
        for name in list(self.worker_spec):
            member = self.recovery.members.named(name)
            own = workers_named(self.scheduler, member.addresses) if member is not None else []
            if going & {str(name), *(str(w.name) for w in own), *(w.address for w in own)}:
                del self.worker_spec[name]
        self._target_jobs = len(self.worker_spec) + self.recovery.pending
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
        if self._periodic is None:
            reruns = self._walltime.reruns = WalltimeInterruptions(self.scheduler)
            plugin = WorkerEventsPlugin(self, reruns)
            self.scheduler.add_plugin(plugin, name=WorkerEventsPlugin.name, idempotent=True)
            self._periodic = asyncio.create_task(self._run_periodic())

    async def _run_periodic(self):
        while True:
            begun = time.monotonic()
            await asyncio.sleep(TICK_S)
            if time.monotonic() - begun > 3 * TICK_S:
                self.recovery.on_loop_stall()
            for part in (
                self._walltime.tick,
                self.recovery.tick,
                self.diagnosis.tick,
                self._report_submit_error,
            ):
                try:
                    if asyncio.iscoroutine(done := part()):
                        await done
                except Exception:
                    logger.exception("A cluster could not look after its jobs")

    def _note_submitted(self, name: str, job_id: str) -> None:
        self.submitted.add(str(name))
        self.recovery.submitted(name, job_id, self.kind(name))
        self.watcher.add(job_id)

    async def _submitted_or_refused(self):
        # Shielded: others wait for the same round.
        await asyncio.shield(self._correct_state())
        self.raise_submit_error()

    async def _correct_state_internal(self):
        # SpecCluster would close jobs with all that their workers hold.
        async with self._lock:
            if self.status is Status.running:
                for name in set(self.workers) - set(self.worker_spec):
                    self._start_departure(name)
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
            self._target_jobs = min(
                self._target_jobs, len(self.worker_spec) + self.recovery.pending
            )
            self._refusal, self._refusal_shown = refusal, False
            self._refused_at = time.monotonic()

    def _report_submit_error(self) -> None:
        """Report a refusal that nobody asks about: a program may wait for results forever."""
        refusal, at = self._refusal, self._refused_at
        if refusal is None or at is None or self._refusal_shown or self.adapting:
            self._refused_at = None
        elif time.monotonic() - at > REPORT_AFTER_S:
            self._refused_at = None
            self.recovery.tell(str(refusal))

    def _start_departure(self, name) -> None:
        """End a job that is no longer wanted, once its results have been moved to others."""
        job = self.workers.pop(name)
        self._leaving.add(job)
        self._departures.spawn(self._leave(name, job))

    async def _leave(self, name, job) -> None:
        try:
            if (member := self.recovery.members.named(name)) is not None:
                await retire(self.scheduler, member.addresses)
        finally:
            await self.finish_departure(job)

    def _remove_keys(self):
        """Delete the key files of a temporary `Security`, which would stay until Python ends."""
        for name in ("ca_file", "cert", "key"):
            file = getattr(self, f"_job_{name}", None)
            if file is not None:
                file.close()

    async def _end(self, close):
        # Jobs first: whatever else fails or is interrupted while closing, they end.
        if self._periodic is not None:
            self._periodic.cancel()
        self.recovery.close()
        self._walltime.close()
        self._departures.cancel()
        if self.status in (Status.running, Status.failed):
            await self._canceller.cancel(*self.job_ids)
            await self._departures.over()
            for job in list(self._leaving):
                await job.close()
        self.meter.stop()
        self._remove_keys()
        try:
            await close()
            if self.scheduler is not None and not self.shutdown_scheduler:
                await self.scheduler.finished()
        finally:
            await self._canceller.over()
            await self._guard.close()
        self.meter.tell()
        await self.watcher.stop()
        for tasks in (self.recovery.tasks, self._walltime.tasks):
            await tasks.over()  # the event loop may be closed next
        clear_scheduler_caches()


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    return {
        key: copy.copy(value) if isinstance(value, (list, dict)) else value
        for key, value in options.items()
    }
