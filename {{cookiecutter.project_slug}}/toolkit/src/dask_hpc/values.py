"""What a single value of ``jobqueue.yaml`` may be.

Each function returns what is wrong in words that follow the key's name, or an empty text. The
template's pre_gen hook says the same of the answers that it is given; ``tests/answers.yaml`` is a
table that both are held to.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from dask.utils import parse_bytes, parse_timedelta

# A job is on one node, and Linux does not count further (CONFIG_NR_CPUS of the kernel).
MOST_CORES = 8192
# Bytes a process: a worker takes 75 MiB before it has done anything, and pauses at 80 % of what it
# may use.
LEAST_MEMORY = 100 * 2**20
MOST_MEMORY = 2**52  # bytes: what a processor can address (x86-64)
DECIMAL = re.compile(r"\s*([\d.]+)\s*([KMGTP])B?\s*", re.IGNORECASE)
BINARY = re.compile(r"[0-9]+(?:\.[0-9]+)? ?[MGT]iB", re.IGNORECASE)
# As Linux allows (15 bytes, no white space, no slash), and a shell leaves alone: the name is a word
# of the worker's command.
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,14}")
# Not `fork`: it would copy a nanny while its threads are at work.
START_METHODS = ("forkserver", "spawn")
# Keys that hold lines of shell; every other key's value is a part of one line of the job script.
SHELL_LINES = {"job-script-prologue", "env-extra"}


def count(value: Any) -> str:
    """What is wrong with a number of cores or processes of one job."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return f"must be a whole number, 1 or more, not {value!r}"
    if value > MOST_CORES:
        return f"is for one job on one node, and a node has {MOST_CORES} at most, not {value}"
    return ""


def idle_cores(cores: int, processes: int) -> str:
    """What is doubtful about a number of processes that are to share a job's cores."""
    if left := cores % processes:
        return f"does not divide cores: {left} of {cores} cores stay idle"
    return ""


def times(value: Any) -> str:
    """What is wrong with how often something is done."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return f"must be a whole number, 0 or more, not {value!r}"
    return ""


def method(value: Any) -> str:
    """What is wrong with a start method of worker processes."""
    return "" if value in START_METHODS else f"must be forkserver or spawn, not {value!r}"


def flag(value: Any) -> str:
    """What is wrong with a yes or no."""
    return "" if isinstance(value, bool) else f"must be true or false, not {value!r}"


def memory(value: Any, processes: int = 1) -> str:
    """What is doubtful about the memory of a job of so many processes."""
    if isinstance(value, bool) or not isinstance(value, str):
        return f'{value!r} has no unit; say for example "16 GiB"'
    if decimal := DECIMAL.fullmatch(value):
        size, unit = decimal[1], decimal[2].upper().replace("K", "M").replace("P", "T")
        return f"{value} means less to Dask than to the batch system; say {size} {unit}iB"
    if line := unreadable_memory(value):
        return line
    size = parse_bytes(value)
    if not BINARY.fullmatch(value):
        return f'{value!r}: give the unit as MiB, GiB or TiB, for example "16 GiB"'
    if size < processes * LEAST_MEMORY:
        return (
            f"{value} is too little: give at least {processes * LEAST_MEMORY // 2**20} MiB, "
            "100 MiB for each process"
        )
    if size > MOST_MEMORY:
        return f"{value} is for one job on one node, and no computer has more than 4096 TiB"
    return ""


def unreadable_memory(value: Any) -> str:
    """Why Dask can't take this for an amount of memory."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return memory(value)
    try:
        if isinstance(value, bool) or parse_bytes(value) <= 0:
            return f"{value} is no memory at all; give more than nothing"
    except (ValueError, TypeError, OverflowError):
        return f'{value!r} can\'t be read; say for example "16 GiB"'
    return ""


def duration(value: Any) -> str:
    """What is wrong with a time such as "30 minutes"; 0 stands for never."""
    if value == 0 and not isinstance(value, bool):
        return ""
    try:
        if isinstance(value, str) and parse_timedelta(value, None) >= 0:
            return ""
    except (ValueError, TypeError, LookupError):
        pass
    return f'must be a time with its unit, like "30 minutes", not {value!r}'


def seconds(value: Any) -> str:
    """What is wrong with a time that may be a bare number, of seconds."""
    try:
        if not isinstance(value, bool) and parse_timedelta(value, "s") > 0:
            return ""
    except (ValueError, TypeError, LookupError, AttributeError):
        pass
    return f"must be a time in seconds, not {value!r}"


def interface(value: Any) -> str:
    """What is wrong with the name of a network interface."""
    if isinstance(value, str) and INTERFACE.fullmatch(value):
        return ""
    return f"must be a name as `ip address` shows it, such as ib0 or eth0, not {value!r}"


def folder(value: Any) -> str:
    """What is wrong with the name of a folder."""
    if isinstance(value, str | os.PathLike) and str(value).strip():
        return ""
    return f"must be the name of a folder, not {value!r}"


def scheduler_options(value: Any) -> str:
    """What is wrong with the arguments that Dask's scheduler is to be started with."""
    if not isinstance(value, dict):
        return f'must be a mapping, like {{"dashboard_address": ":8787"}}, not {value!r}'
    if value.get("interface") is not None and (line := interface(value["interface"])):
        return f"interface {line}"
    known = _parameters_of_the_scheduler()
    for name in value:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            return f"{name}: Dask's scheduler has no such argument, and does not start{meant}"
    return ""


def _parameters_of_the_scheduler() -> set[str]:
    from distributed import Scheduler  # slow to import, and not needed for the rest

    found = {name for cls in inspect.getmro(Scheduler) for name in _parameters(cls)}
    return found - {"self", "args", "kwargs"}


def _parameters(cls: type) -> Iterator[str]:
    if "__init__" in vars(cls) and cls is not object:
        yield from inspect.signature(vars(cls)["__init__"]).parameters


def one_line(key: str, value: Any) -> str:
    """Why this value can't be in a line of a job script.

    A line break in it would begin a line of its own, which the shell on the compute node runs.
    """
    if key in SHELL_LINES:
        return ""
    for text in _texts(value):
        if any(map(_breaks_a_line, text)):
            return f"{text!r} has a line break or control character; write it as one plain line"
    return ""


def _breaks_a_line(character: str) -> bool:
    # Cc: control characters; Zl, Zp: Unicode's own separators of lines and paragraphs.
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") and character != "\t"


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, which may be a list or a mapping of them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
