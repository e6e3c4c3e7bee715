"""The workload ``cold-start``: how soon workers are there, and the memory that each one takes."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .._output.progress import Progress
from .backends.cold_start import DEFAULT, NO_NANNY, SPAWN, ClusterStart, LocalStart
from .plan import JobLayout, Plan
from .runner import recording, rounded, write_repeat
from .workloads import WORKLOADS

BACKENDS = {"cluster": ClusterStart, "local": LocalStart}
REPEATS = 3
# For the forecast: a start, and the end of the jobs, for each way.
ALLOWANCE_S = {DEFAULT: 8.0, SPAWN: 20.0, NO_NANNY: 6.0}


@dataclass(frozen=True)
class Start:
    """What is started: jobs, their processes, and how.

    Attributes
    ----------
    jobs, processes : int
        Jobs, and workers of each job. Each worker has one thread.
    how : {"default", "spawn", "no nanny"}
    """

    jobs: int
    processes: int
    how: str = DEFAULT

    def columns(self) -> dict:
        """Return what a row says of it."""
        slots = self.jobs * self.processes
        return {"slots": slots, "jobs": self.jobs, "processes": self.processes, "how": self.how}

    def __str__(self) -> str:
        how = "" if self.how == DEFAULT else f", {self.how}"
        return f"{self.jobs} x {self.processes}{how}"


def starts(shapes: Iterable[tuple[int, int]], backend: str) -> list[Start]:
    """Return what to measure for these numbers of jobs and processes.

    On a cluster, that is the lab's own way, and what it can be compared with: without a nanny if a
    job has one process, and by spawn if it has more.
    """
    found = []
    for jobs, processes in shapes:
        found.append(Start(jobs, processes))
        if backend == "cluster":
            found.append(Start(jobs, processes, NO_NANNY if processes == 1 else SPAWN))
    return found


def forecast_s(chosen: Sequence[Start], repeats: int) -> float:
    """Return the approximate duration, in seconds, not including time in a queue."""
    return repeats * sum(ALLOWANCE_S[start.how] for start in chosen)


def measure(
    out: Path,
    chosen: Sequence[Start],
    backend: str,
    repeats: int = REPEATS,
    timeout: float = 120.0,
    progress: Progress | None = None,
) -> Path:
    """Start each of them in turn, `repeats` times, and return the path of the record.

    Parameters
    ----------
    out : Path
        Folder for the record.
    chosen : sequence of Start
    backend : {"cluster", "local"}
    repeats : int
    timeout : float
        Seconds to wait for the workers of each start.
    """
    progress = progress or Progress()
    workload = WORKLOADS["cold-start"]
    common: dict = {}
    with recording(Plan(workload, []), out, common) as writer:
        order = 0
        for repeat in range(1, repeats + 1):
            for start in chosen if repeat % 2 else reversed(chosen):
                order += 1
                what = f"{start}: repeat {repeat} of {repeats}"
                common.clear()
                common |= {"workload": workload.name, "backend": backend, **start.columns()}
                common |= {"repeat": repeat, "order": order}
                measure_start = partial(_measure, start, BACKENDS[backend], timeout)
                write_repeat(writer, common, what, measure_start, progress)
    return writer.path


def _measure(start: Start, kind: type, timeout: float) -> dict:
    """Start workers and end them; return what was found."""
    backend = kind(how=start.how, timeout=timeout)
    begin = time.time()
    try:
        phases = backend.start_workers(JobLayout(start.jobs, 1, start.processes))
        seconds = time.time() - begin
        sizes = backend.pss_mib()
    finally:
        backend.close()
    row = {
        "phases": rounded(phases),
        # From the first line that creates the cluster to the last worker.
        "makespan_s": min(seconds, sum(phases.values())),
        "first_worker_s": sum(phases.values()) - phases["all_workers"],
    }
    return rounded(row | ({"pss_mib": statistics.median(sizes)} if sizes else {}))
