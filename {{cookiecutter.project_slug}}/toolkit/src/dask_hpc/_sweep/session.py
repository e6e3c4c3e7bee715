"""One call of `sweep`: from the arguments to the summary."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import SweepChangedError
from . import payloads, pickling
from .arguments import Options, check_function, check_inputs
from .display import MAX_NAMED, Display
from .folder import FILES, create, folder_errors
from .identity import InputKeys, bytecode_digest, check_is_current, code_digest, function_name
from .intake import Intake, Saved
from .interrupts import Interrupts
from .lock import FolderLock
from .results import iterate_failures
from .run import Run
from .store import Session, Store, StoreWriter, last_session, load, new_session
from .worker import Batch


class SweepSession:
    """A sweep whose arguments are checked. Its folder is locked while it runs.

    Parameters
    ----------
    function, inputs, out
        As `api.Sweep` takes them.
    options : Options
    returns_saved : bool
        Whether `pairs` yields results of earlier runs, too.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Iterable[Any],
        out: Path,
        options: Options,
        returns_saved: bool = False,
    ) -> None:
        base, arguments, keywords = check_function(function, options.kwargs)
        check_is_current(base)
        self._total, self._inputs = check_inputs(inputs)
        self._name, self._code = function_name(base), code_digest(base)
        self._keys = InputKeys(arguments, keywords, options.files)
        call = functools.partial(base, *arguments, **keywords) if arguments or keywords else base
        self._batch = Batch(
            pickling.dump_function(call, self._name),
            folder=str((out / FILES).absolute()) if options.results == "files" else None,
            code=self._code,
            bytecode=bytecode_digest(base),
        )
        self._options = options
        self._returns_saved = returns_saved
        self.store = Store(out)

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Run, and yield each input with its result."""
        for saved in self.steps():
            for (_, value), kind, payload in saved:
                yield value, payloads.read(kind, payload, self.store.folder)[1]

    def steps(self) -> Iterator[list[Saved]]:
        """Run, and yield what `Run.steps` yields."""
        folder, run = self.store.folder, None
        lock = FolderLock(folder)
        create(folder)
        with folder_errors(folder):
            lock.acquire()
        display = Display(self._options.progress)
        with contextlib.ExitStack() as stack:
            interrupts = stack.enter_context(Interrupts())
            stack.callback(lock.release)
            stack.callback(display.close)
            try:
                accepted = self._accepted(last_session(folder))
                versions = (self._code, *accepted)
                self.store = load(folder, verify=True, versions=versions)
                session = new_session(self._name, self._code, accepted, self._total)
                writer = StoreWriter(self.store, session)
                stack.callback(writer.close)
                intake = Intake(
                    writer,
                    self._keys,
                    self._inputs,
                    self._total,
                    self._options.retry_failed,
                    self._returns_saved,
                )
                run = Run(writer, lock, intake, self._batch, self._options, display)
                for saved in run.steps():
                    interrupts.raise_lost()
                    yield saved
                    interrupts.forget()
            except KeyboardInterrupt:
                progress = f" {run.progress()}" if run is not None else ""
                raise KeyboardInterrupt(
                    f"Sweep interrupted.{progress} Run the same line again to go on."
                ) from None
        failures = [str(it) for it in itertools.islice(iterate_failures(self.store), MAX_NAMED)]
        display.end(run.counts, str(folder), failures)

    def _accepted(self, last: Session | None) -> list[str]:
        """Return the digests of earlier versions whose results count as well.

        Raises
        ------
        SweepChangedError
            The folder has results of another version, and the user has not said what to do.
        """
        name, changed = self._name, self._options.changed
        if last is None:
            return []
        if self._code == last.code and name == last.function:
            return last.accepted
        if changed == "keep":
            return list(dict.fromkeys([*last.accepted, last.code]))
        if last.function != name:
            raise SweepChangedError(
                f"The folder {self.store.folder} has results of {last.function}, not of {name}: "
                "choose another folder with out=. If it is the same function under another name, "
                'pass changed="keep".'
            )
        if changed == "rerun":
            return []
        raise SweepChangedError(
            f"The folder {self.store.folder} has results of an earlier version of {name}, whose "
            'code has changed. Pass changed="rerun" to compute them again, or changed="keep" to '
            "keep them and compute only what is missing"
            + (", such as the failed inputs." if self._options.retry_failed else ".")
        )
