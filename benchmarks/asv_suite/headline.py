"""The overhead of distributing 500 tasks on a LocalCluster, measured by the harness."""

import tempfile
from pathlib import Path
from statistics import median


class Headline:
    """500 x sleep(1) on 120 slots: 5 s is the bound, and the rest is overhead."""

    timeout = 180

    def setup_cache(self):
        from dask_hpc.bench import plan, record
        from dask_hpc.bench.backends.local import LocalBackend
        from dask_hpc.bench.runner import measure

        headline = plan.make("sleep", repeats=[3])
        with tempfile.TemporaryDirectory() as folder:
            lines = record.read(measure(headline, LocalBackend, Path(folder)))
        return [row["overhead_s"] for row in lines.rows]

    def track_overhead(self, overheads):
        return median(overheads)

    track_overhead.unit = "s"
