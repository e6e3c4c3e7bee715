"""Limit a worker's memory to a part of its job's, or to what the user's own option says."""

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
    limit, rest = None, []
    words = [word for option in options for word in str(option).split()]
    if not any(word.partition("=")[0] == MEMORY_LIMIT_OPTION for word in words):
        return None, list(options)
    words_left = iter(words)
    for word in words_left:
        name, equals, value = word.partition("=")
        if name == MEMORY_LIMIT_OPTION:
            limit = value if equals else next(words_left, None)
        else:
            rest.append(word)
    return limit, rest
