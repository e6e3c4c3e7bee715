"""A cluster inside one Slurm job: Dask's scheduler and the program, and workers on all nodes.

`dask hpc run` submits such jobs (see `job_script`). Inside, `get_cluster` creates an
`AllocationCluster` instead of a `SLURMCluster`, so the program needs no changes. Each node's
workers are a step of the job, an `srun` child process of the program. When the program ends, for
whatever reason, Slurm ends the job with everything in it.
"""

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from dask.utils import parse_bytes
from distributed.core import Status
from distributed.deploy.spec import SpecCluster
from distributed.scheduler import WorkerState

from .. import batch as batch_systems
from .._asyncio import BackgroundTasks
from .._compat.jobqueue_import import dask_jobqueue
from .._output import messages
from .._output.formatting import format_count
from .._process_use import peak_memory
from ..batch import commands
from ..cluster import scaling
from ..cluster.job_settings import resolve_job_settings
from ..cluster.private_cluster import PrivateCluster
from ..cluster.wait import WorkerWait, check_n_workers
from ..cluster.worker_events import LostTasksPlugin
from ..dask_errors import JobsEndedError, WorkerStartTimeoutError
from ..resilience.draining import remove_worker
from ..resources import ResourceUse, requested
from .arguments import check_allocation_size, on_node
from .environment import nodes, profile
from .node_watch import watch_first_node
from .step import MAX_STEP_RESTARTS, SrunStep, last_srun_message, node_is_lost

# After workers have run for this long, their restart count is reset.
RESTART_RESET_S = 600.0
SQUEUE_POLL_S = 60.0  # minimum interval between two calls of squeue
LOOK_S = 1.0  # interval of looks at what the workers use
RESTART_PAUSE_S = 1.0  # before the first restart; doubled each time
# Warn this fraction of the walltime before its end, within these bounds in seconds.
NOTICE_FRACTION, MIN_NOTICE_S, MAX_NOTICE_S = 0.1, 20.0, 600.0


