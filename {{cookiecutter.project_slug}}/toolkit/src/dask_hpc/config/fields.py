"""The keys of ``jobqueue.yaml``: what each one holds, and what else follows from that.

Arguments, files, profiles, `lint`, the JSON Schema for editors and the reference page know the keys
from here. The table itself is data, in ``fields.toml``.
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
    """What a key may hold.

    Attributes
    ----------
    check : callable
        Returns why no job can have a value, in words that follow the key's name, or an empty text.
    schema : mapping
        The same for editors, in the words of JSON Schema.
    parse : callable
        Makes of a value that passes the check what dask-jobqueue is given as an argument, since it
        would not read the value itself, or not everywhere.
    is_shell : bool
        Whether it holds lines of shell. Everything else becomes a part of one line of the script.
    type : str
        Its type as docstrings have it.
    """

    type: str
    check: Callable[[Any], str]
    schema: Mapping[str, Any]
    parse: Callable[[Any], Any] | None = None
    is_shell: bool = False


@dataclass(frozen=True)
class Field:
    """A key, with what ``fields.toml`` says about it; a default that is None is dask-jobqueue's."""

    key: str
    kind: Kind
    goes_to: str
    doc: str
    default: Any = None
    may_be_blank: bool = False
    never_null: bool = False

    def problem(self, value: Any) -> str:
        """Return why no job can have this value."""
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

# The schemas are stricter than the checks in one thing: a text is to be in quotes if YAML reads it
# as something else, even where the job script would be the same, as for `account: 123`.
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
    """Return the old names of keys, and the new ones."""
    has_account = batch is not None and batch.account_key == "account"
    return RENAMED | ({"project": "account"} if has_account else {})


def key_of(argument: str) -> str:
    """Return the key that an argument of the cluster classes stands for."""
    # A cluster has a name of its own, which no key stands for.
    names = {"job_name": "name", "name": "cluster-name"}
    return names.get(argument, argument.replace("_", "-"))


def argument_of(key: str) -> str:
    """Return the argument that stands for a key."""
    names = {"name": "job_name", "cluster-name": "name"}
    return names.get(key, key.replace("-", "_"))


def is_blank(key: str, value: Any) -> bool:
    """Return whether this is an empty text, which means the same as null."""
    field = FIELDS.get(key)
    if field is None or not field.may_be_blank or not isinstance(value, str):
        return False
    return not (value if field.kind is KINDS["interface"] else value.strip())


def suggest(name: str, known: Iterable[str]) -> str:
    """Return which name was probably meant, in words that follow those about an unknown one."""
    if (alias := BATCH_OPTION_ALIASES.get(str(name))) in (known := set(known)):
        return f"; it is called {alias}"
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
