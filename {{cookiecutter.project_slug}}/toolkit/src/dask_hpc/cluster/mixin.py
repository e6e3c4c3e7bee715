"""The public calls that every cluster class here has, in addition to dask-jobqueue's."""

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

    This is dask-jobqueue's `{name}` and takes its arguments. In addition, it says
    what its jobs wait for, raises an error when the batch system rejects one,
    resubmits jobs that fail, moves results elsewhere before a job's walltime is
    over, and cancels all jobs when it closes.

    Parameters
    ----------
    n_workers : int, optional
        Workers (processes) to ask for at once, in whole jobs; see `scale`.
    config_name : str, optional
        The profile: a section of ``jobqueue.yaml`` other than ``{section}``.
    {parameters}idle_timeout : float, str or timedelta, optional
        Close the cluster when its workers have had nothing to do for so long, in seconds or as
        ``"30 minutes"``; 0 for never. By default, ``dask-hpc: idle-timeout:`` says.
    security : bool or distributed.Security, optional
        Encrypt connections: True for temporary keys.
    asynchronous : bool, optional
        Whether all calls are made on a running event loop, and awaited.
    **kwargs
        Further arguments of `dask_jobqueue.{name}` and `distributed.SpecCluster`.

    Notes
    -----
    Each argument that is left out comes from the key of the same name in ``jobqueue.yaml``
    (``job-extra-directives`` for ``job_extra_directives``); `dask hpc setup` shows their values.

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
        """Ids of this cluster's jobs that are not over; submissions overlap, so in any order."""
        return self._control.watcher.active

    @property
    def watcher(self) -> JobWatcher:
        """What the batch system says about this cluster's jobs: their states, and events."""
        return self._control.watcher

    @property
    def usage(self) -> UsageTotals:
        """What the jobs have used so far: their number, and core-hours."""
        return self._control.meter.usage

    def job_script(self) -> str:
        """Return the script that each job runs; nothing is submitted."""
        script: str = super().job_script()
        return script

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
        scaling.check_amounts("scale", {"n": n, "jobs": jobs, "cores": cores}, {"memory": memory})
        control = self._control
        asked = bool(n or jobs or memory or cores)
        if asked and self.status == Status.closed:
            reason = control.meter.closed_because
            why = f": {reason}" if reason else ""
            raise ClusterClosedError(f"This cluster is closed{why}. Make a new one.")
        target = scaling.count_jobs(control.job_size, n, jobs, memory, cores)
        if not self.asynchronous and self.status != Status.closed:
            # All that happens to jobs does so on the event loop, one thing after another.
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
        ArgumentError
            There is no such argument.
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
            raise ValueError(f"adapt() from {low} jobs to {high}: the minimum is above the maximum")
        self._control.replacements.abandoned = 0
        return super().adapt(minimum=low * size.workers, maximum=high * size.workers, **kwargs)

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
        number, wait = check_n_workers(n_workers), JobsWait(self, self._control)
        return self.sync(self._control.meter.while_awaited, wait.wait, number, timeout)
