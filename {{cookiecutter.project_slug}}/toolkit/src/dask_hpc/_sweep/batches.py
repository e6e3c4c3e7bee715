"""Decide how many inputs a task gets, and how many tasks are sent ahead.

A task costs Dask's scheduler and the client about half a millisecond. Short calls are therefore put
together into batches that take a tenth of a second, or more with many slots, for which the
scheduler has to hand out tasks faster. Toward the end, batches shrink, so that all slots stop at
about the same time (guided self-scheduling: Polychronopoulos and Kuck, 1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# What a batch should take: at least MIN_BATCH_S, and so long that all slots together finish at most
# 1 / SCHEDULER_S_PER_BATCH batches a second. The scheduler can do some 2,000 if its computer does
# nothing else, and the client's work for each input comes on top.
MIN_BATCH_S = 0.1
SCHEDULER_S_PER_BATCH = 0.005
# The last batches are this part of it: single calls would cost more than slots that wait a moment.
LAST_BATCH = 0.05
# A batch that takes this many times as long as planned is ended, and the rest is sent again.
OVERRUN = 2.0
# As long as no result has come back, only as many calls are sent as workers can hold; after this
# time, when calls are probably long, some more.
PROBE_S = 0.1
# Inputs and bytes of inputs that are sent ahead at most.
MAX_INPUTS_AHEAD = 100_000
MAX_BYTES_AHEAD = 512 * 2**20
# Calls that are known to be long are all sent at once, up to this number or some for each slot.
MIN_CALLS_AHEAD = 1_000
CALLS_AHEAD_PER_SLOT = 5
BATCHES_AHEAD_PER_SLOT = 3
# The weight of the newest batch in the average cost of a call.
NEWEST_WEIGHT = 0.2


@dataclass
class BatchPlanner:
    """Plans the batches of one sweep, from what their calls have cost so far.

    Attributes
    ----------
    slots : int
        Threads of all workers.
    cost_s : float or None
        Average time of a call; None until a result has come back.
    """

    slots: int = 1
    cost_s: float | None = None

    def record(self, calls: int, seconds: float) -> None:
        """Note what a batch has cost."""
        new = seconds / max(1, calls)
        old = self.cost_s
        self.cost_s = new if old is None else (1 - NEWEST_WEIGHT) * old + NEWEST_WEIGHT * new

    @property
    def target_s(self) -> float:
        """The time that a batch should take."""
        return max(MIN_BATCH_S, self.slots * SCHEDULER_S_PER_BATCH)

    @property
    def limit_s(self) -> float:
        """The time after which a batch is ended."""
        return OVERRUN * self.target_s

    def batch_size(self, left: int | None) -> int:
        """Return how many inputs the next batch gets.

        Parameters
        ----------
        left : int or None
            Number of inputs that were not sent yet; None if it is unknown.
        """
        if self.cost_s is None:
            return 1
        most = MAX_INPUTS_AHEAD / (BATCHES_AHEAD_PER_SLOT * max(1, self.slots))
        size = min(most, self.target_s / max(self.cost_s, 1e-9))
        if left is not None:
            # What is left for each slot: less and less.
            size = max(LAST_BATCH * size, min(size, math.ceil(left / max(1, self.slots))))
        return max(1, int(size))

    @property
    def first_batches(self) -> int:
        """How many batches to send on their own when there are none on their way.

        The scheduler hands out what it gets at once when it has looked at all of it, which takes
        0.1 s for 500 tasks. So some workers begin earlier, and those get the most calls.
        """
        return self.slots // 4

    def batches_ahead(self, waited_s: float) -> int:
        """Return how many batches may be on their way.

        Parameters
        ----------
        waited_s : float
            Seconds since the first batch was sent.
        """
        if self.cost_s is None:
            # One that runs and one that waits, for each slot. Later more, but not many: a busy
            # computer may be late with the first result of short calls.
            few = max(2 * self.slots, 8)
            if waited_s < PROBE_S:
                return few
            # With many slots, these are enough, and what is sent later can be put together.
            return max(few, min(CALLS_AHEAD_PER_SLOT * self.slots, MIN_CALLS_AHEAD))
        if self.cost_s >= self.target_s:
            return max(CALLS_AHEAD_PER_SLOT * self.slots, MIN_CALLS_AHEAD)
        return max(BATCHES_AHEAD_PER_SLOT * self.slots, 8)

    def room(self, batches: int, inputs: int, size_bytes: int, waited_s: float) -> int:
        """Return how many batches to send now, given how many are on their way.

        Sending few at a time would cost more than it brings, so the result is 0 until a quarter of
        what may be on its way has come back.
        """
        if batches and (inputs >= MAX_INPUTS_AHEAD or size_bytes >= MAX_BYTES_AHEAD):
            return 0
        ahead = self.batches_ahead(waited_s)
        free = ahead - batches
        return free if free >= max(1, ahead // 4) else 0
