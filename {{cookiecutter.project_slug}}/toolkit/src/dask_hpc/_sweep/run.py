"""Send inputs to workers, and save what comes back, until there is nothing left."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

import distributed
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from ..errors import SweepError
from . import payloads, pickling, shards
from .arguments import Options
from .batches import MAX_BYTES_AHEAD, PROBE_S, BatchPlanner
from .clients import open_client
from .display import Counts, Display
from .identity import InputKeys
from .lock import FolderLock
from .store import FILES, StoreWriter
from .worker import Batch, LoadError

TICK_S = 0.25
SLOTS_INTERVAL_S = 2.0
# How long to take inputs before what was taken is sent, and the status is shown. A generator may be
# slow, and many inputs may have been computed before.
FILL_S = 0.1
# Results are fetched in groups of about this size.
FETCH_BYTES = 128 * 2**20
FIRST_FETCH = 16
# Dask waits for results whose worker is lost until they are computed again. Others should not wait.
FETCH_TIMEOUT_S = 30.0

Input = tuple[bytes, Any]  # its key, and the input
Saved = tuple[Input, bytes, bytes]  # with the kind and payload of its record


@dataclass
class Sent:
    """A batch on its way."""

    future: distributed.Future
    inputs: list[Input]
    size_bytes: int


class Run:
    """One run of a sweep.

    Parameters
    ----------
    writer : StoreWriter
    lock : FolderLock
    keys : InputKeys
    function : bytes
        The pickled function.
    inputs : iterator
    total : int or None
        Number of inputs, if it is known.
    options : Options
    display : Display
    returns_saved : bool
        Whether to return results of earlier runs, too.
    """

    def __init__(
        self,
        writer: StoreWriter,
        lock: FolderLock,
        keys: InputKeys,
        function: bytes,
        inputs: Iterator[Any],
        total: int | None,
        options: Options,
        display: Display,
        returns_saved: bool = False,
    ) -> None:
        self.counts = Counts(total)
        self._writer, self._store, self._lock = writer, writer.store, lock
        self._keys, self._function, self._inputs = keys, function, inputs
        # What tasks are called on the dashboard.
        self._name = f"{writer.session.function.rpartition(':')[2]}-{uuid.uuid4().hex}"
        self._options = options
        self._display = display
        self._code = writer.session.code
        self._files_folder = (
            str((self._store.folder / FILES).absolute()) if options.results == "files" else None
        )
        self._returns_saved = returns_saved
        self._client: distributed.Client | None = None
        self._planner = BatchPlanner()
        self._number = itertools.count()
        self._taken = 0
        self._has_more = True
        self._waiting: deque[Input] = deque()  # taken, or to be sent again
        self._alone: deque[Input] = deque()  # one of these may have killed a worker
        self._tried: set[bytes] = set()  # failed inputs that were tried again
        self._computing: dict[bytes, int] = {}  # by key, how often the input was in the list
        self._saved: list[Saved] = []  # computed before, not returned yet
        self._fill_until = 0.0
        self._sent: dict[str, Sent] = {}
        self._lost: list[distributed.Future] = []
        self._finished: queue.SimpleQueue[distributed.Future] = queue.SimpleQueue()
        self._sent_at = self._slots_at = time.monotonic()
        self._fetch_timeout_s = FETCH_TIMEOUT_S
        self._result_bytes: float | None = None  # average of a batch

    def steps(self) -> Iterator[list[Saved]]:
        """Run; yield inputs with the kind and payload of their records, as soon as they are saved.

        Raises
        ------
        SweepError
            The sweep cannot go on.
        """
        with contextlib.ExitStack() as stack:
            while True:
                self._fill_until = time.monotonic() + FILL_S
                if self._client is None:
                    self._fill(1)
                    yield self._take_saved()
                    self._tick()
                    if not self._waiting:
                        if self._has_more:
                            continue
                        return  # everything was computed before
                    self._client = stack.enter_context(
                        open_client(self._options.client, self._options.jobs)
                    )
                    self._count_slots()
                self._send()
                yield self._take_saved()
                if self._sent:
                    yield self._receive()
                elif not (self._has_more or self._waiting or self._alone):
                    return
                self._tick()

    # --- inputs ---------------------------------------------------------------------------------

    def _fill(self, number: int) -> None:
        """Take inputs until this many wait to be sent, or until the time is over."""
        while self._has_more and len(self._waiting) < number and not self._is_late():
            try:
                value = next(self._inputs)
            except StopIteration:
                self._has_more = False
                self.counts.total = self._taken
                self._writer.end()
                return
            self._taken += 1
            key = self._keys.key(value, self._taken)
            self._writer.take(key)
            if key in self._computing:
                self._computing[key] += 1
            elif self._is_computed(key):
                self._count(key)
                if self._returns_saved:
                    self._saved.append(((key, value), *self._store.read(key)))
            else:
                if key in self._store.failures:
                    self._tried.add(key)
                self._computing[key] = 1
                self._waiting.append((key, value))

    def _is_late(self) -> bool:
        return time.monotonic() > self._fill_until

    def _is_computed(self, key: bytes) -> bool:
        if key in self._store.failures:
            return not self._options.retry_failed or key in self._tried
        return key in self._store.results

    def _count(self, key: bytes, number: int = 1) -> None:
        if key in self._store.results:
            self.counts.done += number
        else:
            self.counts.failed += number

    def _take_saved(self) -> list[Saved]:
        saved, self._saved = self._saved, []
        return saved

    def _left(self) -> int | None:
        """Return how many inputs were not sent yet; None if it is unknown."""
        if self.counts.total is None:
            return None
        return max(0, self.counts.total - self._taken) + len(self._waiting)

    # --- batches to workers ---------------------------------------------------------------------

    def _send(self) -> None:
        inputs = sum(len(sent.inputs) for sent in self._sent.values())
        size_bytes = sum(sent.size_bytes for sent in self._sent.values())
        waited = time.monotonic() - self._sent_at if self._sent else 0.0
        room = self._planner.room(len(self._sent), inputs, size_bytes, waited)
        batches: list[list[Input]] = []
        pickled: list[bytes] = []
        while len(batches) < room and size_bytes < MAX_BYTES_AHEAD and (batch := self._next()):
            batches.append(batch)
            pickled.append(pickling.dump_inputs(batch))
            size_bytes += len(pickled[-1])
        if not batches:
            return
        if not self._sent:
            self._sent_at = time.monotonic()
        assert self._client is not None
        function = Batch(self._function, self._planner.limit_s, self._files_folder, self._code)
        keys = [f"{self._name}-{next(self._number)}" for _ in batches]
        with self._lost_errors():
            futures = self._client.map(function, pickled, key=keys, pure=False)
        for future, batch, data in zip(futures, batches, pickled, strict=True):
            self._sent[str(future.key)] = Sent(future, batch, len(data))
            future.add_done_callback(self._finished.put)
        self._display.sent()

    def _next(self) -> list[Input]:
        """Return the next batch, smaller if inputs come slowly, and empty if there are none now."""
        if self._alone:
            return [self._alone.popleft()]
        size = self._planner.batch_size(self._left())
        self._fill(size)
        return [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]

    # --- results from workers -------------------------------------------------------------------

    def _receive(self) -> list[Saved]:
        """Wait a moment for batches that have finished, and save their results."""
        finished, self._lost = self._lost, []
        is_probing = self._planner.cost_s is None
        timeout = PROBE_S if is_probing else TICK_S
        with contextlib.suppress(queue.Empty):
            if not (self._is_late() and self._has_more):
                finished.append(self._finished.get(timeout=timeout))
            while True:
                finished.append(self._finished.get_nowait())
        saved: list[Saved] = []
        complete = []
        for future in finished:
            if future.status == "finished":
                complete.append(future)
            elif future.status == "error":
                saved += self._handle_error(future)
            elif future.status == "cancelled":
                raise self._lost_connection()
            else:  # its worker was lost: Dask computes it again
                self._lost.append(future)
        if complete and is_probing:
            self._count_slots()  # more workers may have come
        while complete:
            number = FIRST_FETCH
            if self._result_bytes is not None:
                number = max(1, int(FETCH_BYTES / max(1.0, self._result_bytes)))
            chunk, complete = complete[:number], complete[number:]
            saved += self._fetch(chunk)
        return saved

    def _fetch(self, futures: list[distributed.Future]) -> list[Saved]:
        client = self._client
        assert client is not None

        async def gather() -> Any:
            return await client.gather(futures, asynchronous=True)

        try:
            with self._lost_errors():
                found = client.sync(gather, callback_timeout=self._fetch_timeout_s)
        except (TimeoutError, KilledWorker):
            # A worker was lost with some of the results, and their tasks may have failed meanwhile.
            self._fetch_timeout_s *= 2  # or there is much to transfer
            for future in futures:
                future.add_done_callback(self._finished.put)
            return []
        self._fetch_timeout_s = FETCH_TIMEOUT_S
        saved: list[Saved] = []
        size_bytes = 0
        for future, pickled in zip(futures, found, strict=True):
            records, seconds = pickle.loads(pickled)
            sent = self._sent.pop(str(future.key))
            future.release()
            self._planner.record(len(records), seconds)
            for item, (kind, payload) in zip(sent.inputs, records, strict=False):
                size_bytes += len(payload)
                self._save(item, kind, payload)
                saved.append((item, kind, payload))
            # The batch has taken too long, and has ended early.
            self._waiting.extendleft(reversed(sent.inputs[len(records) :]))
        self._result_bytes = size_bytes / len(futures)
        self._writer.flush()
        return saved

    def _save(self, item: Input, kind: bytes, payload: bytes) -> None:
        key, _ = item
        self._writer.save(kind, key, payload)
        self.counts.new += 1
        self._count(key, self._computing.pop(key))

    def _handle_error(self, future: distributed.Future) -> list[Saved]:
        """Find out which input of a batch kills workers; raise any other error."""
        error = future.exception()
        inputs = self._sent.pop(str(future.key)).inputs
        future.release()
        if not isinstance(error, KilledWorker):
            said = " ".join(str(error).split())
            if not isinstance(error, LoadError):
                said = f"{type(error).__name__}: {said}"
            raise SweepError(
                f"The workers cannot run the function: {said}. They need the same packages as this "
                "Python, and functions that they can import."
            )
        if len(inputs) > 1:
            self._alone.extend(inputs)
            return []
        (item,) = inputs
        payload = payloads.failure(item[1], error, 0.0)
        self._save(item, shards.FAILURE, payload)
        return [(item, shards.FAILURE, payload)]

    # --- meanwhile ------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._writer.flush()
        self._lock.beat()
        if self._client is not None:
            if self._client.status == "closed":
                raise self._lost_connection()
            if time.monotonic() - self._slots_at > SLOTS_INTERVAL_S:
                self._count_slots()
        self._display.update(self.counts, None if self._client is None else self._planner.slots)

    def _count_slots(self) -> None:
        assert self._client is not None
        with self._lost_errors():
            self._planner.slots = sum(self._client.nthreads().values())
        self._slots_at = time.monotonic()

    @contextlib.contextmanager
    def _lost_errors(self) -> Iterator[None]:
        """Turn the errors of a connection that has ended into one line."""
        try:
            yield
        except TimeoutError:  # an OSError, too
            raise
        except (OSError, CancelledError, ClosedClientError):  # CommClosedError is an OSError
            raise self._lost_connection() from None

    def _lost_connection(self) -> SweepError:
        return SweepError(
            "The connection to Dask's scheduler has ended: the cluster was closed, or its process "
            f"has died. {self.progress()} Run the same line again, with a new cluster, to go on."
        )

    def progress(self) -> str:
        """Return a sentence about what is saved."""
        counts = self.counts
        of = "" if counts.total is None else f" of {counts.total}"
        return f"{counts.done + counts.failed}{of} inputs are saved in {self._store.folder}."
