"""The keys of ``jobqueue.yaml``: the type, checks, and documentation of each.

Arguments, files, profiles, `lint`, the JSON Schema for editors, and the reference page all use this
table. Its data is in ``fields.toml``.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import batch as batch_systems
from . import validators

SECTION = "dask-hpc"


@dataclass(frozen=True)
class Kind:
    """The kind of a key's values.

    Attributes
    ----------
    check : callable
        Returns why a value is invalid, in words that follow the key's name; empty if it is valid.
    schema : mapping
        The same check as a JSON Schema, for editors.
    parse : callable
        Converts a valid value to an argument for dask-jobqueue, which would not parse the value, or
        not everywhere.
    is_shell : bool
        Whether the value holds lines of shell code. Other values become part of one line of the
        script.
    type : str
        The type as written in docstrings.
    """

    type: str
    check: Callable[[Any], str]
    schema: Mapping[str, Any]
    parse: Callable[[Any], Any] | None = None
    is_shell: bool = False


@dataclass(frozen=True)
class Field:
    """A key, with its row of ``fields.toml``; if `default` is None, dask-jobqueue's applies."""

    key: str
    kind: Kind
    goes_to: str
    doc: str
    default: Any = None
    may_be_blank: bool = False
    never_null: bool = False

    def problem(self, value: Any) -> str:
        """Return why this value is invalid; empty if it is valid."""
        line = self.kind.check(value)
        return line or ("" if self.kind.is_shell else validators.check_single_line(value))


def _check_batch_system(value: Any) -> str:
    try:
        batch_systems.get(value)
    except KeyError as error:
        return str(error.args[0])
    return ""


_WHOLE, _TEXT = {"type": "integer"}, {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_WORDS = {"type": "array", "items": {"type": ["string", "number"]}}
_SECONDS = {"type": ["number", "string"], "exclusiveMinimum": 0, "minLength": 1}
_COUNT = {**_WHOLE, "minimum": 1, "maximum": validators.MAX_CORES}
_MEMORY = {**_TEXT, "pattern": r"^\s*[0-9.]+\s*[A-Za-z]+\s*$", "examples": ["16 GiB"]}
_INTERFACE = {**_TEXT, "pattern": f"^({validators.INTERFACE.pattern})?$"}

# The schemas are stricter than the checks in one respect: text must be quoted if YAML reads it as
# something else, even if the job script would be the same, as for `account: 123`.
KINDS = {
    "text": Kind("str", validators.check_text, _TEXT),
    "count": Kind("int", validators.check_count, _COUNT, validators.as_whole_number),
    "memory": Kind("str", validators.check_memory_amount, _MEMORY, validators.memory_text),
    "seconds": Kind(
        "float, str or timedelta", validators.check_seconds, _SECONDS, validators.as_seconds
    ),
    "interface": Kind("str", validators.check_interface, _INTERFACE),
    "folder": Kind("str", validators.check_folder, {**_TEXT, "minLength": 1}),
    "texts": Kind("list of str", validators.check_texts, _TEXTS, list),
    "shell": Kind("list of str", validators.check_texts, _TEXTS, list, is_shell=True),
    "words": Kind("list of str", validators.check_words, _WORDS, validators.as_words),
    "directives": Kind(
        "list of str, or dict for HTCondor", validators.check_directives, _TEXTS
    ),  # a mapping for HTCondor
    "options": Kind("dict", validators.check_scheduler_options, {"type": "object"}),
    "flag": Kind("bool", validators.check_flag, {"type": "boolean"}),
    "duration": Kind("str", validators.check_duration, {**_TEXT, "examples": ["30 minutes"]}),
    "number": Kind("int", validators.check_non_negative_int, {**_WHOLE, "minimum": 0}),
    "start-method": Kind(
        "str", validators.check_start_method, {**_TEXT, "enum": [*validators.START_METHODS]}
    ),
    "group": Kind("str", validators.check_group, {**_TEXT, "minLength": 1}),
    "batch-system": Kind(
        "str", _check_batch_system, {**_TEXT, "enum": [*batch_systems.BATCH_SYSTEMS]}
    ),
}


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _read(section: str) -> dict[str, Field]:
    rows = _TABLE[section].items()
    return {key: Field(key, KINDS[row.pop("kind")], **row) for key, row in rows}


FIELDS, OWN_FIELDS = _read("jobqueue"), _read(SECTION)
RENAMED: dict[str, str] = _TABLE["renamed"]
OWN_RENAMED: dict[str, str] = _TABLE["own-renamed"]
BATCH_OPTION_ALIASES: dict[str, str] = _TABLE["aliases"]
REMOVED_ARGUMENTS: dict[str, str] = _TABLE["removed-arguments"]


def renamed(batch: batch_systems.BatchSystem | None) -> dict[str, str]:
    """Return a mapping from old names of keys to new ones."""
    has_account = batch is not None and batch.account_key == "account"
    return RENAMED | ({"project": "account"} if has_account else {})


def key_of(argument: str) -> str:
    """Return the key that corresponds to an argument of the cluster classes."""
    # The argument `name` is the cluster's own name, which has no key.
    names = {"job_name": "name", "name": "cluster-name"}
    return names.get(argument, argument.replace("_", "-"))


def argument_of(key: str) -> str:
    """Return the argument that corresponds to a key."""
    names = {"name": "job_name", "cluster-name": "name"}
    return names.get(key, key.replace("-", "_"))


def is_blank(key: str, value: Any) -> bool:
    """Return whether this value is empty text, which means the same as null."""
    field = FIELDS.get(key)
    if field is None or not field.may_be_blank or not isinstance(value, str):
        return False
    return not (value if field.kind is KINDS["interface"] else value.strip())


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown name, to append to a message; empty if there is none."""
    if (alias := BATCH_OPTION_ALIASES.get(str(name))) in (known := set(known)):
        return f"; use {alias}"
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
