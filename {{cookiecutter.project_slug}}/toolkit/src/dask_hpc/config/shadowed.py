"""Files that go before the lab's ``jobqueue.yaml`` and hide keys of it, such as a member's old one.

Dask joins its files key by key, and null is a value: a copy of dask-jobqueue's own file in
``~/.config/dask``, which an old version of it wrote there, hides all that the lab says.
"""

import os
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from . import files as config_files

# More keys than that are not listed.
MAX_NAMED = 8


def describe_all(
    sections: Collection[str] | None = None, arguments: Collection[str] = ()
) -> dict[Path, str]:
    """Return what hides keys of the lab's file, and one line on what to do about each.

    That is a file, or an environment variable, as if its name were a file's.

    Parameters
    ----------
    sections : collection of str, optional
        The sections of ``jobqueue`` that matter; default: all.
    arguments : collection of str
        Arguments that take precedence over all files.
    """
    found = {}
    for path, labs, keys in _hidden():
        counting = {
            (section, key): pair
            for (section, key), pair in keys.items()
            if (sections is None or section in sections) and key.replace("-", "_") not in arguments
        }
        if counting:
            name = f"The variable {path}" if str(path) in os.environ else path
            found[path] = f"{name} goes before {labs}, {_words(counting)}. {_remedy(path)}"
    return found


def describe_key(section: str, key: str) -> str:
    """Return what to do about a key that is null because a file hides the lab's value."""
    for path, labs, keys in _hidden():
        if (pair := keys.get((section, key))) and pair[0] is None:
            return f"{path} says null, and goes before {labs} with {pair[1]!r}. {_remedy(path)}"
    return ""


def _hidden() -> Iterator[tuple[Path, Path, dict[tuple[str, str], tuple[Any, Any]]]]:
    """Yield file, lab's file, and section and key → (value in the file, value in the lab's)."""
    # Variables count as if they were files, the last ones.
    files = [*config_files.files(), *config_files.variables()]
    labs = [(at, path) for at, (path, _) in enumerate(files) if config_files.is_labs(path)]
    for at, (path, content) in enumerate(files):
        if config_files.is_labs(path):
            continue
        for lab, lab_path in labs:
            if lab > at:
                continue
            theirs, ours = _keys(content), _keys(files[lab][1])
            pairs = {key: (value, ours[key]) for key, value in theirs.items() if key in ours}
            pairs = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
            if pairs:
                yield path, config_files.source_file(lab_path), pairs


def _keys(content: dict[str, Any]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for section, keys in config_files.sections(content):
        found |= {(section, key): value for key, value in keys.items()}
    return found


def _words(keys: dict[tuple[str, str], tuple[Any, Any]]) -> str:
    one = len({section for section, _ in keys}) == 1
    [first, *_] = keys
    shown = [
        f"{key if one else f'{section}.{key}'} is {_shown(here)} (there {_shown(there)})"
        for (section, key), (here, there) in keys.items()
    ]
    rest = f" and {len(shown) - MAX_NAMED} more" if len(shown) > MAX_NAMED else ""
    return f"{f'jobqueue.{first[0]}: ' if one else ''}{', '.join(shown[:MAX_NAMED])}{rest}"


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) < 40 else f"{text[:36]} ..."


def _remedy(path: Path) -> str:
    """Return how to make the lab's file count."""
    if str(path) in os.environ:
        return f"If that is not meant: `unset {path}`, and start Python again."
    if (named := os.environ.get("DASK_CONFIG")) and (
        Path(named) in (path, path.parent)  # a file, or a folder of them
    ):
        return "If that is not meant: `unset DASK_CONFIG`, and start Python again."
    content = next((content for other, content in config_files.files() if other == path), {})
    if others := [str(key) for key in content if key != "jobqueue"]:
        kept = ", ".join(others)
        return f"If that is not meant, delete its section jobqueue (and keep {kept})."
    return (
        f"If that is not meant: `mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}`, and "
        "start Python again."
    )
