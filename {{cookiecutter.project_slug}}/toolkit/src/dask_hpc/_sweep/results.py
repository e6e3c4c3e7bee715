"""Read the results of a sweep, each when it is used."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from .._output.formatting import format_count
from ..errors import SweepError
from . import payloads
from .payloads import Failure
from .store import Store

if TYPE_CHECKING:
    import pandas as pd


class Results(Sequence[Any]):
    """The results of a sweep, in the order of the inputs.

    A result is read from the folder when it is used, and not kept in memory. In the place of a
    failed input is a `Failure`. Inputs that were not computed yet are left out.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self, store: Store) -> None:
        self.folder: Path = store.folder
        self._store = store
        keys = (store.key(number) for number in range(len(store)))
        self._keys = [key for key in keys if store.location(key) is not None]

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        failed = sum(key in self._store.failures for key in self._keys)
        return f"<Results of {format_count(len(self), 'input')} in {self.folder}, {failed} failed>"

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._read(key)[1] for key in self._keys[index]]
        return self._read(self._keys[index])[1]

    def __iter__(self) -> Iterator[Any]:
        return (self._read(key)[1] for key in self._keys)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Return pairs of an input and its result, without failed inputs.

        Large inputs are not saved: their text is in the place of the input.
        """
        failures = self._store.failures
        return (self._read(key) for key in self._keys if key not in failures)

    @property
    def failed(self) -> list[Failure]:
        """The failed inputs, each with its error and traceback."""
        return list(iterate_failures(self._store))

    def to_pandas(self) -> pd.DataFrame:
        """Return a frame with a row for each input.

        Returns
        -------
        pandas.DataFrame
            The column ``input``; the columns of the results, which are the keys of dicts, or else
            ``result``; and, if an input has failed, ``error``.

        Raises
        ------
        SweepError
            pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise SweepError(
                "to_pandas needs pandas: add it to environment.yml and pyproject.toml, and install "
                "it with `pip install pandas` or `conda install pandas`."
            ) from None
        rows = []
        for key in self._keys:
            value, found = self._read(key)
            row: dict[Any, Any] = {"input": value}
            if isinstance(found, Failure):
                row["error"] = found.error
            elif isinstance(found, dict):
                row.update(found)
            else:
                row["result"] = found
            rows.append(row)
        frame = pd.DataFrame(rows)
        if "error" in frame and any(key in self._store.failures for key in self._keys):
            frame["error"] = frame.pop("error")  # the last column
        return frame

    def _read(self, key: bytes) -> tuple[Any, Any]:
        kind, payload = self._store.read(key)
        try:
            return payloads.read(kind, payload, self.folder)
        except (ImportError, AttributeError, pickle.UnpicklingError) as error:
            raise SweepError(
                f"A result in {self.folder} has an object that this Python cannot read: {error}. "
                "Import or define what it is made of, and install the packages that it needs."
            ) from None


def iterate_failures(store: Store) -> Iterator[Failure]:
    """Yield the failures in a store, in the order of the inputs."""
    for number in range(len(store)):
        if (key := store.key(number)) in store.failures:
            yield payloads.read(*store.read(key), store.folder)[1]
