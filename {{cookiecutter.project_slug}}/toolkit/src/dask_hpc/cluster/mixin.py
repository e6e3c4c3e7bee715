"""The public calls that every cluster class here has, in addition to dask-jobqueue's."""

import math

from distributed.core import Status

from ..config import validators
from ..errors import ClusterClosedError
from . import scaling
from .adaptive import Adaptive
from .lifecycle import ClusterLifecycle
from .submit_errors import PendingSubmission


class ClusterMixin(ClusterLifecycle):
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
    batch : BatchSystem
        The description of the batch system.
    watcher : JobWatcher
        What it says about this cluster's jobs, as events.
    recovery : Resubmitter
        What follows when jobs end.
    meter : UsageMeter
        What the jobs have used, and whether there is anything to do; see `idle_timeout`.

    Parameters
    ----------
    idle_timeout : number or str, optional
        In addition to those of dask-jobqueue's class: close the cluster when its workers have had
        nothing to do for so long, in seconds or as ``"30 minutes"``; 0 for never. By default it is
        the configuration's ``dask-hpc: idle-timeout:``.
    """

    @property
    def job_ids(self) -> list[str]:
        """Ids of this cluster's jobs that are not over; submissions overlap, so in any order."""
        return self.watcher.active

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
        scaling.check_amounts(n, jobs, memory, cores)
        asked = bool(n or jobs or memory or cores)
        if asked and self.status == Status.closed:
            why = f": {self.meter.closed_because}" if self.meter.closed_because else ""
            raise ClusterClosedError(f"This cluster is closed{why}. Make a new one.")
        target = scaling.count_jobs(self._job_size(), n, jobs, memory, cores)
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
            self.submit_errors.clear()
        self.target_jobs = target
        self._scale_to(target)
        return PendingSubmission(self._submitted_or_refused) if asked else None

    def scale_adaptively(self, target: int) -> None:
        """Ask for this many jobs, in addition to those that are about to be submitted again."""
        self.submit_errors.clear()
        self.target_jobs = target + self.recovery.scheduled
        self._scale_to(target)

    def _scale_to(self, target: int) -> None:
        surplus = len(self.worker_spec) - target
        tracker, scheduler = self.recovery.tracker, self.scheduler
        for name in scaling.choose_jobs_to_drop(self.worker_spec, surplus, tracker, scheduler):
            self.worker_spec.pop(name, None)
        super().scale(jobs=target)

    def _job_size(self) -> scaling.JobSize:
        cores, memory = self._threads_per_worker(), self._memory_per_worker()
        return scaling.JobSize(self.workers_per_job, cores, memory)

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
        scaling.check_bounds(
            {"minimum": minimum, "minimum_jobs": minimum_jobs, "minimum_cores": minimum_cores}
            | {"maximum": maximum, "maximum_jobs": maximum_jobs, "maximum_cores": maximum_cores},
            {"minimum_memory": minimum_memory, "maximum_memory": maximum_memory},
        )
        size = self._job_size()
        low = scaling.lower_bound(size, minimum, minimum_jobs, minimum_cores, minimum_memory)
        high = scaling.upper_bound(size, maximum, maximum_jobs, maximum_cores, maximum_memory)
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
