"""The folder of a sweep: what it is called inside, and what the file system refuses."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ..errors import SweepFolderError

PATTERN = "*.shard"
FILES = "files"  # the folder of results with files of their own
LOCK = "sweep.lock"


@contextlib.contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into one line that says what to do."""
    try:
        yield
    except SweepFolderError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "What was saved is kept: free some space, then run the same line again."
        elif isinstance(error, FileExistsError | NotADirectoryError) or not is_sweep(folder):
            advice = "Choose another folder with out=."
        else:
            advice = "What was saved is kept."
        line = f"Cannot save results in {folder}: {error.strerror or error}. {advice}"
        raised = SweepFolderError(line)
        raised.errno = error.errno
        raise raised from None


def is_sweep(folder: Path) -> bool:
    """Return whether a sweep has saved something in a folder."""
    try:
        return any(folder.glob(PATTERN))
    except OSError:
        return False


def create(folder: Path) -> None:
    """Create a sweep's folder if it does not exist.

    It has a `.gitignore`, so that nobody adds results to a project's history by accident.

    Raises
    ------
    SweepFolderError
        The folder cannot be created, or has files of something else.
    """
    with folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if is_sweep(folder):
            return
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others := [name for name in others if name not in (FILES, LOCK)]:
            raise SweepFolderError(
                f"The folder {folder} has other files, such as {others[0]}: choose a folder of its "
                "own for the results, with out=."
            )
        with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x") as file:
            file.write("*\n")
