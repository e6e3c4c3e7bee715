"""Turn the function and the inputs into bytes, or say which part of them prevents it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cloudpickle

from .._output import messages
from ..errors import SweepError
from .payloads import label

LARGE_BYTES = 10 * 2**20


def dump_function(function: Callable[..., Any], name: str) -> bytes:
    """Return a pickled function.

    Raises
    ------
    SweepError
        It cannot be pickled; the message names the part.
    """
    try:
        found = cloudpickle.dumps(function, protocol=5)
    except Exception as error:
        part = _obstacle(function) or "The function"
        said = " ".join(str(error).split())
        raise SweepError(
            f"{name} cannot be sent to workers. {part} cannot be pickled ({said}). Create it "
            "inside the function instead."
        ) from None
    if len(found) > LARGE_BYTES:
        messages.warning(
            f"{name} carries {len(found) / 2**20:.0f} MiB of data, which is sent with every batch "
            "of inputs. Let the function read the data from a file instead."
        )
    return found


def dump_inputs(inputs: Sequence[tuple[bytes, Any]]) -> bytes:
    """Return a pickled list of keys and inputs.

    Raises
    ------
    SweepError
        An input cannot be pickled.
    """
    try:
        return cloudpickle.dumps(inputs, protocol=5)
    except Exception as error:
        value = next((value for _, value in inputs if not _can_pickle(value)), None)
        said = " ".join(str(error).split())
        raise SweepError(
            f"The input {label(value)} (of type {type(value).__name__}) cannot be sent to workers "
            f"({said}). Pass what it is made from, such as a file name."
        ) from None


def _can_pickle(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True


def _obstacle(function: Any) -> str | None:
    """Return the part of a function that cannot be pickled, as the beginning of a sentence."""
    for what, value in _parts(function):
        if not _can_pickle(value):
            inner = _obstacle(value) if callable(value) else None
            return inner or f"{what} (of type {type(value).__name__})"
    return None


def _parts(function: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(function, functools.partial):
        yield "Its function", function.func
        for number, value in enumerate(function.args, 1):
            yield f"Argument {number}", value
        for name, value in function.keywords.items():
            yield f"The argument `{name}`", value
    elif inspect.ismethod(function):
        for name, value in getattr(function.__self__, "__dict__", {}).items():
            yield f"The attribute `{name}` of its {type(function.__self__).__name__}", value
    elif inspect.isfunction(function):
        found = inspect.getclosurevars(function)
        for name, value in {**found.nonlocals, **found.globals}.items():
            if value is not function:
                yield f"The variable `{name}`", value
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not parameter.empty:
                yield f"The default of `{name}`", parameter.default
    else:
        for name, value in getattr(function, "__dict__", {}).items():
            yield f"The attribute `{name}`", value