class AllocationCluster(PrivateCluster, dask_jobqueue.SLURMCluster):
    """The nodes of the Slurm job in which this program runs, as a cluster.

    Takes the arguments of `SLURMCluster`. Those that matter only for submitting jobs (`queue`,
    `walltime`, and so on) are ignored; in `scale`, a "job" is a node.

    * On the first node, the workers and the program share the memory in equal parts.
    * Workers that end are restarted a few times, except on lost nodes; the other workers take over
      their tasks. When no node has workers left, the cluster closes and reports the reason.
    * A message warns some time before the job reaches its walltime.
    """

    job_cls = SrunStep

    def __init__(
        self, n_workers: float = 0, job_cls: type[Any] | None = None, **kwargs: Any
    ) -> None:
        self._nodes = nodes()
        self._first = self._nodes[0]
        self._place = f"on {self._first}"
        self._restarts = dict.fromkeys(self._nodes, 0)
        self._failure: str | None = None
        self._reported: set[str] = set()
        self._background = BackgroundTasks("Watching the job")
        batch = batch_systems.get("slurm")
        kwargs["config_name"] = kwargs.get("config_name") or profile()
        kwargs.pop("idle_timeout", None)  # closing the cluster would not free the nodes
        settings = on_node(resolve_job_settings(batch, type(self), job_cls, kwargs))
        check_allocation_size(settings)
        settings = self._with_key_folder(settings)
        self._section = settings.arguments["config_name"]
        self._resources = ResourceUse(requested(settings, "On each node, this job has"), node_of)
        logs, job = settings.get("log-directory"), os.environ["SLURM_JOB_ID"]
        self._job_errors = logs and f"{logs}/{settings.get('name')}-{job}.err"
        step = type("Step", (job_cls or SrunStep,), {"_settings": settings.section})
        limit = settings.memory_limit
        super().__init__(job_cls=step, memory_limit=limit, **settings.arguments)
        self._job_kwargs: dict[str, Any] = {**self._job_kwargs, "owner": weakref.ref(self)}
        if n_workers:
            self.scale(n_workers)

    def scale(  # type: ignore[override]  # the order of dask-jobqueue's, for all classes
        self,
        n: float | None = None,
        jobs: float = 0,
        memory: str | None = None,
        cores: float | None = None,
    ) -> Any:
        """Run workers on more or fewer of the job's nodes, at most on all of them.

        Parameters
        ----------
        n : int, optional
            Number of workers (processes), rounded up to whole nodes.
        jobs : int
            Number of nodes.
        memory : str, optional
            Total memory of all nodes, such as ``"64 GiB"``.
        cores : int, optional
            Total cores of all nodes.
        """
        scaling.check_amounts("scale", {"n": n, "jobs": jobs, "cores": cores}, {"memory": memory})
        job = self._dummy_job
        size = scaling.JobSize(job.worker_processes, job.worker_cores, job.worker_memory)
        wanted = scaling.count_jobs(size, n, jobs, memory, cores)
        has = format_count(there := len(self._nodes), "node")
        if wanted > there:
            self._report_once(
                f"The program requests {wanted} nodes, but this job has {there}: submit it with "
                f"`dask hpc run --nodes {wanted}`."
            )
        elif 0 < wanted < there:
            self._report_once(f"Idle in this job: {there - wanted} of {has}.")
        keep = self._nodes[:wanted]
        for node in [node for node in self.worker_spec if node not in keep]:
            del self.worker_spec[node]
        if self.status not in (Status.closing, Status.closed):
            for node in keep:
                self.worker_spec.setdefault(node, self._spec(node))
        # SpecCluster's own method, which starts and stops steps to match worker_spec.
        return SpecCluster.scale(self, len(self.worker_spec))

    def adapt(self, *_: Any, **__: Any) -> Any:
        """Run workers on all of the job's nodes, since the job holds them in any case."""
        return self.scale(jobs=len(self._nodes))

    def wait_for_workers(self, n_workers: int, timeout: float | str | None = None) -> Any:
        """Wait until this many workers (processes) have connected.

        Parameters
        ----------
        n_workers : int
            Number of workers, at least 1.
        timeout : number or str, optional
            Seconds, or text such as ``"2 minutes"``.

        Raises
        ------
        WorkerStartTimeoutError
            Too few workers connected before the timeout, or this job is too small for so many.
        JobsEndedError
            No node has workers left.
        """
        wait = WorkerWait(self, self._check_wait, self._log_hint())
        return self.sync(wait.wait, check_n_workers(n_workers), timeout)

    def _check_wait(self, arrived: int, n_workers: int, limit: float | None) -> None:
        if self._failure is not None:
            raise JobsEndedError(self._failure, arrived, n_workers, limit)
        most = len(self._nodes) * self._dummy_job.worker_processes
        if most < n_workers:
            has = f"{format_count(len(self._nodes), 'node')}, which run {most}"
            line = f"Too few nodes for {n_workers} workers: this job has {has}. See --nodes."
            raise WorkerStartTimeoutError(line, arrived, n_workers, limit)

    def workers_of(self, node: str) -> list[WorkerState]:
        workers = list(self.scheduler.workers.values())
        return [worker for worker in workers if node_of(worker) == node]

    def _spec(self, node: str) -> dict[str, Any]:
        options = {**self._job_kwargs, "node": node}
        processes = options["processes"]
        if node == self._first:
            # In addition to its workers, this node runs the program with Dask's scheduler.
            share = parse_bytes(options["memory"]) * processes // (processes + 1)
            options["memory"] = f"{share} B"
        # Names that differ from those of the steps: otherwise, distributed would take a lost worker
        # for a lost step and close that.
        group = [f"-{number}" for number in range(processes)]
        return {"cls": self.job_cls, "options": options, "group": group}

    @property
    def _options_are_in(self) -> str:
        return f"interface and scheduler-options in jobqueue.yaml, section jobqueue.{self._section}"

    async def _start(self) -> None:
        await super()._start()
        self._report_dashboard()
        self.scheduler.add_plugin(LostTasksPlugin(self._resources.worker_died))
        self._background.spawn(self._look_at_workers())
        self._background.spawn(self._warn_before_walltime())
        self._background.spawn(watch_first_node(list(self._nodes), self._job_errors))

    def _report_dashboard(self) -> None:
        """Report the dashboard's address, since users cannot know the job's node in advance."""
        address = urlsplit(self.dashboard_link)
        if "dashboard" not in self.scheduler.services or not address.port:
            return  # no dashboard, or the link leads through a Jupyter server
        login = os.environ.get("SLURM_SUBMIT_HOST", "the-login-node")
        tunnel = f"ssh -N -L {address.port}:{address.hostname}:{address.port} {login}"
        self._report_once(
            f"Dashboard: {self.dashboard_link} (from your own computer: `{tunnel}`, then "
            f"{address.scheme}://localhost:{address.port}{address.path})"
        )

    async def _end(self, close: Callable[[], Awaitable[None]]) -> None:
        used = ""
        if self.status is Status.running:
            self._resources.look_at(self.scheduler, now=True)
            used = self._resources.line(peak_memory() or 0)
        self._background.cancel()
        await close()
        if used:
            messages.info(used)
        await self._background.wait()  # the event loop may be closed next

    async def _look_at_workers(self) -> None:
        while True:
            self._resources.look_at(self.scheduler)
            await asyncio.sleep(LOOK_S)

    async def on_step_ended(self, step: SrunStep, code: int, said: str) -> None:
        """Restart the workers of a node that ended unexpectedly, or go on without them."""
        node = step.node
        if self.status is not Status.running or self.workers.get(node) is not step:
            return
        if "has expired" in said:
            return  # the whole job has ended, and this process is about to
        # Dask still considers workers on a dead node alive, and their connections open.
        for worker in self.workers_of(node):
            await remove_worker(self.scheduler, worker.address, f"step-ended-{node}")
        why = last_srun_message(said) or commands.describe_exit(code)
        if time.monotonic() - step.started_at > RESTART_RESET_S:
            self._restarts[node] = 0
        step.status = Status.failed
        self._resources.worker_died()
        again = self._restarts[node] < MAX_STEP_RESTARTS and not node_is_lost(said)
        if again:
            pause = RESTART_PAUSE_S * 2 ** self._restarts[node]
            self._restarts[node] += 1
            messages.warning(f"The workers on {node} ended ({why}): restarting them.")
            await asyncio.sleep(pause)
        if self.status is not Status.running or self.workers.get(node) is not step:
            return
        del self.workers[node]
        if again:
            await asyncio.shield(self._correct_state())
            return
        self._nodes.remove(node)
        self.worker_spec.pop(node, None)
        if self.worker_spec:
            messages.warning(
                f"The workers on {node} ended ({why}): moving their tasks to the other "
                f"{format_count(len(self.worker_spec), 'node')}.{step.log_hint}"
            )
            return
        self._failure = (
            f"No workers are left: the last ones, on {node}, ended ({why}).{step.log_hint}"
        )
        messages.warning(self._failure)
        # Close, so that code waiting for results fails now and not only at the walltime.
        self._end_itself()

    async def _warn_before_walltime(self) -> None:
        """Warn once when the job is close to its walltime."""
        batch, job = batch_systems.get("slurm"), os.environ["SLURM_JOB_ID"]
        while True:
            with contextlib.suppress(commands.CommandError):
                if job in (listed := await commands.list_jobs(batch, [job])):
                    break
            await asyncio.sleep(SQUEUE_POLL_S)
        # Asked only once: this does not notice if administrators change the walltime later.
        if (left := listed[job].left) is None:
            return
        notice = min(MAX_NOTICE_S, max(MIN_NOTICE_S, NOTICE_FRACTION * left))
        await asyncio.sleep(left - notice)
        over = f"This job reaches its walltime in {min(left, notice):.0f} s"
        messages.warning(f"{over}: save your results before then, or they will be lost.")

    def _log_hint(self) -> str:
        directory = self._dummy_job.log_directory
        return f" Worker output is in {directory}." if directory else ""

    def _report_once(self, line: str) -> None:
        if line not in self._reported:
            self._reported.add(line)
            messages.info(line)


def node_of(worker: WorkerState) -> str:
    """Return the node that a worker's name begins with."""
    return str(worker.name).rpartition("-")[0]
