"""Backends that lose a worker, a job, or a node on purpose while tasks run."""

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

from ...batch import commands
from ..observer import Observer
from ..plan import JobLayout
from ..points import WORKER_SATURATION
from ._dask import BackendError
from .cold_start import ClusterStart, LocalStart

NOTHING, WORKER, JOB, NODE = "nothing", "worker", "job", "node"
NODE_COMMAND_TIMEOUT_S = 60.0


class _LosesWorkers:
    """Mixin: lose something of the cluster; a base class starts it with the lab's settings."""

    cluster: Any
    client: Any
    run_tasks: Callable
    observer: Observer
    node_command: str  # what makes a node fail, with {node} for its name

    def __init__(self, node_command: str = "", **options: Any):
        super().__init__(**options)
        self.node_command = node_command

    def open(self, shape: JobLayout, saturation: float = WORKER_SATURATION) -> None:
        super().open(shape, saturation)  # type: ignore[misc]
        self.observer = Observer()
        self.cluster.scheduler.add_plugin(self.observer)

    def run(
        self, function: Callable, items: Iterable, lose: str, after_s: float, timeout: float
    ) -> tuple[list, float | None]:
        """Run `function(item)` for each item; lose something after some seconds.

        Returns
        -------
        results : list
        lost_at : float or None
            When it was lost, in seconds since 1970; None if nothing was to be lost.
        """

        async def tasks_and_loss():
            futures = self.client.map(function, list(items), pure=False)
            gathering = asyncio.ensure_future(self.client.gather(futures))
            try:
                lost_at = None
                if lose != NOTHING:
                    await asyncio.sleep(after_s)
                    lost_at = await self._lose(lose)
                return await gathering, lost_at
            finally:
                gathering.cancel()

        with quiet():
            return self.run_tasks(tasks_and_loss, timeout)

    async def _lose(self, what: str) -> float:
        """Lose something; return when this began."""
        lost_at = time.time()
        if what == WORKER:
            await self._lose_worker()
        elif what == JOB:
            await commands.cancel(self.cluster.batch, self.cluster.job_ids[:1])
        else:
            await self._lose_node()
        return lost_at

    async def _lose_worker(self) -> None:
        """Kill a worker process that has tasks, as the kernel does if memory runs out."""
        workers = self.cluster.scheduler.workers.values()
        busiest = max(workers, key=lambda worker: len(worker.processing))
        # The connection breaks instead of an answer.
        await self.client.run(_kill_itself, workers=[busiest.address], on_error="ignore")

    async def _lose_node(self) -> None:
        """Run the command that makes the first job's node fail."""
        watcher = self.cluster.watcher
        node = next((s.node for job in watcher.active if (s := watcher.status(job)).node), "")
        command = self.node_command.replace("{node}", shlex.quote(node))
        process = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, err = await asyncio.wait_for(process.communicate(), NODE_COMMAND_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            raise BackendError(
                f"--lose-node: {command!r} took more than {NODE_COMMAND_TIMEOUT_S:.0f} s"
            ) from None
        if process.returncode:
            lines = err.decode(errors="replace").split("\n")
            raise BackendError(
                f"--lose-node: {command!r} failed, exit code {process.returncode}: {lines[0]}"
            )


class LosingCluster(_LosesWorkers, ClusterStart):
    """The lab's cluster, with its own settings."""


class LosingLocal(_LosesWorkers, LocalStart):
    """A LocalCluster, whose nannies start a new worker for one that has ended."""


@contextlib.contextmanager
def quiet():
    """Suppress Dask's messages about workers that leave or connect while their job ends."""
    # Dask's configuration may give each of them a level of its own.
    known = logging.root.manager.loggerDict
    names = [name for name in known if name.startswith("distributed")] + ["asyncio"]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
