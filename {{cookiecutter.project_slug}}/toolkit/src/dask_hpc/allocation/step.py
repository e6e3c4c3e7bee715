"""Run the workers of one node as a step of the job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import time
import weakref
from typing import TYPE_CHECKING, Any

from distributed.core import Status
from distributed.deploy.spec import ProcessInterface

from .._compat.jobqueue_import import dask_jobqueue
from ..cluster.job_script import WaitsForWorker
from ..config.memory_limit import worker_memory_limit
from ..config.profiles import FromSettings

if TYPE_CHECKING:
    from .cluster import AllocationCluster

# Restarts of a node's workers; reset after a step has run for RESTART_RESET_S.
MAX_STEP_RESTARTS = 3
TERMINATE_S = 10.0  # time for a step to end after a signal
LEAVE_S = 5.0  # time for it to end without one, as its workers close


class SrunStep(FromSettings, WaitsForWorker, dask_jobqueue.slurm.SLURMJob):
    """The workers of one node, as a step of the job.

    Takes the node, and the arguments of dask-jobqueue's class, of which it uses those for workers.
    """

    status: Status  # ProcessInterface's

    def __init__(
        self,
        scheduler: str | None = None,
        name: str | None = None,
        *,
        node: str = "",
        owner: weakref.ref[AllocationCluster] | None = None,
        memory_limit: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._limit = memory_limit  # the lab's own; set before dask-jobqueue's __init__ reads it
        # `dask worker` numbers several processes, node1-0, node1-1, …, but not a single one.
        alone = kwargs.get("processes") == 1
        super().__init__(scheduler, name=f"{name}-0" if alone else name, **kwargs)
        self.node = node
        self._owner = owner
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.started_at = 0.0

    @property
    def worker_process_memory(self) -> str:
        return self._limit or worker_memory_limit(self.worker_memory, self.worker_processes)

    def command(self) -> list[str]:
        # Memory and other limits are those of the job. --overlap: the workers and other srun calls
        # of the program do not wait for each other.
        command = ["srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={self.node}"]
        command += [f"--cpus-per-task={self.worker_cores}", f"--job-name={self.job_name}"]
        if self.log_directory is not None:
            command.append(f"--output={self.log}")
        return [*command, "--input=none", "bash", "-c", self.job_script()]

    @property
    def log(self) -> str:
        """The file with the workers' output."""
        return f"{self.log_directory}/{self.job_name}-{os.environ['SLURM_JOB_ID']}-{self.node}.out"

    @property
    def log_hint(self) -> str:
        """A sentence about that file; empty without one."""
        return f" Output: {self.log}" if self.log_directory is not None else ""

    async def start(self) -> None:
        self.started_at = time.monotonic()
        process = self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            stdin=subprocess.DEVNULL,
            # Without a log directory, the workers print to the program's stdout.
            stdout=None if self.log_directory is None else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # only the program gets Ctrl-C; it then closes its cluster
        )
        await ProcessInterface.start(self)
        self._watch = asyncio.create_task(self._wait_for_exit(process))

    def _cluster(self) -> AllocationCluster | None:
        return None if self._owner is None else self._owner()

    async def _wait_for_exit(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # a pipe
        said = (await process.stderr.read()).decode(errors="replace")
        code = await process.wait()
        if self.status is Status.running:
            cluster = self._cluster()
            assert cluster is not None  # a cluster ends its steps before it closes
            await cluster.on_step_ended(self, code, said)

    async def close(self) -> None:
        was, self.status = self.status, Status.closing
        cluster, process = self._cluster(), self._process
        if was is Status.running and cluster is not None and cluster.status is Status.running:
            # The cluster only shrinks: the other nodes take over the results of these workers.
            leaving = [worker.address for worker in cluster.workers_of(self.node)]
            await cluster.scheduler.retire_workers(leaving, close_workers=True)
        elif was is Status.running and cluster is not None and cluster.scheduler is not None:
            for worker in cluster.workers_of(self.node):
                cluster.scheduler.close_worker(worker.address)
        if was is Status.running and process is not None and process.returncode is None:
            # srun kills everything at once when it is told to end, and the workers' files stay.
            for end, seconds in (
                (lambda: None, LEAVE_S),
                (process.terminate, TERMINATE_S),
                (process.kill, TERMINATE_S),
            ):
                with contextlib.suppress(ProcessLookupError):
                    end()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), seconds)
                    break
        await ProcessInterface.close(self)


def node_is_lost(said: str) -> bool:
    """Return whether srun reported that the node is down, or no longer part of the job."""
    return bool(
        re.search(
            r"(?i)node failure|requested node configuration|unable to create step"
            r"|not in this job|nodes? .* (?:down|not responding)|invalid node",
            said,
        )
    )


def last_srun_message(said: str) -> str:
    """Return the last line that srun printed, without the prefix `srun: error:`."""
    lines = [re.sub(r"^srun: (?:error: )?", "", line).strip() for line in said.splitlines()]
    lines = [
        line for line in lines if line and not line.startswith(("Job step aborted", "forcing"))
    ]
    return lines[-1].rstrip(".") if lines else ""
