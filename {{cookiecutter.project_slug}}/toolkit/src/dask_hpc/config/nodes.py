"""Read a YAML file as typed: line numbers, duplicate keys, and text that YAML misreads.

YAML silently takes the last of two equal keys, and turns text that looks like a number, truth
value, or date into one: it reads the account ``00123`` as 83, and the queue ``on`` as True.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from . import fields

# Names of sections and key, with hyphens: Dask treats - and _ alike.
Names = tuple[str, ...]


class Entry(NamedTuple):
    """A key with its value, as typed."""

    written: str
    line: int
    value: yaml.Node


@cache
def read(path: Path) -> dict[Names, list[Entry]]:
    """Return the entries of each key; empty if the file does not exist or is invalid."""
    found: dict[Names, list[Entry]] = {}
    try:
        root = yaml.compose(Path(path).read_text(), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return found
    _collect(root, (), found, set())
    return found


def _collect(
    node: yaml.Node | None, names: Names, found: dict[Names, list[Entry]], seen: set[int]
) -> None:
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))  # an anchored node may be used several times
    for key, value in node.value:
        below = (*names, str(key.value).replace("_", "-"))
        found.setdefault(below, []).append(Entry(str(key.value), key.start_mark.line + 1, value))
        _collect(value, below, found, seen)


def _in_force(entries: list[Entry]) -> Entry:
    """Return the entry in effect among equal keys: the last one with the first one's spelling."""
    return [entry for entry in entries if entry.written == entries[0].written][-1]


def place(path: Path, *names: str) -> str:
    """Return the file and line of a key, or only the file if the line is unknown."""
    entries = read(path).get(tuple(name.replace("_", "-") for name in names))
    return f"{path}:{_in_force(entries).line}" if entries else str(path)


def duplicates(path: Path) -> Iterator[tuple[Names, int, str]]:
    """Yield the names, line, and a message for each duplicate key."""
    for names, entries in read(path).items():
        counts = _in_force(entries)
        for one in entries if names[-1] != "<<" else ():
            if one is not counts:
                first, last = sorted((one, counts), key=lambda entry: entry.line)
                key = ".".join([*names[:-1], last.written])
                other = f"{key} is also set in line {first.line}"
                only = f"only line {counts.line} takes effect: delete the other one"
                yield names, last.line, f"{other}; {only}"


def misread(path: Path) -> Iterator[tuple[Names, int, str]]:
    """Yield the names, line, and a message for each value that YAML does not read as typed."""
    for names, entries in read(path).items():
        field = None
        if names[0] == "jobqueue" and len(names) == 3:
            field = fields.FIELDS.get(fields.RENAMED.get(names[2], names[2]))
        elif names[0] == fields.SECTION and len(names) == 2:
            field = fields.OWN_FIELDS.get(names[1])
        if field is not None:
            for scalar in _scalars(_in_force(entries).value):
                if line := _misreading(field, scalar):
                    yield names, scalar.start_mark.line + 1, f"{'.'.join(names)}: {line}"


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)


def _misreading(field: fields.Field, node: yaml.ScalarNode) -> str:
    typed, value = node.value, yaml.SafeLoader("").construct_object(node)
    if value is None or isinstance(value, str) or str(value) == typed:
        return ""
    kind = {bool: "truth value", int: "number", float: "number"}.get(type(value), "date")
    holds = field.kind.schema["type"]
    if holds in ("string", "array"):
        if holds == "string" and (line := field.problem(typed)):
            return line  # quotes would not help
        return f'YAML reads {typed} as the {kind} {value}; put it in quotes: "{typed}"'
    if kind == "number" and holds == "integer" and typed.startswith("0"):
        return f"YAML reads {typed} as the number {value}, since it begins with 0"
    return ""
