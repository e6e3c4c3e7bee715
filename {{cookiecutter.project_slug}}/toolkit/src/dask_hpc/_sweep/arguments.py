"""Check what users pass to `sweep`, before anything is created."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import distributed

from ..errors import SweepError
from . import payloads
from .identity import FILE_CHECKS, function_name, split_partial

CHOICES = {
    "changed": ("refuse", "rerun", "keep"),
    "files": FILE_CHECKS,
    "results": ("shards", "files"),
}


@dataclass(frozen=True)
class Options:
    """The options of a sweep, which `api.Sweep` describes."""

    client: distributed.Client | None = None
    jobs: int | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    retry_failed: bool = False
    changed: str = "refuse"
    files: str = "time"
    results: str = "shards"
    progress: bool = True

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                known = ", ".join(f'"{choice}"' for choice in choices)
                raise SweepError(f"{name} has to be one of {known}, not {value!r}.")
        if self.jobs is not None and (not isinstance(self.jobs, int) or self.jobs < 1):
            raise SweepError(f"jobs has to be a positive integer, not {self.jobs!r}.")


def check_function(
    function: Callable[..., Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the function, without partials around it, and the arguments of each call.

    Raises
    ------
    SweepError
        The function cannot be called with one input and these arguments.
    """
    if not callable(function):
        raise SweepError(
            f"The first argument has to be a function, not {payloads.label(function)}: "
            "sweep(function, inputs)."
        )
    base, arguments, keywords = split_partial(function, kwargs)
    if inspect.iscoroutinefunction(base):
        raise SweepError(f"{function_name(base)} is an `async def` function: write it with `def`.")
    try:
        inspect.signature(base).bind(*arguments, None, **keywords)
    except TypeError as error:
        raise SweepError(
            f"{function_name(base)} is called with one input"
            f"{' and the keyword arguments ' + ', '.join(keywords) if keywords else ''}, but: "
            f"{error}. Pass other arguments in kwargs, or let each input be a tuple."
        ) from None
    except ValueError:
        pass  # a builtin without a signature
    return base, arguments, keywords


def check_inputs(inputs: Any) -> tuple[int | None, Iterator[Any]]:
    """Return the number of inputs, None if it is unknown, and an iterator.

    Raises
    ------
    SweepError
        There are no inputs.
    """
    if isinstance(inputs, str | bytes | Path):
        raise SweepError(
            f"inputs has to be a list, not {inputs!r}. For files: "
            'sorted(pathlib.Path("data").glob("*.nc")).'
        )
    try:
        iterator = iter(inputs)
    except TypeError:
        raise SweepError(
            f"inputs has to be a list or a generator, not {type(inputs).__name__}."
        ) from None
    try:
        first = next(iterator)
    except StopIteration:
        raise SweepError("There are no inputs: the list is empty.") from None
    total = len(inputs) if hasattr(inputs, "__len__") else None
    return total, itertools.chain([first], iterator)
