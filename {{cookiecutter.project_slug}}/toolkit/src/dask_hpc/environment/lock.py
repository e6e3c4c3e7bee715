"""The lab's lock: write the one for this kind of environment, and compare it with what is here."""

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from . import conda_lock, requirements_lock
from .packages import INSTALLERS, installed
from .requirements_lock import LockError

# Names of packages in a message.
MAX_NAMED = 6


@dataclass(frozen=True)
class NewLock:
    """A lock that was written.

    Attributes
    ----------
    path : Path
    packages : int
        How many packages it has for this computer.
    note : str
        What whoever commits it should know; mostly empty.
    """

    path: Path
    packages: int
    note: str = ""


def write(project: Path) -> NewLock:
    """Write the lock of this environment into a project's folder.

    Raises
    ------
    LockError
        See `requirements_lock.create` and `conda_lock.create`; or the file cannot be written.
    """
    path = path_in(project)
    if conda_lock.is_conda():
        text = conda_lock.create()
        found, others = conda_lock.read(text), installed_by_pip()
        note = (
            "The lock of a conda environment has no packages that pip installed: "
            f"{shortened(others)}. Add them to environment.yml, under conda's names."
        )
    else:
        text, others = requirements_lock.create(project, installed())
        _, found = requirements_lock.read(text)
        note = (
            f"Also in the lock, though pyproject.toml does not ask for them: {shortened(others)}. "
            "Add them there and to environment.yml, or uninstall them and write the lock again."
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)  # the old lock stays if the disk is full
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LockError(f"cannot write {path}: {error.strerror}") from None
    return NewLock(path, len(found), note if others else "")


def check(project: Path) -> tuple[Path, int]:
    """Return a project's lock, and how many packages it has, if this environment equals it.

    Raises
    ------
    LockError
        There is no lock, or the environment differs; the message says in which packages.
    """
    path = path_in(project)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LockError(f"{path} does not exist: run `dask hpc lock` to write it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"cannot read {path}: {error}") from None
    if conda_lock.is_conda():
        locked, pairs = conda_lock.read(text), {}
        here = dict.fromkeys(installed_by_pip(), "") | conda_lock.read(conda_lock.create())
    else:
        python, locked = requirements_lock.read(text)
        here = installed()
        pairs = {"Python": (requirements_lock.python_version(), python)} if python else {}
    if different := differences(here, locked, pairs):
        raise LockError(
            f"this environment is not that of {path.name}: {shortened(different, '; ')}. Install "
            "from the lock (README.md), or run `dask hpc lock` to make this environment the lab's"
        )
    return path, len(locked)


def path_in(project: Path) -> Path:
    """Return where a project has the lock for this kind of environment."""
    name = conda_lock.file_name() if conda_lock.is_conda() else requirements_lock.FILE_NAME
    return project / name


def differences(
    here: dict[str, str], locked: dict[str, str], pairs: dict[str, tuple[str, str]]
) -> list[str]:
    """Return a phrase for each package that is not as in the lock.

    Parameters
    ----------
    here, locked : dict of str to str
        Versions by name.
    pairs : dict of str to (str, str)
        What else to compare: versions here, and in the lock.
    """
    phrases = [f"{name} {is_} instead of {was}" for name, (is_, was) in pairs.items() if is_ != was]
    for name in sorted(here.keys() | locked.keys()):
        if name not in here:
            phrases.append(f"{name} is missing")
        elif name in locked and here[name] != locked[name]:
            phrases.append(f"{name} {here[name]} instead of {locked[name]}")
        elif name not in locked and name not in INSTALLERS:
            phrases.append(f"{name} is not in the lock")
    return phrases


def installed_by_pip() -> list[str]:
    """Return the packages that pip or uv installed, sorted, without those from a folder."""
    by_pip = {
        canonicalize_name(package.metadata["Name"] or "")
        for package in importlib.metadata.distributions()
        if (package.read_text("INSTALLER") or "").strip() in ("pip", "uv")
    }
    return sorted(by_pip & installed().keys() - INSTALLERS)


def shortened(names: list[str], separator: str = ", ") -> str:
    """Return the first of many names or phrases, and how many are left out."""
    left = len(names) - MAX_NAMED
    shown = separator.join(names[:MAX_NAMED])
    return f"{shown}{separator}and {left} more" if left > 0 else shown
