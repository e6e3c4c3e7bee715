"""Measure what this process has used so far. Standard library only, since each worker loads this.

Workers report it with every heartbeat, under `NAME`, beside Dask's own metrics (see
`cluster.worker_server`); `resources` reads it.
"""

import os

NAME = "dask-hpc"


def peak_memory() -> int | None:
    """Return the most memory that this process has had, in bytes; None if it cannot be known.

    Not from `resource.getrusage`: its peak may be that of the process that started this one.
    """
    try:
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - twice a second in each worker
            text = file.read()
        _, _, rest = text.partition(b"VmHWM:")
        return int(rest.partition(b"kB")[0]) * 1024
    except (OSError, ValueError):
        return None


def runs_programs() -> bool:
    """Return whether this process has a child process now, without collecting its exit status."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (AttributeError, OSError):  # there is none, or the platform cannot tell
        return False
    return True


def metric(_: object = None) -> dict[str, float | bool | None]:
    """Return the peak memory, the CPU seconds of ended children, and whether there are others.

    Takes the worker, as the functions in `distributed.worker.DEFAULT_METRICS` do.
    """
    times = os.times()
    return {
        "peak": peak_memory(),
        "programs-cpu": times.children_user + times.children_system,
        "programs": runs_programs(),
    }
