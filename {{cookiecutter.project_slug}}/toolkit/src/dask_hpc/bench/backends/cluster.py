"""Measure on the cluster that the configuration names."""

import contextlib
import os
import subprocess
from functools import cached_property

from ...config import options
from ..plan import JobLayout
from ._dask import JOB_CORES, BackendError, DaskBackend


class ClusterBackend(DaskBackend):
    """The lab's cluster, as `dask_hpc.get_cluster` makes it from the configuration."""

    name = "cluster"

    def __init__(self, job_cores: int = JOB_CORES, timeout: float = 120.0):
        super().__init__(job_cores, timeout)
        self._settings_query: subprocess.Popen[str] | None = None

        self.batch_system = options.batch_system()
        if self.batch_system.cluster_class is None:
            raise BackendError(
                "the configuration names no batch system: set `batch-system:` in "
                "config/jobqueue.yaml, or measure this computer with --backend local"
            )

    def check(self, slots: int) -> None:
        """Check that the queue has CPUs for `slots` slots, before anything is submitted.

        Raises
        ------
        BackendError
            The queue has fewer CPUs, or there is no such queue. Where the batch system does not
            answer, nothing is raised: submitting will show it.
        """
        queue = self._job_settings.get(self.batch_system.queue_key or "")
        command = self.batch_system.capacity_command(queue)
        if not command:
            return
        try:
            answer = subprocess.run(
                command,
                env=self.batch_system.reading(os.environ),
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return
        word = self.batch_system.queue_word
        which = f"{word} {queue}" if queue else f"the default {word}"
        try:
            capacity = self.batch_system.parse_capacity(answer)
        except ValueError as error:
            raise BackendError(
                f"{which}: {error}; check {self.batch_system.queue_key} in config/jobqueue.yaml"
            ) from None
        if slots > capacity:
            raise BackendError(
                f"{slots} slots asked; {which} has {capacity} CPUs: ask for fewer with --slots"
            )

    def make_cluster(self, shape: JobLayout):
        from ... import get_cluster

        keys = self._job_settings.section.all()
        return get_cluster(
            cores=shape.threads,
            processes=1,
            # A nanny is a second process for each worker, and pays off in runs that last.
            nanny=False,
            worker_extra_args=[*keys["worker-extra-args"], "--no-dashboard"],
            scheduler_options={
                **keys["scheduler-options"],
                "dashboard_address": ":0",
                "dashboard": False,
            },
        )

    def start(self, slots: int) -> dict[str, float]:
        # Asked now, read when the clock of the phases has stopped.
        command = self.batch_system.settings_command
        if command:
            with contextlib.suppress(OSError):
                self._settings_query = subprocess.Popen(
                    command,
                    env=self.batch_system.reading(os.environ),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
        return super().start(slots)

    def batch_settings(self) -> dict[str, str]:
        """Return the batch system's version and the settings that matter, as it tells them."""
        if not self._settings_query:
            return {}
        asked, self._settings_query = self._settings_query, None
        try:
            out, _ = asked.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            asked.kill()
            asked.communicate()
            return {}
        return self.batch_system.parse_settings(out)

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

    def close(self) -> None:
        self.batch_settings()  # no child process without an end
        super().close()

    @cached_property
    def _job_settings(self):
        from ...config.resolve import resolve  # imports Dask's distributed, and takes as long

        return resolve(self.batch_system, {"cores": self.job_cores, "processes": 1})
