"""Find files that override keys of the lab's ``jobqueue.yaml``, such as a member's old file.

Dask merges its files key by key, and null is a value: a copy of dask-jobqueue's own file in
``~/.config/dask``, as old versions wrote there, overrides everything that the lab configures.
"""

import os
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from . import files as config_files

# Most keys to list in a message.
MAX_NAMED = 8


def describe_all(
    sections: Collection[str] | None = None, arguments: Collection[str] = ()
) -> dict[Path, str]:
    """Return a message for each file or environment variable that overrides the lab's file.

    The keys are paths, or names of variables as if they were paths.

    Parameters
    ----------
    sections : collection of str, optional
        The sections of ``jobqueue`` to check; by default, all.
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
            name = f"The environment variable {path}" if str(path) in os.environ else path
            found[path] = f"{name} overrides {labs}: {_words(counting)}. {_remedy(path)}"
    return found


def describe_key(section: str, key: str) -> str:
    """Return a message about a key that is null because a file overrides the lab's value."""
    for path, labs, keys in _hidden():
        if (pair := keys.get((section, key))) and pair[0] is None:
            return f"{path} sets null and overrides {labs}, which sets {pair[1]!r}. {_remedy(path)}"
    return ""


def _hidden() -> Iterator[tuple[Path, Path, dict[tuple[str, str], tuple[Any, Any]]]]:
    """Yield file, lab's file, and section and key → (value in the file, value in the lab's)."""
    labs = []  # the lab's files so far, which those after them override
    # Treat variables as files that come last.
    for path, content in [*config_files.files(), *config_files.variables()]:
        theirs = _keys(content)
        if config_files.is_labs(path):
            labs.append((path, theirs))
            continue
        for lab, ours in labs:
            pairs = {key: (value, ours[key]) for key, value in theirs.items() if key in ours}
            pairs = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
            if pairs:
                yield path, config_files.source_file(lab), pairs


def _keys(content: dict[str, Any]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for section, keys in config_files.sections(content):
        found |= {(section, key): value for key, value in keys.items()}
    return found


def _words(keys: dict[tuple[str, str], tuple[Any, Any]]) -> str:
    one = len({section for section, _ in keys}) == 1
    [first, *_] = keys
    shown = [
        f"{key if one else f'{section}.{key}'} is {_shown(here)} (lab: {_shown(there)})"
        for (section, key), (here, there) in keys.items()
    ]
    rest = f" and {len(shown) - MAX_NAMED} more" if len(shown) > MAX_NAMED else ""
    return f"{f'jobqueue.{first[0]}: ' if one else ''}{', '.join(shown[:MAX_NAMED])}{rest}"


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) < 40 else f"{text[:36]} ..."


def _remedy(path: Path) -> str:
    """Return how to make the lab's file take effect."""
    if str(path) in os.environ:
        return f"If this is not intended, run `unset {path}` and restart Python."
    if (named := os.environ.get("DASK_CONFIG")) and (
        Path(named) in (path, path.parent)  # a file, or a folder of them
    ):
        return "If this is not intended, run `unset DASK_CONFIG` and restart Python."
    content = next((content for other, content in config_files.files() if other == path), {})
    if others := [str(key) for key in content if key != "jobqueue"]:
        kept = ", ".join(others)
        return f"If this is not intended, delete its section jobqueue (but keep {kept})."
    return (
        f"If this is not intended, run `mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}` "
        "and restart Python."
    )
