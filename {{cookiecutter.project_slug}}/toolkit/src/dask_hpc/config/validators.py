"""Checks of single values of ``jobqueue.yaml``.

Each check returns what is wrong, in words that follow the key's name; empty if the value is valid.
The template's pre_gen hook makes the same checks; ``tests/toolkit/answers.yaml`` is a table that
both are tested against.
"""

import contextlib
import datetime
import difflib
import inspect
import math
import numbers
import operator
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dask.utils import format_bytes, parse_bytes, parse_timedelta

from . import accounts

# A job runs on one node, and this is the most that Linux supports (CONFIG_NR_CPUS of the kernel).
MAX_CORES = 8192
# Per process: an idle worker uses 75 MiB, and a worker pauses at 80 % of its limit.
MIN_MEMORY_BYTES = 100 * 2**20
MAX_MEMORY_BYTES = 2**52  # what an x86-64 processor can address
AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]+)?[ \t]*(?:[KMGTP](?:iB|B)?|B)?", re.IGNORECASE)
# Names that Linux allows (15 bytes, no white space or slash) and that need no quoting in a shell:
# the name is a word of the worker command.
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,14}")
# Linux's NAME_MAX.
MAX_FILE_NAME_BYTES = 255
# Not `fork`, which would copy a nanny while its threads are running.
START_METHODS = ("forkserver", "spawn")


def as_number(value: Any) -> float | int | None:
    """Convert a number of any library to a Python number; return None if it is not a number."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":  # NumPy's
        return None
    with contextlib.suppress(TypeError):
        return operator.index(value)
    return float(value) if isinstance(value, numbers.Real) else None


def as_whole_number(value: Any) -> int | None:
    """Convert a whole number, which may be written as ``2.0``, to int; None if it is not one."""
    found = as_number(value)
    return int(found) if found is not None and float(found).is_integer() else None


def check_count(value: Any) -> str:
    """Return what is wrong with the number of cores or processes of one job."""
    found = as_whole_number(value)
    if found is None or found < 1:
        return f"must be an integer, 1 or more, not {value!r}"
    if found > MAX_CORES:
        return f"must be for one job on one node, {MAX_CORES} at most, not {value}"
    return ""


def check_non_negative_int(value: Any) -> str:
    """Return what is wrong with a number that may be 0."""
    found = as_whole_number(value)
    if found is None or found < 0:
        return f"must be an integer, 0 or more, not {value!r}"
    return ""


def check_amount(value: Any) -> str:
    """Return what is wrong with a number of workers, jobs, or cores, which need not be whole."""
    found = as_number(value)
    if found is None or not 0 <= found < math.inf:
        return f"must be a number, 0 or more, not {value!r}"
    return ""


def check_start_method(value: Any) -> str:
    """Return what is wrong with a start method of worker processes."""
    return "" if value in START_METHODS else f"must be forkserver or spawn, not {value!r}"


def check_flag(value: Any) -> str:
    """Return what is wrong with a truth value."""
    return "" if isinstance(value, bool) else f"must be true or false, not {value!r}"


def check_memory(value: Any, processes: int = 1) -> str:
    """Return what is wrong with the memory of a job with this number of processes."""
    if line := check_memory_amount(value):
        return line
    if isinstance(value, str) and not AMOUNT.fullmatch(value):
        return f'{value!r}: use a number and a unit, such as "16 GiB"'
    size = parse_bytes(memory_text(value))
    if size < processes * MIN_MEMORY_BYTES:
        return (
            f"{value} is too small: use at least {processes * MIN_MEMORY_BYTES // 2**20} MiB, "
            "100 MiB for each process"
        )
    if size > MAX_MEMORY_BYTES:
        return f"{value} is too large for a job on one node: no node has more than 4096 TiB"
    return ""


def check_memory_amount(value: Any) -> str:
    """Return why this is not a valid amount of memory."""
    text = memory_text(value)
    try:
        size = parse_bytes(text)
        if size <= 0 or isinstance(value, bool):
            return f"memory must be more than 0, not {value}"
    except (ValueError, TypeError, OverflowError, AttributeError):
        return f'{value!r} is not an amount of memory; use a form such as "16 GiB"'
    if size < MIN_MEMORY_BYTES and (not isinstance(value, str) or not re.search("[A-Za-z]", value)):
        # Dask reads a bare number as bytes, but 16 is hardly meant as 16 bytes.
        return f'{value!r} has no unit; use a form such as "16 GiB"'
    return ""


def memory_text(value: Any) -> Any:
    """Return an amount of memory as text if it is a number of bytes; otherwise unchanged."""
    size = as_number(value)
    if size is None or not math.isfinite(size):
        return value
    text = format_bytes(int(size))
    return text if parse_bytes(text) == int(size) else f"{int(size)} B"


def as_seconds(value: Any) -> float | None:
    """Return a time in seconds, given a number of seconds or text; None if it is not a time."""
    size = as_number(value)
    try:
        found: float = parse_timedelta(value if size is None else size, "s")
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return found


def check_duration(value: Any) -> str:
    """Return what is wrong with a time such as "30 minutes"; 0 means never."""
    is_bare = isinstance(value, str) and re.search("[A-Za-z]", value) is None
    seconds = None if is_bare else as_seconds(value)
    if seconds == 0 or (as_number(value) is None and seconds is not None and seconds > 0):
        return ""
    return f'must be a time with a unit, such as "30 minutes", not {value!r}'


def check_seconds(value: Any) -> str:
    """Return what is wrong with a time, which may be a number of seconds."""
    return "" if (as_seconds(value) or 0) > 0 else f"must be a time in seconds, not {value!r}"


def check_interface(value: Any) -> str:
    """Return what is wrong with the name of a network interface."""
    if isinstance(value, str) and INTERFACE.fullmatch(value):
        return ""
    return f"must be a name that `ip address` lists, such as ib0 or eth0, not {value!r}"


def clean_job_name(name: str) -> str:
    """Return a job name without characters that are invalid in a job script or a file name."""
    return re.sub(r"[\s/\\'\"]+", "-", name.strip())


def clean_cluster_name(name: str) -> str:
    """Return a cluster name that can be part of its workers' names on a command line.

    Keeps variables and commands, which the job's shell expands: ``run-${SLURM_ARRAY_TASK_ID}``.
    """
    filled_in, other = r"\$\([^()]*\)|\$", r"[\s|&;<>()`'\"\\]+"
    return re.sub(f"({filled_in})|{other}", lambda match: match[1] or "-", name.strip())


def check_folder(value: Any) -> str:
    """Return what is wrong with the name of a folder."""
    if isinstance(value, str | os.PathLike) and str(value).strip():
        return ""
    return f"must be the name of a folder, not {value!r}"


def check_group(value: Any) -> str:
    """Return why this is not the name of a Unix group of this computer."""
    try:
        accounts.group_id(value)
    except (KeyError, TypeError, ValueError):
        return f"must be the name of a group that exists here (`getent group`), not {value!r}"
    return ""


def check_scheduler_options(value: Any) -> str:
    """Return what is wrong with the arguments for Dask's scheduler."""
    if not isinstance(value, dict):
        return f'must be a mapping, such as {{"dashboard_address": ":8787"}}, not {value!r}'
    if value.get("interface") is not None and (line := check_interface(value["interface"])):
        return f"interface {line}"
    from distributed import Scheduler  # slow to import, and needed only here

    known = parameters(*Scheduler.__mro__)
    for name in value:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            return f"{name}: not an argument of Dask's scheduler{meant}"
    return ""


