"""Send inputs to workers, and save what comes back, until there is nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any

import distributed
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from ..errors import SweepError
from . import payloads, pickling, shards
from .arguments import Options
from .batches import MAX_BYTES_AHEAD, PROBE_S, BatchPlanner
from .clients import open_client
from .display import Display
from .intake import Input, Intake, Saved
from .lock import FolderLock
from .store import StoreWriter
from .worker import Batch, LoadError, StaleCodeError

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
    intake : Intake
        The inputs.
    batch : Batch
        What runs on workers, but for the time that it may take.
    options : Options
    display : Display
    """

    def __init__(
        self,
        writer: StoreWriter,
        lock: FolderLock,
        intake: Intake,
        batch: Batch,
        options: Options,
        display: Display,
    ) -> None:
        self.counts = intake.counts
        self._writer, self._store, self._lock = writer, writer.store, lock
        self._intake, self._batch = intake, batch
        # What tasks are called on the dashboard.
        self._name = f"{writer.session.function.rpartition(':')[2]}-{uuid.uuid4().hex}"
        self._options = options
        self._display = display
        self._client: distributed.Client | None = None
        self._planner = BatchPlanner()
        self._number = itertools.count()
        self._alone: deque[Input] = deque()  # one of these may have killed a worker
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
                self._intake.fill_for(FILL_S)
                if self._client is None:
                    self._intake.fill(1)
                    yield self._intake.take_saved()
                    self._tick()
                    if not self._intake.waiting:
                        if self._intake.has_more:
                            continue
                        return  # everything was computed before
                    self._client = stack.enter_context(
                        open_client(self._options.client, self._options.jobs)
                    )
                    stack.callback(self._cancel)
                    self._count_slots()
                self._send()
                yield self._intake.take_saved()
                if self._sent:
                    yield self._receive()
                elif not (self._intake.has_more or self._intake.waiting or self._alone):
                    return
                self._tick()

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
        first = 0
        if not self._sent:
            self._sent_at = time.monotonic()
            first = self._planner.first_batches
        for part in (slice(first), slice(first, None)):
            self._send_batches(batches[part], pickled[part])
        self._display.sent()

    def _send_batches(self, batches: list[list[Input]], pickled: list[bytes]) -> None:
        if not batches:
            return
        assert self._client is not None
        function = replace(self._batch, limit_s=self._planner.limit_s)
        keys = [f"{self._name}-{next(self._number)}" for _ in batches]
        with self._lost_errors():
            futures = self._client.map(function, pickled, key=keys, pure=False)
        for future, batch, data in zip(futures, batches, pickled, strict=True):
            self._sent[str(future.key)] = Sent(future, batch, len(data))
        self._watch(futures)

    def _next(self) -> list[Input]:
        """Return the next batch, smaller if inputs come slowly, and empty if there are none now."""
        if self._alone:
            return [self._alone.popleft()]
        size = self._planner.batch_size(self._intake.left())
        self._intake.fill(size)
        return [self._intake.waiting.popleft() for _ in range(min(size, len(self._intake.waiting)))]

    def _watch(self, futures: list[distributed.Future]) -> None:
        """Let `_finished` get each future when it has finished.

        `Future.add_done_callback` would wake Dask's event loop for each, and another thread later.
        Dask's scheduler may be in this process, and needs the time.
        """

        async def watch(future: distributed.Future) -> None:
            with contextlib.suppress(Exception, CancelledError):
                await future.exception(asynchronous=True)
            self._finished.put(future)

        async def watch_all() -> None:
            await asyncio.gather(*map(watch, futures))

        assert self._client is not None
        assert self._client.loop is not None
        self._client.loop.add_callback(watch_all)

    def _cancel(self) -> None:
        """Cancel what is on its way, as after Ctrl-C: the client may be used for something else."""
        assert self._client is not None
        assert self._client.loop is not None
        futures = [sent.future for sent in self._sent.values()]
        if futures and self._client.status == "running":
            # Without waiting, since the connection may hang.
            self._client.loop.add_callback(self._client.cancel, futures, asynchronous=True)

    # --- results from workers -------------------------------------------------------------------

    def _receive(self) -> list[Saved]:
        """Wait a moment for batches that have finished, and save their results."""
        finished, self._lost = self._lost, []
        is_probing = self._planner.cost_s is None
        timeout = PROBE_S if is_probing else TICK_S
        with contextlib.suppress(queue.Empty):
            if not (self._intake.is_late() and self._intake.has_more):
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
            found = await client.gather(futures, asynchronous=True)
            for future in futures:  # in Dask's thread, which would be woken for each otherwise
                future.release()
            return found

        try:
            with self._lost_errors():
                found = client.sync(gather, callback_timeout=self._fetch_timeout_s)
        except (TimeoutError, KilledWorker):
            # A worker was lost with some of the results, and their tasks may have failed meanwhile.
            self._fetch_timeout_s *= 2  # or there is much to transfer
            self._watch(futures)
            return []
        self._fetch_timeout_s = FETCH_TIMEOUT_S
        saved: list[Saved] = []
        size_bytes = 0
        for future, pickled in zip(futures, found, strict=True):
            records, seconds = pickle.loads(pickled)
            sent = self._sent.pop(str(future.key))
            self._planner.record(len(records), seconds)
            for item, (kind, payload) in zip(sent.inputs, records, strict=False):
                size_bytes += len(payload)
                self._intake.save(item, kind, payload)
                saved.append((item, kind, payload))
            # The batch has taken too long, and has ended early.
            self._intake.waiting.extendleft(reversed(sent.inputs[len(records) :]))
        self._result_bytes = size_bytes / len(futures)
        self._writer.flush()
        return saved

    def _handle_error(self, future: distributed.Future) -> list[Saved]:
        """Find out which input of a batch kills workers; raise any other error."""
        error = future.exception()
        inputs = self._sent.pop(str(future.key)).inputs
        future.release()
        if isinstance(error, StaleCodeError):
            raise SweepError(
                f"A worker has another version of {self._writer.session.function} than this "
                "Python, since its file was edited meanwhile: start Python (in a notebook, its "
                "kernel) and the cluster again, then run the same line."
            )
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
        self._intake.save(item, shards.FAILURE, payload)
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
        except Exception:  # of many kinds, if the client closes during a call
            if self._client is None or self._client.status == "running":
                raise
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
        return f"{counts.known + counts.failed}{of} inputs are saved in {self._store.folder}."
