"""dask-jobqueue's cluster classes, which tell what happens to their jobs, and `get_cluster`."""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from pathlib import Path
from typing import Any, ClassVar

from dask.utils import parse_timedelta
from distributed.core import Status

from . import allocation, arguments, config, doubts, jobs, news, registry, schedulers
from ._jobqueue import dask_jobqueue
from .errors import ClusterClosed, ConfigError, JobsEnded, SubmitError, WorkersTimeout
from .guard import Guard
from .lifecycle import Canceller, Submissions, bound_to
from .local import LocalCluster, local_arguments
from .usage import Meter

logger = logging.getLogger(__name__)


class ClusterMixin:
    """What every class here adds to dask-jobqueue's one of the same name.

    * Cores, memory and processes may stand in ``jobqueue.yaml`` alone, and ``scale`` works.
    * A refused job is raised as `SubmitError`, at `wait_for_workers` and at the next `scale`.
    * `wait_for_workers` says what the jobs wait for.
    * All jobs are cancelled with one call, before anything else is taken down.

    Attributes
    ----------
    batch : Scheduler
        The description of the batch system.
    watcher : Watcher
        What it says about this cluster's jobs, as events.
    meter : Meter
        What they have used, and whether there is anything to do; see `idle_timeout`.

    Parameters
    ----------
    idle_timeout : number or str, optional
        Beside those of dask-jobqueue's class: close the cluster when its workers have had nothing
        to do for so long, in seconds or as ``"30 minutes"``; 0: never. Default: what the
        configuration has as ``dask-hpc: idle-timeout:``.
    """

    batch: ClassVar[schedulers.Scheduler]

    def __init__(self, n_workers=0, job_cls=None, idle_timeout=None, **kwargs):
        # First of all, since leaving __init__ through an error still runs __del__ and close.
        self.watcher = jobs.Watcher(self.batch)
        self.meter = Meter(self, self.watcher)
        self._canceller = Canceller(self.batch, self.watcher)
        self._guard = Guard(self._describe_to_watchdog, news.warn)
        self.watcher.subscribe(lambda event: self._guard.note(event.job, event.state.ended))
        self._submitted: set[str] = set()  # names of the jobs that the batch system took
        self._refusal: SubmitError | None = None
        self._refusal_shown = False
        files, sections = doubts.files(), {self.batch.section, kwargs.get("config_name")}
        doubts.about_keys(files, sections)
        kwargs = arguments.rightly_named(self.batch, type(self), job_cls, kwargs)
        given = [name for name, value in kwargs.items() if value is not None]
        kwargs = config.explicit(self.batch, kwargs)
        doubts.about_values(files, sections, given)
        self._log_directory = kwargs.get("log_directory") if self.batch.log_key else None
        job_cls = bound_to(self, job_cls or type(self).job_cls, kwargs.pop("memory_limit", None))
        self._section = f"jobqueue.{kwargs['config_name']}"
        self.meter.usage.cores = kwargs["cores"]
        self.meter.limit = config.idle_timeout(idle_timeout)
        super().__init__(n_workers=n_workers, job_cls=job_cls, **kwargs)
        # HTCondor's jobs may be on another computer, which its commands have to be told.
        extra = self._cancel_extra()
        self._canceller.extra, self.watcher.extra = extra, self.batch.list_extra(extra)

    def _cancel_extra(self) -> list[str]:
        return shlex.split(self._dummy_job.cancel_command or "")[1:]

    def _describe_to_watchdog(self) -> dict[str, Any]:
        extra = self._cancel_extra()
        directory = self._log_directory
        known = registry.new(
            batch=self.batch.name,
            extra=extra,
            cluster=type(self).__name__,
            job_name=self.job_name,
            log_directory=str(Path(directory).absolute()) if directory else None,
        )
        return known | {
            "cancel": jobs.cancel_command(self.batch, [], extra),
            "over": list(self.batch.not_there),
            "pattern": self.batch.job_id_pattern,
        }

    @property
    def job_ids(self) -> list[str]:
        """Ids of this cluster's jobs that are not over; submissions overlap, so in any order."""
        return self.watcher.live

    def scale(self, n=None, jobs=0, memory=None, cores=None):
        """Ask for more or fewer workers; returns before they are there.

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
            With ``asynchronous=True``, to be awaited by who wants to know that the batch system
            took the jobs; JupyterLab's Dask panel does, and shows what is raised.

        Raises
        ------
        SubmitError
            An earlier job was refused, and nobody has been told yet; awaited, also one of these.
        """
        asked = bool(n or jobs or memory or cores)
        if asked and self.status == Status.closed:
            why = f": {self.meter.closed_because}" if self.meter.closed_because else ""
            raise ClusterClosed(f"This cluster is closed{why}. Make a new one.")
        if asked:
            if self._refusal is not None and not self._refusal_shown and self._adaptive is None:
                self._raise_refusal()
            self._refusal, self._refusal_shown = None, False
        done = super().scale(n, jobs=jobs, memory=memory, cores=cores)
        if asked and self.asynchronous and self._adaptive is None:
            return Submissions(self)
        return done

    def wait_for_workers(self, n_workers, timeout=None):
        """Wait until that many workers (processes, not jobs) are there.

        Parameters
        ----------
        n_workers : int
            At least 1.
        timeout : number or str, optional
            Seconds, or text such as ``"2 minutes"``. By default there is none: queues may be long.

        Raises
        ------
        SubmitError
            A job was refused.
        WorkersTimeout
            They were not there in time; says what each job waits for.
        JobsEnded
            All jobs are over before.
        """
        if not isinstance(n_workers, int) or n_workers < 1:
            raise ValueError(f"n_workers must be a whole number, 1 or more, not {n_workers!r}")
        return self.sync(self.meter.while_awaited, self._wait, n_workers, timeout)

    async def _start(self):
        try:
            await super()._start()
        except RuntimeError as error:
            # distributed wraps what kept its scheduler from starting, such as a wrong interface.
            if error.__cause__ is None:
                raise
            reason = " ".join(str(error.__cause__).split())
            raise ConfigError(
                f"Dask's scheduler can't start here: {reason}. See interface and scheduler-options "
                f"in jobqueue.yaml, section {self._section}."
            ) from error
        self.meter.start()

    async def _wait(self, n_workers, timeout):
        limit = None if timeout is None else parse_timedelta(timeout, "s")
        deadline = None if limit is None else time.monotonic() + limit
        while (arrived := len(self._arrived())) < n_workers:
            if self.status not in (Status.created, Status.starting, Status.running):
                raise WorkersTimeout(
                    f"The cluster was closed while {n_workers} workers were awaited",
                    arrived,
                    n_workers,
                )
            if self._refusal is not None:
                self._raise_refusal()
            if self._all_over():
                raise JobsEnded(
                    f"All jobs are over, and {arrived} of {n_workers} workers are there: "
                    f"{self._describe_missing()}.{self._log_hint()}"
                )
            if deadline is not None and time.monotonic() > deadline:
                await self.watcher.poll()  # the reason of this moment
                raise WorkersTimeout(self._timeout_message(n_workers, limit), arrived, n_workers)
            await asyncio.sleep(0.02)

    def _arrived(self) -> set[str]:
        if self.scheduler is None:
            return set()
        workers = self.scheduler.workers.values()
        return {str(worker.name) for worker in workers if worker.status == Status.running}

    def _all_over(self) -> bool:
        """Whether every job asked for was submitted and is over."""
        asked = {str(name) for name in self.worker_spec}
        return bool(asked) and asked <= self._submitted and not self.watcher.live

    def _describe_missing(self) -> str:
        """In words, the jobs whose workers have not all come."""
        arrived = self._arrived()
        complete = {
            job.job_id
            for name, job in self.workers.items()
            if all(
                f"{name}{suffix}" in arrived
                for suffix in self.worker_spec.get(name, {}).get("group", [""])
            )
        }
        known = self.watcher.jobs
        missing = [status for job, status in known.items() if job not in complete]
        # Jobs that we ended ourselves are no reason; those that ended otherwise may be one.
        missing = [status for status in missing if status.reason != "by us"]
        return jobs.describe(self.batch, missing)

    def _timeout_message(self, n_workers: int, limit: float) -> str:
        message = f"{len(self._arrived())} of {n_workers} workers came within {limit:g} s"
        missing = self._describe_missing()
        if missing:
            message += f": {missing}"
        if len(self.plan) < n_workers:
            message += f" (the cluster is scaled to {len(self.plan)} workers only)"
        return f"{message}."

    def _log_hint(self) -> str:
        return f" Their output is in {self._log_directory}." if self._log_directory else ""

    def _raise_refusal(self):
        self._refusal_shown = True
        raise self._refusal

    def _note_submitted(self, name: str, job_id: str) -> None:
        self._submitted.add(str(name))
        self.watcher.add(job_id)

    async def _submitted_or_refused(self):
        await self._correct_state()
        if self._refusal is not None and not self._refusal_shown:
            self._raise_refusal()

    async def _correct_state_internal(self):
        # SpecCluster calls this in the background after every scale(), where an error would only
        # be a traceback in a log. The refusal is kept, for scale and wait_for_workers to tell; the
        # jobs that failed are forgotten, so that the next scale() tries again. All submissions of
        # the round are over when it arrives here.
        try:
            await super()._correct_state_internal()
        except SubmitError as refusal:
            failed = [name for name, job in self.workers.items() if job.status == Status.failed]
            for name in failed:
                del self.workers[name]
                self.worker_spec.pop(name, None)
            self._refusal, self._refusal_shown = refusal, False

    def _remove_keys(self):
        """Delete the key files of a temporary `Security`, which would stay until Python ends."""
        for name in ("ca_file", "cert", "key"):
            file = getattr(self, f"_job_{name}", None)
            if file is not None:
                file.close()

    def close(self, timeout=None):
        if self.meter.closing and not self.asynchronous:
            # distributed takes the cluster for closed before all is done, and would stop the loop.
            self.sync(self._close)
        return super().close(timeout)

    async def _close(self):
        if (closing := self.meter.closing) and closing is not asyncio.current_task():
            await closing
            return
        # Jobs first: whatever else fails or is interrupted while closing, they end.
        if self.status in (Status.running, Status.failed):
            await self._canceller.cancel(*self.job_ids)
        self.meter.stop()
        self._remove_keys()
        try:
            await super()._close()
        finally:
            await self._guard.close()
        self.meter.tell()
        await self.watcher.stop()


