"""What runs on a worker: the calls of one batch."""

from __future__ import annotations

import functools
import os
import pickle
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import payloads, shards


class LoadError(Exception):
    """A worker cannot load the function or the inputs."""


@dataclass(frozen=True)
class Batch:
    """Calls a function for several inputs, on a worker.

    Attributes
    ----------
    function : bytes
        A pickled function that takes one input.
    limit_s : float
        Seconds after which to stop between two calls, and to return what there is.
    folder : str or None
        Where to write each result into a file of its own; None to return the results.
    code : str
        The digest of the function's code.
    """

    function: bytes
    limit_s: float
    folder: str | None = None
    code: str = ""

    def __call__(self, pickled: bytes) -> bytes:
        """Return, pickled, the kind and payload of each input's record, and the seconds of all.

        Pickled, since Dask would send each payload on its own, which takes 0.2 ms.

        Parameters
        ----------
        pickled : bytes
            A list of pairs: an input's key and the input.
        """
        begin = time.perf_counter()
        try:
            function, inputs = _load(self.function, self.code), pickle.loads(pickled)
        except Exception as error:
            said = " ".join(str(error).split())
            raise LoadError(f"{type(error).__name__}: {said}") from None
        records: list[tuple[bytes, bytes]] = []
        for key, value in inputs:
            records.append(self._call(function, key, value))
            if time.perf_counter() - begin > self.limit_s:
                break
        return pickle.dumps((records, time.perf_counter() - begin), protocol=5)

    def _call(self, function: Callable[..., Any], key: bytes, value: Any) -> tuple[bytes, bytes]:
        begin = time.perf_counter()
        try:
            output = function(value)
            seconds = time.perf_counter() - begin
            if self.folder is not None:
                name = _write(Path(self.folder), f"{key.hex()}-{self.code[:8]}", output)
                return shards.FILE, payloads.result(value, name, seconds)
            return shards.RESULT, payloads.result(value, output, seconds)
        except (Exception, SystemExit) as error:  # sys.exit() would end the worker's thread
            return shards.FAILURE, payloads.failure(value, error, time.perf_counter() - begin)


@functools.lru_cache(maxsize=8)
def _load(function: bytes, code: str) -> Callable[..., Any]:  # noqa: ARG001 - for the cache
    # The pickle of a function that can be imported is its name, also when its code has changed.
    return pickle.loads(function)


def _write(folder: Path, name: str, output: Any) -> str:
    """Write a result into its file, complete or not at all; return its name below the sweep's."""
    folder.mkdir(exist_ok=True)
    path, partial = folder / f"{name}.pickle", folder / f".{name}-{uuid.uuid4().hex}"
    try:
        with partial.open("xb") as file:
            file.write(payloads.dumps(output))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return f"{folder.name}/{path.name}"
