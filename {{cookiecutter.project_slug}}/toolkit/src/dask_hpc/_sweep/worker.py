"""What runs on a worker: the calls of one batch."""

from __future__ import annotations

import functools
import math
import os
import pickle
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import payloads, shards
from .identity import bytecode_digest, split_partial


class LoadError(Exception):
    """A worker cannot load the function or the inputs."""


class StaleCodeError(Exception):
    """A worker has another version of the function than the program."""


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
    bytecode : tuple or None
        The function's `bytecode_digest` in the process that sends it.
    """

    function: bytes
    limit_s: float = math.inf
    folder: str | None = None
    code: str = ""
    bytecode: tuple[bytes, str] | None = None

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
            function, inputs = _load(self.function, self.code, self.bytecode), pickle.loads(pickled)
        except StaleCodeError:
            raise
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
def _load(
    function: bytes,
    code: str,  # noqa: ARG001 - for the cache: a pickle of what can be imported is only its name
    bytecode: tuple[bytes, str] | None,
) -> Callable[..., Any]:
    loaded = pickle.loads(function)
    own = bytecode_digest(split_partial(loaded, {})[0])
    # Only Pythons of the same version have the same bytecode for the same code.
    if bytecode is not None and own is not None and bytecode[0] == own[0] and bytecode != own:
        raise StaleCodeError
    return loaded


def _write(folder: Path, name: str, output: Any) -> str:
    """Write a result into its file, complete or not at all; return its name below the sweep's."""
    folder.mkdir(exist_ok=True)
    path, partial = folder / f"{name}.pickle", folder / f".{name}-{uuid.uuid4().hex}"
    try:
        with partial.open("xb") as file:
            file.write(payloads.dump_result(output))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return f"{folder.name}/{path.name}"
