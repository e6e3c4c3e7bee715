"""Limit a worker's memory to a part of its job's, or to what the user's own option says."""

import argparse
from collections.abc import Sequence

from dask.utils import format_bytes

# The batch system counts all that a job holds, and kills it at once; Dask looks at each worker ten
# times a second, and can move data to disk first. What it does not see has to fit beside: the
# process that started the workers (70 to 100 MiB), and what a worker takes between two looks.
WORKER_MEMORY_FRACTION = 0.9
MEMORY_LIMIT_OPTION = "--memory-limit"


def worker_memory_limit(job_memory: float, processes: int) -> str:
    """Return a worker's memory limit, where a job with so many bytes has so many workers."""
    return format_bytes(int(WORKER_MEMORY_FRACTION * job_memory / processes)).replace(" ", "")


def split_memory_limit(options: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split a worker's options into the value of ``--memory-limit``, if given, and the others.

    The last one counts, as on the command line.
    """
    words = [word for option in options for word in str(option).split()]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(MEMORY_LIMIT_OPTION, dest="limit", nargs="?")
    found, rest = parser.parse_known_args(words)
    return found.limit, rest if found.limit else list(options)
