"""A YAML file as it is typed: lines, keys that stand twice, and text that YAML misreads.

YAML takes the last of two equal keys without a word, and makes numbers, truth values, and dates of
text that looks like one: the account ``00123`` is 83, and the queue ``on`` is True.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from . import fields

# Names of sections and key, with hyphens: Dask takes - and _ for the same.
Names = tuple[str, ...]


class Entry(NamedTuple):
    """A key with its value, as it is typed."""

    written: str
    line: int
    value: yaml.Node


@cache
def read(path: Path) -> dict[Names, list[Entry]]:
    """Return where each key stands; empty if there is no such file, or Dask can't read it."""
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
    seen.add(id(node))  # an anchor, which may be used several times
    for key, value in node.value:
        below = (*names, str(key.value).replace("_", "-"))
        found.setdefault(below, []).append(Entry(str(key.value), key.start_mark.line + 1, value))
        _collect(value, below, found, seen)


def _in_force(entries: list[Entry]) -> Entry:
    """Return the one of equal keys that counts: the last one of the spelling that comes first."""
    return [entry for entry in entries if entry.written == entries[0].written][-1]


def place(path: Path, *names: str) -> str:
    """Return the file and line of a key, or the file alone if the line is not known."""
    entries = read(path).get(tuple(name.replace("_", "-") for name in names))
    return f"{path}:{_in_force(entries).line}" if entries else str(path)


def duplicates(path: Path) -> Iterator[tuple[Names, int, str]]:
    """Yield the names, line, and a message for each key that stands more than once."""
    for names, entries in read(path).items():
        counts = _in_force(entries)
        for one in entries if names[-1] != "<<" else ():
            if one is not counts:
                first, last = sorted((one, counts), key=lambda entry: entry.line)
                yield (
                    names,
                    last.line,
                    f"{'.'.join([*names[:-1], last.written])} stands in line {first.line}, too, "
                    f"and only line {counts.line} counts; delete one of them",
                )


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
        return f'{typed} is the {kind} {value} to YAML; put it in quotes: "{typed}"'
    if kind == "number" and holds == "integer" and typed.startswith("0"):
        return f"{typed} is the number {value} to YAML, since it begins with 0"
    return ""
