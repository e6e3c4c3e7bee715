"""A LocalCluster, measured by the harness: the overhead of the headline, and the start of workers.

With an explicit version, asv keeps the history when the code of a benchmark changes. Raise it when
what it measures changes.
"""

from . import harness


class Sleep:
    """500 x sleep(1) on 120 slots: 5 s is the bound, and the rest is overhead."""

    version = "1"
    timeout = 300

    def setup_cache(self):
        return harness.here(harness.SLEEP)

    def track_overhead(self, found):
        return harness.samples(found, "overhead_s")

    track_overhead.unit = "seconds"


class Start:
    """Four worker processes: from the line that creates the cluster until all are connected."""

    version = "1"
    timeout = 300

    def setup_cache(self):
        return harness.here(harness.START)

    def track_time_to_workers(self, found):
        return harness.samples(found, "makespan_s")

    track_time_to_workers.unit = "seconds"
