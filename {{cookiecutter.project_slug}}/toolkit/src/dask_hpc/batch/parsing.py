"""Parse walltimes and other times as batch systems write them."""

import re
import time
from collections.abc import Sequence

# Batch systems count seconds in 32 bits; Slurm misinterprets larger values.
MAX_WALLTIME_S = 2**31 - 1


def clock_seconds(match: re.Match[str]) -> int:
    """Return the seconds in a match with groups out of ``d``, ``h``, ``m`` and ``s``."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(value) * units[name] for name, value in match.groupdict().items() if value)


_DURATION = re.compile(r"(?:(?:(?P<d>\d+)-)?(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+)", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration, ``D-HH:MM:SS`` or its last parts; None if invalid."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else float(clock_seconds(match))


_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)", re.ASCII)


def parse_size(text: str) -> float | None:
    """Return the bytes of a size such as ``2.1G`` or ``512000K``; None if invalid."""
    match = _SIZE.fullmatch(text.strip())
    return None if match is None else float(match[1]) * 1024 ** " KMGTP".index(match[2] or " ")


def sum_of_cpus(counts: Sequence[str], missing: str) -> int:
    """Return the sum of the CPUs in a list of a queue's parts.

    Raises
    ------
    ValueError
        Its text is `missing`: the list is empty, or holds something else.
    """
    if not counts or not all(count.isdigit() for count in counts):
        raise ValueError(missing)
    return sum(map(int, counts))


def seconds_since(text: str, form: str) -> float | None:
    """Return the seconds since a time; None if it is not a time, or in the future.

    The time has no time zone and is assumed to be this computer's local time.
    """
    try:
        passed = time.time() - time.mktime(time.strptime(text.strip(), form))
    except (ValueError, OverflowError):
        return None
    return passed if passed >= 0 else None
