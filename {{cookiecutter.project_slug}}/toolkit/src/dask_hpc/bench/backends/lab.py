"""Workers as a lab's members start them, for work that is more than sleeping.

They are encrypted, have nannies, and are started by the lab's configuration.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from ..plan import JobLayout
from ..validation import MeasurementError
from ._dask import BackendError, DaskBackend
from .cold_start import ClusterStart, LocalStart

# A call times out after this many times its expected time, plus this many seconds.
TIMEOUT_FACTOR, TIMEOUT_S = 5.0, 60.0


def timeout_s(expected_s: float) -> float:
    """Return after how many seconds a call is given up."""
    return TIMEOUT_FACTOR * expected_s + TIMEOUT_S


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Say in an error what was measured."""
    try:
        yield
    except (BackendError, MeasurementError) as error:
        raise type(error)(f"{what}: {error}") from None


class _Calls(DaskBackend):
    """Base class: calls on chosen workers, each of which times out.

    Attributes
    ----------
    cpus_per_slot : int
        CPUs of the batch system that a job has for each slot.
    """

    cpus_per_slot = 1

    def call(
        self,
        function: Callable,
        *arguments: Any,
        timeout: float = TIMEOUT_S,
        worker: str | None = None,
    ) -> Any:
        """Run a function in one slot, of this worker if one is named, and return its result."""
        chosen = {} if worker is None else {"workers": [worker]}

        async def run():
            future = self.client.submit(function, *arguments, pure=False, **chosen)
            return await future

        return self.wait(run, timeout)

    def everywhere(
        self,
        function: Callable,
        *arguments: Any,
        timeout: float = TIMEOUT_S,
        workers: list[str] | None = None,
    ) -> dict:
        """Run a function beside the tasks of each worker, or of these; return results by worker."""
        return self.wait(lambda: self.client.run(function, *arguments, workers=workers), timeout)

    def wait(self, coroutine: Callable, timeout: float) -> Any:
        """Run a coroutine function on the cluster's loop.

        Raises
        ------
        BackendError
            It did not end in time, or a worker died.
        """
        from distributed import CancelledError, KilledWorker

        try:
            return self.cluster.sync(coroutine, callback_timeout=timeout)
        except TimeoutError:
            raise self._timed_out(timeout) from None
        except (CancelledError, KilledWorker) as error:
            raise BackendError(f"a worker died: {error}") from None

    def sweep(
        self, function: Callable, items: Iterable, out: Path, timeout: float = TIMEOUT_S
    ) -> Sequence:
        """Return the results of a sweep, which it saves in `out`.

        Raises
        ------
        BackendError
            It did not end in time.
        """
        from distributed import Client

        from ... import sweep

        if self._sweep_client is None:
            address, security = self.cluster.scheduler_address, self.cluster.security
            self._sweep_client = self._settings.enter_context(
                Client(address, security=security, set_as_default=False)
            )
        found: list = []

        def run() -> None:
            try:
                results = sweep(function, items, out, client=self._sweep_client, progress=False)
                found.append(list(results))
            except BaseException as error:
                found.append(error)

        # In a thread, since a sweep has no time-out of its own.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(timeout)
        if not found:
            raise self._timed_out(timeout)
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    def workers(self) -> list[str]:
        """Return the addresses of the workers."""
        return sorted(self.cluster.scheduler.workers)

    def least_memory_limit(self) -> int:
        """Return the bytes that each worker may use; without a limit, what the computer has."""
        limits = [state.memory_limit for state in self.cluster.scheduler.workers.values()]
        return min(limit or psutil.virtual_memory().total for limit in limits)

    def is_encrypted(self) -> bool:
        """Return whether connections are encrypted."""
        return self.cluster.scheduler_address.startswith("tls")

    def _timed_out(self, timeout: float) -> BackendError:
        there = len(self.cluster.scheduler.workers)
        return BackendError(
            f"it did not finish within {timeout:.0f} s; "
            f"{there} of {self.layout.workers} workers are still connected"
        )


class LabCluster(_Calls, ClusterStart):
    """The lab's cluster."""

    def make_cluster(self, shape: JobLayout):
        if self.cpus_per_slot == 1:
            return super().make_cluster(shape)
        from ... import get_cluster

        # The last of two equal options counts.
        words = [*self._job_settings.section.all()["worker-extra-args"]]
        return get_cluster(
            cores=shape.processes * shape.threads * self.cpus_per_slot,
            processes=shape.processes,
            worker_extra_args=[*words, "--nthreads", str(shape.threads)],
        )

    def describe(self) -> dict:
        return super().describe() | {"nanny": True}


class LabLocal(_Calls, LocalStart):
    """A LocalCluster."""


BACKENDS = {"cluster": LabCluster, "local": LabLocal}


def start(backend: DaskBackend, shape: JobLayout) -> dict[str, Any]:
    """Start workers in jobs of this shape; return what the record says of the start."""
    phases = backend.start_workers(shape)
    slots = shape.workers * shape.threads
    about = {"backend": backend.name, "phases": phases, "first_of_command": False}
    return {"slots": slots, **backend.describe(), **about}
