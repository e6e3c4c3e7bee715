"""`dask_hpc.sweep`: what users call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import distributed

from ..errors import SweepError
from .arguments import Options
from .results import Results
from .session import SweepSession
from .status import Status, nothing_saved, read_status
from .store import load


class Sweep:
    """Run a function for many inputs on workers, and save each result as it comes.

    ``sweep(function, inputs)`` returns the results in the order of the inputs. When the same line
    runs again, it computes only what is missing. An input whose call raises an exception is kept
    with its traceback, and the others go on.

    Parameters
    ----------
    function : callable
        Takes one input. It is recognized by its name and its own code; a change in what it calls
        or imports is not noticed.
    inputs : iterable
        A list, or a generator, which may be of any length. Inputs are recognized by their value,
        and equal ones are computed once; files that are given as `pathlib.Path`, by path, size, and
        time of change.
    out : str or Path
        The folder for the results. It is created if necessary, and belongs to one function.
    client : distributed.Client, optional
        Whose workers compute. Default: the client that the program has created last, or else a new
        cluster for this call, from the lab's configuration.
    jobs : int, optional
        Number of jobs of a new cluster. Default: 1; all nodes in a job of ``dask hpc run``; all
        cores of a computer without a batch system.
    kwargs : dict, optional
        Keyword arguments of each call.
    retry_failed : bool
        Whether to compute failed inputs again.
    changed : {"refuse", "rerun", "keep"}
        What to do if the folder has results of an earlier version of the function: raise an error,
        compute all of them again, or keep them and compute what is missing.
    files : {"time", "hash"}
        Whether to recognize files by size and time of change, or by their content, which reads
        them.
    results : {"shards", "files"}
        Whether results come to this process and are saved together, or each worker writes each
        result into a file of its own (a pickle) and the result is its path. Use "files" for
        results of hundreds of megabytes; workers have to see the folder.
    progress : bool
        Whether to show how far the sweep is, and a summary.

    Returns
    -------
    Results
        A sequence that reads a result when it is used. It has a `Failure` in the place of a failed
        input.

    Raises
    ------
    SweepChangedError
        The folder has results of another function, or of an earlier version of this one.
    SweepInUseError
        Another process is saving results in the folder.
    SweepFolderError
        The folder cannot be written, or the disk is full.
    SweepError
        A parameter is wrong, or the sweep cannot go on. In all cases, what was saved is kept.

    Notes
    -----
    Results are pickles. Reading them runs code that they contain, so read only folders of people
    that you trust.
    """

    def __call__(
        self,
        function: Callable[..., Any],
        inputs: Iterable[Any],
        out: str | Path = "results",
        *,
        client: distributed.Client | None = None,
        jobs: int | None = None,
        kwargs: Mapping[str, Any] | None = None,
        retry_failed: bool = False,
        changed: str = "refuse",
        files: str = "time",
        results: str = "shards",
        progress: bool = True,
    ) -> Results:
        """Run a function for many inputs; the class describes the parameters."""
        options = Options(
            client, jobs, kwargs or {}, retry_failed, changed, files, results, progress
        )
        session = SweepSession(function, inputs, Path(out), options)
        for _ in session.steps():
            pass
        return Results(session.store)

    def as_completed(
        self,
        function: Callable[..., Any],
        inputs: Iterable[Any],
        out: str | Path = "results",
        **options: Any,
    ) -> Iterator[tuple[Any, Any]]:
        """Run a function for many inputs, and yield each result as soon as it is saved.

        Results of earlier runs come first. The sweep goes on while the caller takes results, and
        ends with the loop.

        Parameters
        ----------
        function, inputs, out, **options
            As for ``sweep``.

        Yields
        ------
        input, result : object
            The result is a `Failure` if the call has failed.
        """
        session = SweepSession(function, inputs, Path(out), Options(**options), returns_saved=True)
        return session.pairs()

    def results(self, out: str | Path = "results") -> Results:
        """Return the results in a folder, also while a sweep is running.

        Parameters
        ----------
        out : str or Path
            The folder.

        Returns
        -------
        Results
            Those of the last sweep's inputs, in their order.

        Raises
        ------
        SweepError
            The folder has no results, or cannot be read.
        """
        store = load(Path(out))
        if store.session is None:
            raise SweepError(nothing_saved(store.folder))
        return Results(store)

    def status(self, out: str | Path = "results") -> Status:
        """Return how far the sweep in a folder is.

        Parameters
        ----------
        out : str or Path
            The folder.

        Returns
        -------
        Status
            Numbers of inputs, the first failures, and who is computing; ``print`` shows it in
            words.

        Raises
        ------
        SweepError
            The folder has no results, or cannot be read.
        """
        return read_status(out)


sweep = Sweep()
