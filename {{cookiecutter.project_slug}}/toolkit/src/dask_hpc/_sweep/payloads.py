"""What a record of an input contains: a dict about the input, and its result or failure.

Both are pickles, one after the other, so that plain Python can read them. Workers form payloads,
and the client saves them as they are.
"""

from __future__ import annotations

import io
import pickle
import reprlib
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from . import shards

# An input is saved, besides its label, if its pickle is at most this large.
MAX_INPUT_BYTES = 1024
MAX_LABEL = 300  # characters

_labels = reprlib.Repr()
_labels.maxstring = _labels.maxother = 200
_labels.maxlist = _labels.maxtuple = _labels.maxdict = 6


@dataclass(frozen=True)
class Failure:
    """An input whose call raised an exception.

    Attributes
    ----------
    input : object
        The input; its text if it was too large to be saved.
    error : str
        Class and message of the exception, in one line.
    traceback : str
        The traceback, as Python prints it.
    """

    input: Any
    error: str
    traceback: str

    def __str__(self) -> str:
        return f"{label(self.input)}: {self.error}"


def label(value: Any) -> str:
    """Return a short text for an input."""
    text = str(value) if isinstance(value, str | Path) else _labels.repr(value)
    return text if len(text) <= MAX_LABEL else f"{text[:MAX_LABEL]}…"


def dumps(value: Any) -> bytes:
    """Pickle a value, also one whose class is defined in a notebook or script."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # whatever the object's own methods raise
        return cloudpickle.dumps(value, protocol=5)


def result(value: Any, output: Any, seconds: float) -> bytes:
    """Return the payload of a result."""
    return _about(value, seconds) + dump_result(output)


def dump_result(output: Any) -> bytes:
    """Pickle what a call has returned.

    Raises
    ------
    TypeError
        It cannot be pickled.
    """
    try:
        return dumps(output)
    except Exception as error:  # whatever the object's own methods raise
        said = " ".join(str(error).split())
        name = type(output).__name__
        raise TypeError(f"the result, a {name}, cannot be saved: {said}") from None


def failure(value: Any, error: BaseException, seconds: float) -> bytes:
    """Return the payload of a failure."""
    # The first frame is the toolkit's own.
    shown = error.__traceback__ and error.__traceback__.tb_next
    lines = traceback.format_exception(type(error), error, shown)
    said = "".join(traceback.format_exception_only(error)).split()
    about = {"error": " ".join(said), "traceback": "".join(lines)}
    return _about(value, seconds) + pickle.dumps(about, protocol=5)


def _about(value: Any, seconds: float) -> bytes:
    try:
        pickled = dumps(value)
    except Exception:
        pickled = b""
    about = {"label": label(value), "seconds": seconds}
    if 0 < len(pickled) <= MAX_INPUT_BYTES:
        about["input"] = pickled
    return pickle.dumps(about, protocol=5)


def read(kind: bytes, payload: bytes, folder: Path) -> tuple[Any, Any]:
    """Return the input, or its label, and the result.

    The result is a `Failure` for a failed input, and a path for a result in a file of its own.
    """
    stream = io.BytesIO(payload)
    about = pickle.load(stream)
    value = pickle.loads(about["input"]) if "input" in about else about["label"]
    found = pickle.load(stream)
    if kind == shards.FAILURE:
        return value, Failure(value, found["error"], found["traceback"])
    if kind == shards.FILE:
        return value, folder / found
    return value, found
