"""This computer as a cluster, for labs or laptops without a batch system."""

from __future__ import annotations

import difflib
import inspect
from typing import ClassVar

import distributed
from dask.utils import parse_bytes
from distributed.core import Status

from . import config, main_guard, news, values
from .errors import ConfigError, StartError, WorkersTimeout
from .starting import TellsWhy, innermost, quiet, text
from .tls import ConnectsApart

# Arguments of dask-jobqueue's classes that no key of jobqueue.yaml stands for, and keys that are
# arguments of LocalCluster as well.
BATCH_ONLY = {"config_name", "idle_timeout", "job_cls", "nanny", "scheduler_cls"}
LOCAL_TOO = {"name", "local_directory", "processes"}


class Nanny(distributed.Nanny):
    """distributed's Nanny, which remembers how its worker process ended."""

    exit_code: int | None = None

    def _on_worker_exit_sync(self, exitcode):
        self.exit_code = exitcode
        super()._on_worker_exit_sync(exitcode)


class LocalCluster(TellsWhy, ConnectsApart, distributed.LocalCluster):
    """distributed's LocalCluster, with the few calls that notebooks make on a batch cluster."""

    _option_names: ClassVar = {"port": "scheduler_port"}

    def __init__(self, *args, **kwargs):
        arguments = inspect.signature(distributed.LocalCluster).bind(*args, **kwargs).arguments
        processes, worker_class = arguments.get("processes"), arguments.get("worker_class")
        if processes or (processes is None and worker_class is None):
            main_guard.check()
            if worker_class is None:
                _check_names(arguments.get("worker_kwargs", {}), distributed.Nanny)
                kwargs["worker_class"] = Nanny
        super().__init__(*args, **kwargs)
        self._most = max(1, len(self.worker_spec))

    async def _correct_state_internal(self):
        with quiet("distributed.nanny"):
            try:
                await super()._correct_state_internal()
            except Exception as error:
                created = list(self.workers.values())
                codes = {getattr(worker, "exit_code", None) for worker in created}
                if main_guard.UNGUARDED in codes:
                    raise StartError(main_guard.words()) from None
                reason = text(innermost(error))
                raise StartError(f"Dask's workers can't start here: {reason}.") from None

    def scale(self, n=0, jobs=None, memory=None, cores=None):
        """As for a batch cluster. There is one job at most, this computer, with all its workers."""
        if jobs is not None:
            n = self._most if jobs else 0
            if (values.number(jobs) or 0) > 1:
                news.say(f"This computer counts as one job of {self._most} workers, not {jobs}.")
        return super().scale(n, memory=memory, cores=cores)

    def wait_for_workers(self, n_workers, timeout=None):
        """As for a batch cluster.

        Raises
        ------
        WorkersTimeout
            They were not there in time.
        """
        return self.sync(self._wait, n_workers, timeout)

    async def _wait(self, n_workers, timeout):
        planned = len(self.worker_spec)
        if (values.number(n_workers) or 0) > planned and self._adaptive is None:
            news.say(f"{n_workers} workers are awaited, and the cluster is scaled to {planned}.")
        try:
            await self._wait_for_workers(n_workers, timeout)
        except TimeoutError:
            workers = self.scheduler.workers.values()
            arrived = sum(worker.status == Status.running for worker in workers)
            raise WorkersTimeout(
                f"{arrived} of {n_workers} workers came within {timeout} s "
                f"(the cluster is scaled to {len(self.worker_spec)} workers).",
                arrived,
                n_workers,
            ) from None


def _check_names(given: dict, worker_class: type) -> None:
    """Refuse arguments that are neither the cluster's nor the workers'."""
    classes = {distributed.LocalCluster, *worker_class.__mro__, *distributed.Worker.__mro__}
    known = {
        name
        for cls in classes - {object}
        if "__init__" in vars(cls)
        for name in inspect.signature(vars(cls)["__init__"]).parameters
    }
    for name in given.keys() - known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {close[0]}?" if close else "."
        raise ConfigError(f"LocalCluster({name}=...): there is no such argument{meant}")


def _check_values(given: dict) -> None:
    """Refuse numbers and amounts that are none, which LocalCluster would fail on later."""
    checks = {"cores": values.count, "processes": values.count, "memory": values.unreadable_memory}
    checks |= dict.fromkeys(("n_workers", "threads_per_worker"), values.times)
    for name, check in checks.items():
        value = given.get(name)
        if value is None or (name == "processes" and isinstance(value, bool)):
            continue
        if line := check(value):
            raise ConfigError(f"argument {name}: {line}.")
    for name in ("n_workers", "threads_per_worker"):
        if given.get(name) is not None:
            given[name] = values.whole(given[name])


def local_arguments(kwargs: dict) -> dict:
    """Arguments of a batch cluster as those of a LocalCluster.

    `cores`, `processes` and `memory` (of one job) become `n_workers`, `threads_per_worker` and
    `memory_limit` unless these are given; what only a batch system has is left out. Everything
    else is LocalCluster's own.
    """
    kwargs = dict(kwargs)
    _check_values(kwargs)
    cores, memory = kwargs.pop("cores", None), kwargs.pop("memory", None)
    processes = kwargs.pop("processes", None)
    if isinstance(processes, bool):  # LocalCluster's own meaning: False for threads alone
        kwargs["processes"], processes = processes, None
    dashboard = (kwargs.pop("scheduler_options", None) or {}).get("dashboard_address")
    if dashboard is not None:
        kwargs.setdefault("dashboard_address", dashboard)
    for name in (config.batch_arguments() | BATCH_ONLY) - LOCAL_TOO:
        kwargs.pop(name, None)
    if (found := values.whole(processes)) is not None:
        processes = found
    if cores is not None:
        cores = cores if values.whole(cores) is None else values.whole(cores)
        processes = processes or config.default_processes(cores)
        kwargs.setdefault("threads_per_worker", max(1, cores // processes))
    if processes is not None:
        kwargs.setdefault("n_workers", processes)
    if memory is not None:
        kwargs.setdefault(
            "memory_limit", parse_bytes(values.memory_text(memory)) // (processes or 1)
        )
    return kwargs