class SLURMCluster(ClusterMixin, dask_jobqueue.SLURMCluster):
    __doc__ = dask_jobqueue.SLURMCluster.__doc__

    batch = schedulers.get("slurm")


class PBSCluster(ClusterMixin, dask_jobqueue.PBSCluster):
    __doc__ = dask_jobqueue.PBSCluster.__doc__

    batch = schedulers.get("pbs")


class SGECluster(ClusterMixin, dask_jobqueue.SGECluster):
    __doc__ = dask_jobqueue.SGECluster.__doc__

    batch = schedulers.get("sge")


class OARCluster(ClusterMixin, dask_jobqueue.OARCluster):
    __doc__ = dask_jobqueue.OARCluster.__doc__

    batch = schedulers.get("oar")


class LSFCluster(ClusterMixin, dask_jobqueue.LSFCluster):
    __doc__ = dask_jobqueue.LSFCluster.__doc__

    batch = schedulers.get("lsf")


class HTCondorCluster(ClusterMixin, dask_jobqueue.HTCondorCluster):
    __doc__ = dask_jobqueue.HTCondorCluster.__doc__

    batch = schedulers.get("htcondor")


def get_cluster(**kwargs):
    """The cluster that the lab's configuration names.

    That is the class of the batch system under ``dask-hpc: scheduler:``, or a
    `dask.distributed.LocalCluster` of this computer's cores where it names none. In a job of
    ``dask hpc run`` it is an `AllocationCluster`, of the job's own nodes.

    Parameters
    ----------
    **kwargs
        As for that class. Where there is no batch system, `cores`, `processes` and `memory` shape
        the workers of this computer, and whatever only a batch system has (`queue`, `walltime`,
        `interface` and so on) is left aside, so that the same line works in both places.

    Returns
    -------
    cluster
        With a batch system it has no workers before ``scale``; without, they are there at once.

    Raises
    ------
    ConfigError
        The configuration names a batch system that is not known, or says too little.
    """
    if allocation.inside():
        return allocation.AllocationCluster(**kwargs)
    scheduler = config.scheduler()
    if scheduler.cluster_class is None:
        doubts.about_keys(doubts.files())  # a batch system may have been meant
        return LocalCluster(**local_arguments(kwargs))
    return globals()[scheduler.cluster_class](**kwargs)
