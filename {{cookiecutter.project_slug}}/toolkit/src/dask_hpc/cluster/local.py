"""Use this computer as a cluster, for laptops and labs without a batch system."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import distributed
from dask.utils import parse_bytes

from .._compat import upstream
from .._compat.lazy_dashboard import DashboardOnDemand
from .._compat.stopped_loop import StoppedLoopMixin
from .._compat.tls_error_queue import IsolatedTLSMixin
from .._output import messages
from .._output.formatting import format_count
from ..config import argument_names, fields, validators
from ..config.resolve import default_processes
from ..errors import ConfigError, StartError
from ..security import dashboard
from ..security.choice import choose
from . import main_guard
from .credentials import RecordedMixin
from .private_scratch import PrivateScratchMixin
from .start_errors import StartErrorsMixin, innermost, quiet, text
from .wait import WorkerWait, check_n_workers

# Arguments of dask-jobqueue's classes without a key in jobqueue.yaml, and keys that are also
# arguments of LocalCluster.
BATCH_ARGUMENTS = {"config_name", "idle_timeout", "job_cls", "nanny", "scheduler_cls"}
SHARED_ARGUMENTS = {"name", "local_directory", "processes"}


# A terminal sends Ctrl-C to worker processes, too, each of which would print a traceback. Programs
# that a task starts do not inherit a handler, as they would SIG_IGN.
IGNORE_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, lambda *_: None)"


class Nanny(distributed.Nanny):
    """A `distributed.Nanny` that remembers how its worker process ended.

    On Ctrl-C, the process of the cluster ends the workers.
    """

    exit_code: int | None = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        given = [self.preload] if isinstance(self.preload, str) else self.preload
        self.preload = [*given, IGNORE_INTERRUPTS]

    def _on_worker_exit_sync(self, exitcode):
        self.exit_code = exitcode
        super()._on_worker_exit_sync(exitcode)


class LocalCluster(
    StartErrorsMixin,
    PrivateScratchMixin,
    StoppedLoopMixin,
    RecordedMixin,
    IsolatedTLSMixin,
    DashboardOnDemand,
    distributed.LocalCluster,
):
    """A `distributed.LocalCluster` with the methods that notebooks call on a batch cluster.

    Connections are encrypted, except in a cluster that is only threads of this process.
    """

    _option_names: ClassVar[Mapping[str, str]] = {"port": "scheduler_port"}

    def __init__(self, *args, **kwargs):
        arguments = inspect.signature(distributed.LocalCluster).bind(*args, **kwargs).arguments
        others = arguments.pop("worker_kwargs", {})
        processes, worker_class = arguments.get("processes"), arguments.get("worker_class")
        arguments["security"] = choose(arguments.get("security"), _protocol(arguments))
        if processes or (processes is None and worker_class is None):
            main_guard.check()
            if worker_class is None:
                _check_names(others, distributed.Nanny)
                if upstream.is_known("worker-exit"):
                    arguments["worker_class"] = Nanny
        # The scheduler's own options take precedence.
        given = {name: arguments[name] for name in ("dashboard_address",) if name in arguments}
        options = {**given, **(arguments.get("scheduler_kwargs") or {})}
        arguments["scheduler_kwargs"] = dashboard.private(options)
        try:
            others["local_directory"] = self._new_scratch(others.get("local_directory"))
        except OSError as error:
            raise StartError(f"Cannot start Dask workers here: {text(error)}.") from None
        super().__init__(**arguments, **others)
        self.workers_per_job = max(1, len(self.worker_spec))

    async def _correct_state_internal(self):
        with quiet("distributed.nanny"):
            try:
                await super()._correct_state_internal()
            except Exception as error:
                created = list(self.workers.values())
                codes = {getattr(worker, "exit_code", None) for worker in created}
                if main_guard.UNGUARDED_EXIT_CODE in codes:
                    raise StartError(main_guard.advice()) from None
                reason = text(innermost(error))
                raise StartError(f"Cannot start Dask workers here: {reason}.") from None

    def scale(self, n=0, jobs=None, memory=None, cores=None):
        """Scale as a batch cluster does. This computer is the only job, with all its workers."""
        if jobs is not None:
            n = self.workers_per_job if jobs else 0
            if (validators.as_number(jobs) or 0) > 1:
                workers = format_count(self.workers_per_job, "worker")
                messages.info(f"This computer counts as one job ({workers}), not {jobs} jobs.")
        return super().scale(n, memory=memory, cores=cores)

    def wait_for_workers(self, n_workers, timeout=None):
        """Wait as a batch cluster does.

        Raises
        ------
        WorkerStartTimeoutError
            Too few workers connected before the timeout.
        """
        number, planned = check_n_workers(n_workers), len(self.worker_spec)
        if number > planned and self._adaptive is None:
            messages.info(f"Waiting for {number} workers, but the cluster is scaled to {planned}.")
        return self.sync(WorkerWait(self).wait, number, timeout)


def _protocol(arguments: Mapping[str, Any]) -> str | None:
    """Return the protocol that these arguments ask for, if any: threads need no network."""
    host = str(arguments.get("host") or arguments.get("ip") or "")
    if (protocol := arguments.get("protocol")) or "://" in host:
        return str(protocol or host)
    processes, worker_class = arguments.get("processes"), arguments.get("worker_class")
    if processes is None and worker_class is not None:
        processes = issubclass(worker_class, distributed.Nanny)
    return "inproc" if processes in (False, 0) and not arguments.get("scheduler_port") else None


def _check_names(given: dict, worker_class: type) -> None:
    """Raise an error for arguments that neither the cluster nor its workers have."""
    classes = {distributed.LocalCluster, *worker_class.__mro__, *distributed.Worker.__mro__}
    known = validators.parameters(*classes)
    for name in given.keys() - known:
        raise argument_names.unknown("LocalCluster", name, fields.suggest(name, known))


def _check_values(given: dict) -> None:
    """Raise an error for invalid numbers and amounts, on which LocalCluster would fail later."""
    checks = {name: fields.FIELDS[name].problem for name in ("cores", "processes", "memory")}
    checks |= dict.fromkeys(("n_workers", "threads_per_worker"), validators.check_non_negative_int)
    for name, check in checks.items():
        value = given.get(name)
        if value is None or (name == "processes" and isinstance(value, bool)):
            continue
        if line := check(value):
            raise ConfigError(f"argument {name}: {line}.")


def local_arguments(kwargs: dict) -> dict:
    """Convert arguments of a batch cluster to arguments of a LocalCluster.

    `cores`, `processes`, and `memory` (of one job) become `n_workers`, `threads_per_worker`, and
    `memory_limit` unless these are given. Arguments that apply only to batch systems are dropped.
    All others are passed to LocalCluster.
    """
    kwargs = dict(kwargs)
    _check_values(kwargs)
    cores, memory = kwargs.pop("cores", None), kwargs.pop("memory", None)
    processes = kwargs.pop("processes", None)
    if isinstance(processes, bool):  # as in LocalCluster: False for threads only
        kwargs["processes"], processes = processes, None
    dashboard = (kwargs.pop("scheduler_options", None) or {}).get("dashboard_address")
    if dashboard is not None:
        kwargs.setdefault("dashboard_address", dashboard)
    keys = {fields.argument_of(key) for key in (*fields.FIELDS, *fields.RENAMED)}
    for name in (keys | BATCH_ARGUMENTS) - SHARED_ARGUMENTS:
        kwargs.pop(name, None)
    processes = validators.as_whole_number(processes)
    if (number := validators.as_whole_number(cores)) is not None:
        processes = processes or default_processes(number)
        kwargs.setdefault("threads_per_worker", max(1, number // processes))
    if processes is not None:
        kwargs.setdefault("n_workers", processes)
    if memory is not None:
        kwargs.setdefault(
            "memory_limit", parse_bytes(validators.memory_text(memory)) // (processes or 1)
        )
    return kwargs
