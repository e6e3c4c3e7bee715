"""Limit a worker's memory to a fraction of its job's, or to the user's own limit."""

import argparse
from collections.abc import Sequence

from dask.utils import format_bytes

# The batch system counts all of a job's memory, and kills the job at once; Dask checks each worker
# ten times a second, and can move data to disk first. The rest is for what Dask does not see: the
# process that started the workers (70 to 100 MiB), and allocations between two checks.
WORKER_MEMORY_FRACTION = 0.9
MEMORY_LIMIT_OPTION = "--memory-limit"


def worker_memory_limit(job_memory: float, processes: int) -> str:
    """Return a worker's memory limit, given the job's memory in bytes and number of workers."""
    return format_bytes(int(WORKER_MEMORY_FRACTION * job_memory / processes)).replace(" ", "")


def split_memory_limit(options: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split a worker's options into the value of ``--memory-limit``, if given, and the others.

    If the option is given repeatedly, the last one applies, as on the command line.
    """
    words = [word for option in options for word in str(option).split()]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(MEMORY_LIMIT_OPTION, dest="limit", nargs="?")
    found, rest = parser.parse_known_args(words)
    return found.limit, rest if found.limit else list(options)
