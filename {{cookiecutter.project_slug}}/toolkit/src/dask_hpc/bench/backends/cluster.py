"""A backend on the cluster that the configuration names."""

import asyncio
import os
from collections.abc import Sequence
from functools import cached_property

from ...batch import commands
from ...config import options
from ..plan import JobLayout
from ._dask import JOB_CORES, BackendError, DaskBackend

ANSWER_TIMEOUT_S = 20.0  # for the batch system


class ClusterBackend(DaskBackend):
    """The lab's cluster, created by `dask_hpc.get_cluster` from the configuration."""

    name = "cluster"

    def __init__(self, job_cores: int = JOB_CORES, timeout: float = 120.0):
        super().__init__(job_cores, timeout)
        self.batch_system = options.batch_system()
        if self.batch_system.cluster_class is None:
            raise BackendError(
                "no batch system is configured: set `batch-system:` in config/jobqueue.yaml, or "
                "measure this computer with --backend local"
            )

    def check(self, slots: int) -> None:
        """Check that the queue has CPUs for `slots` slots, before anything is submitted.

        Raises
        ------
        BackendError
            The queue has fewer CPUs, or does not exist. If the batch system does not answer,
            nothing is raised: submitting will report it.
        """
        queue = self._job_settings.get(self.batch_system.queue_key or "")
        command = self.batch_system.capacity_command(queue)
        if not command:
            return
        try:
            answer = self._ask(command)
        except commands.CommandError:
            return
        word = self.batch_system.queue_word
        which = f"{word} {queue}" if queue else f"the default {word}"
        try:
            capacity = self.batch_system.parse_capacity(answer)
        except ValueError as error:
            key = self.batch_system.queue_key or ""
            place = self._job_settings.origins(key) or f"check {key} in config/jobqueue.yaml"
            raise BackendError(f"{which}: {error}; {place}") from None
        if slots > capacity:
            raise BackendError(
                f"{slots} slots requested, but {which} has {capacity} CPUs: reduce --slots"
            )

    def make_cluster(self, shape: JobLayout):
        from ... import get_cluster

        keys = self._job_settings.section.all()
        return get_cluster(
            cores=shape.threads,
            processes=1,
            # A nanny is a second process per worker, which pays off only in long runs.
            nanny=False,
            worker_extra_args=[*keys["worker-extra-args"], "--no-dashboard"],
            scheduler_options={
                **keys["scheduler-options"],
                "dashboard_address": ":0",
                "dashboard": False,
            },
        )

    def batch_settings(self) -> dict[str, str]:
        """Return the batch system's version and relevant settings."""
        try:
            answer = self._ask(self.batch_system.settings_command)
        except commands.CommandError as error:
            answer = error.out  # some commands print their help text and fail
        return self.batch_system.parse_settings(answer)

    def _ask(self, command: Sequence[str]) -> str:
        environ = self.batch_system.reading(os.environ)
        return asyncio.run(commands.run(command, timeout=ANSWER_TIMEOUT_S, env=environ))

    def submitted_at(self) -> float | None:
        times = [e.time for e in self.cluster.watcher.events if e.state == "submitted"]
        return max(times, default=None)

    def describe(self) -> dict:
        return {
            **super().describe(),
            "nanny": False,
            "batch_system": self.batch_system.name,
            "queue": self._job_settings.get(self.batch_system.queue_key or ""),
            "job_script": self.cluster.job_script(),
            "job_ids": list(self.cluster.job_ids),
            "nodes": sorted({e.node for e in self.cluster.watcher.events if e.node}),
            "settings": self.batch_settings(),
        }

    @cached_property
    def _job_settings(self):
        from ...config.resolve import resolve  # slow, since it imports distributed

        return resolve(self.batch_system, {"cores": self.job_cores, "processes": 1})
