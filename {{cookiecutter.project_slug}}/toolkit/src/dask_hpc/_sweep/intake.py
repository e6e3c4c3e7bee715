"""Take inputs one by one, and keep those that are not computed yet."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from .display import Counts
from .identity import InputKeys
from .store import StoreWriter

Input = tuple[bytes, Any]  # its key, and the input
Saved = tuple[Input, bytes, bytes]  # with the kind and payload of its record


class Intake:
    """The inputs of one run: what is to be computed, and what was computed before.

    Parameters
    ----------
    writer : StoreWriter
    keys : InputKeys
    inputs : iterator
    total : int or None
        Number of inputs, if it is known.
    retry_failed : bool
        Whether to compute failed inputs again.
    returns_saved : bool
        Whether `take_saved` returns results of earlier runs.

    Attributes
    ----------
    counts : Counts
    waiting : deque
        Inputs to send to workers.
    has_more : bool
        Whether there may be more inputs to take.
    """

    def __init__(
        self,
        writer: StoreWriter,
        keys: InputKeys,
        inputs: Iterator[Any],
        total: int | None,
        retry_failed: bool = False,
        returns_saved: bool = False,
    ) -> None:
        self.counts = Counts(total)
        self.waiting: deque[Input] = deque()
        self.has_more = True
        self._writer, self._store = writer, writer.store
        self._keys, self._inputs = keys, inputs
        self._retry_failed, self._returns_saved = retry_failed, returns_saved
        self._taken = 0
        self._tried: set[bytes] = set()  # failed inputs that were tried again
        self._computing: dict[bytes, int] = {}  # by key, how often the input was in the list
        self._saved: list[Saved] = []  # computed before, not returned yet
        self._fill_until = 0.0
        known = len(self._store) if total is None else min(total, len(self._store))
        # Of the earlier order, up to where it was not taken again.
        self._ahead = bytearray(self._store.key(n) in self._store.results for n in range(known))
        self.counts.saved_ahead = sum(self._ahead)

    def fill_for(self, seconds: float) -> None:
        """Let `fill` take inputs for so many seconds from now."""
        self._fill_until = time.monotonic() + seconds

    def is_late(self) -> bool:
        """Return whether the time to take inputs is over."""
        return time.monotonic() > self._fill_until

    def fill(self, number: int) -> None:
        """Take inputs until this many wait to be sent, or until the time is over."""
        while self.has_more and len(self.waiting) < number and not self.is_late():
            try:
                value = next(self._inputs)
            except StopIteration:
                self.has_more = False
                self.counts.total = self._taken
                self.counts.saved_ahead = 0
                self._writer.end()
                return
            if self._taken < len(self._ahead):
                self.counts.saved_ahead -= self._ahead[self._taken]
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
                self.waiting.append((key, value))

    def take_saved(self) -> list[Saved]:
        """Return what was computed before and has not been returned yet."""
        saved, self._saved = self._saved, []
        return saved

    def left(self) -> int | None:
        """Return how many inputs were not sent yet; None if it is unknown."""
        if self.counts.total is None:
            return None
        return max(0, self.counts.total - self._taken) + len(self.waiting)

    def save(self, item: Input, kind: bytes, payload: bytes) -> None:
        """Save the result or failure of an input."""
        key, _ = item
        self._writer.save(kind, key, payload)
        self.counts.new += 1
        self._count(key, self._computing.pop(key))

    def _is_computed(self, key: bytes) -> bool:
        if key in self._store.failures:
            return not self._retry_failed or key in self._tried
        return key in self._store.results

    def _count(self, key: bytes, number: int = 1) -> None:
        if key in self._store.results:
            self.counts.done += number
        else:
            self.counts.failed += number
