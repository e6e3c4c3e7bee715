"""The public methods that our cluster classes add to dask-jobqueue's."""

import functools
import math

from distributed.core import Status

from ..accounting import UsageTotals
from ..batch.watcher import JobWatcher
from ..config import argument_names, fields, validators
from ..errors import ClusterClosedError
from . import scaling
from .adaptive import Adaptive
from .lifecycle import ClusterLifecycle
from .submit_errors import PendingSubmission
from .wait import JobsWait, check_n_workers

BOUNDS = {f"{end}{of}" for end in ("minimum", "maximum") for of in ("_jobs", "_cores", "_memory")}


class ClusterMixin(ClusterLifecycle):
    """Run Dask's workers in {label} jobs.

    This is dask-jobqueue's `{name}` and takes the same arguments. In addition, it
    reports what pending jobs are waiting for, raises an error when the batch system
    rejects a job, resubmits jobs that fail, moves results to other workers before a
    job reaches its walltime, and cancels all jobs when it closes.

    Parameters
    ----------
    n_workers : int, optional
        Number of workers (processes) to start with, rounded up to whole jobs; see `scale`.
    config_name : str, optional
        The profile: a section of ``jobqueue.yaml`` other than ``{section}``.
    {parameters}idle_timeout : float, str or timedelta, optional
        Close the cluster after its workers have been idle for this long, in seconds or as
        ``"30 minutes"``; 0 for never. The default is ``dask-hpc: idle-timeout:``.
    security : bool or distributed.Security, optional
        Encrypt connections; True to use temporary keys.
    asynchronous : bool, optional
        Whether the cluster is used with ``async``/``await``, on a running event loop.
    **kwargs
        Further arguments of `dask_jobqueue.{name}` and `distributed.SpecCluster`.

    Notes
    -----
    The default of each argument is the key of the same name in ``jobqueue.yaml``
    (``job-extra-directives`` for ``job_extra_directives``); `dask hpc setup` shows the values.

    Examples
    --------
    >>> from dask.distributed import Client
    >>> from dask_hpc import {name}
    >>> with {name}() as cluster, Client(cluster) as client:
    ...     cluster.scale(jobs=4)
    ...     cluster.wait_for_workers(8)
    ...     results = client.gather(client.map(my_function, my_inputs))
    """

    @property
    def job_ids(self) -> list[str]:
        """Ids of this cluster's unfinished jobs, in any order, since submissions overlap."""
        return self._control.watcher.active

    @property
    def watcher(self) -> JobWatcher:
        """The states of this cluster's jobs in the batch system, and events when they change."""
        return self._control.watcher

    @property
    def usage(self) -> UsageTotals:
        """The resources used so far: number of jobs, and core-hours."""
        return self._control.meter.usage

    def job_script(self) -> str:
        """Return the script that each job runs, without submitting it."""
        script: str = super().job_script()
        return script

    def scale(self, n=None, jobs=0, memory=None, cores=None):
        """Request more or fewer workers; return before they have started.

        Parameters
        ----------
        n : int, optional
            Number of workers (processes), rounded up to whole jobs.
        jobs : int
            Number of jobs.
        memory : str, optional
            Total memory of all jobs, such as ``"64 GiB"``.
        cores : int, optional
            Total cores of all jobs.

        Returns
        -------
        awaitable or None
            With ``asynchronous=True``, an object to await until the batch system has accepted the
            jobs. JupyterLab's Dask panel awaits it and shows the error if one is raised.

        Raises
        ------
        SubmitError
            The batch system rejected an earlier job, and this was not reported yet; or, when
            awaited, one of these jobs.
        ValueError
            An argument is not a number of workers, jobs, or cores, or not an amount of memory.
        """
        scaling.check_amounts("scale", {"n": n, "jobs": jobs, "cores": cores}, {"memory": memory})
        control = self._control
        asked = bool(n or jobs or memory or cores)
        if asked and self.status == Status.closed:
            reason = control.meter.closed_because
            why = f": {reason}" if reason else ""
            raise ClusterClosedError(f"This cluster is closed{why}. Create a new one.")
        target = scaling.count_jobs(control.job_size, n, jobs, memory, cores)
        if not self.asynchronous and self.status != Status.closed:
            # Everything that changes jobs runs on the event loop, to avoid races.
            return self.sync(self._scale_on_loop, target, asked)
        control.scale(target, asked)
        return PendingSubmission(self._submitted_or_refused) if asked else None

    async def _scale_on_loop(self, target: int, asked: bool) -> None:
        self._control.scale(target, asked)

    async def _submitted_or_refused(self) -> None:
        await self._control.pool.submit()
        self._control.raise_submit_error()

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
        """Adapt the number of jobs to the workload.

        Bounds can be given in several units; the tightest ones apply. They are rounded to whole
        jobs: a minimum up, a maximum down, but to at least one job.

        Parameters
        ----------
        minimum, maximum : int
            Number of workers (processes).
        minimum_jobs, maximum_jobs : int, optional
            Number of jobs.
        minimum_cores, maximum_cores : int, optional
            Total cores of all jobs.
        minimum_memory, maximum_memory : str, optional
            Total memory of all jobs, such as ``"64 GiB"``.
        **kwargs
            Passed to `distributed.Adaptive`, for instance ``interval`` and ``wait_count``.

        Returns
        -------
        Adaptive

        Raises
        ------
        ValueError
            A bound is not a number, or the minimum is above the maximum.
        ArgumentError
            An argument does not exist.
        """
        adaptive = kwargs.setdefault("Adaptive", functools.partial(Adaptive, control=self._control))
        known = validators.parameters(*getattr(adaptive, "func", adaptive).__mro__)
        for name in kwargs.keys() - known - {"Adaptive"}:
            raise argument_names.unknown("adapt", name, fields.suggest(name, known | BOUNDS))
        scaling.check_amounts(
            "adapt",
            {"minimum": minimum, "minimum_jobs": minimum_jobs, "minimum_cores": minimum_cores}
            | {"maximum": maximum, "maximum_jobs": maximum_jobs, "maximum_cores": maximum_cores},
            {"minimum_memory": minimum_memory, "maximum_memory": maximum_memory},
            unset=(None, math.inf),
        )
        size = self._control.job_size
        low = scaling.lower_bound(size, (minimum, minimum_jobs, minimum_cores, minimum_memory))
        high = scaling.upper_bound(size, (maximum, maximum_jobs, maximum_cores, maximum_memory))
        if low > high:
            raise ValueError(f"adapt(): the minimum ({low} jobs) is above the maximum ({high})")
        self._control.replacements.abandoned = 0
        return super().adapt(minimum=low * size.workers, maximum=high * size.workers, **kwargs)

    def wait_for_workers(self, n_workers, timeout=None):
        """Wait until this many workers (processes, not jobs) have connected, and show progress.

        Parameters
        ----------
        n_workers : int
            Number of workers, at least 1.
        timeout : number or str, optional
            Seconds, or text such as ``"2 minutes"``. By default there is no timeout, since queues
            may be long.

        Raises
        ------
        SubmitError
            The batch system rejected a job.
        WorkerStartTimeoutError
            Too few workers connected before the timeout; the message tells what each job is waiting
            for.
        JobsEndedError
            All jobs ended before enough workers had connected.
        """
        number, wait = check_n_workers(n_workers), JobsWait(self, self._control)
        return self.sync(self._control.meter.while_awaited, wait.wait, number, timeout)