def parameters(*classes: type) -> set[str]:
    """Return the names of the arguments of these classes, not including those of their bases."""
    own = [vars(cls)["__init__"] for cls in classes if "__init__" in vars(cls)]
    found = {name for function in own for name in inspect.signature(function).parameters}
    return found - {"self", "args", "kwargs", "job_kwargs", "base_class_kwargs"}


def check_text(value: Any) -> str:
    """Return why this is not text; a list would get into the job script with its brackets."""
    if isinstance(value, list | tuple | set | dict):
        return f"must be a single text, not {value!r}" if value else ""
    # YAML turns text that looks like a number, truth value, or date into one.
    if isinstance(value, str | int | numbers.Number | datetime.date | os.PathLike):
        return ""
    return f"must be text, not {value!r}"


def check_texts(value: Any, items: tuple[type, ...] = (str,)) -> str:
    """Return why this is not a list of texts; dask-jobqueue would split text into letters."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return f"must be a list, not {value!r}"
    for item in value:
        if not isinstance(item, items) or isinstance(item, bool):
            return f"{item!r} is not text; put it in quotes"
    return ""


def check_words(value: Any) -> str:
    """Return why this is not a list of options, whose values may be numbers."""
    return check_texts(value, (str, numbers.Real))


def as_words(value: Iterable[Any]) -> list[str]:
    """Return a list of options as texts."""
    return [word if as_number(word) is None else str(word) for word in value]


def check_directives(value: Any) -> str:
    """Return why these directives, a list or a mapping, are invalid for any batch system."""
    return check_texts(value) if isinstance(value, list | tuple) else ""


def check_single_line(value: Any) -> str:
    """Return why this value cannot be part of a line of a job script.

    After a line break in it, the shell on the compute node would run the rest as a command.
    """
    for text in _texts(value):
        if any(map(_breaks_a_line, text)):
            return f"{text!r} has a line break or control character; write it on one line"
    return ""


def _breaks_a_line(character: str) -> bool:
    # Cc: control characters; Zl, Zp: Unicode's own separators of lines and paragraphs.
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") and character != "\t"


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value, which may be a list or a mapping."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
