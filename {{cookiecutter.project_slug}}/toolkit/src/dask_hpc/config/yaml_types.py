"""What is doubtful in a YAML file as it is written, and gone once it has been read.

YAML takes the last of two equal keys without a word, and makes numbers, truth values and dates of
text that looks like one: the account ``00123`` is 83, and the queue ``on`` is True.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

# Keys of jobqueue.yaml whose value is text, or a list of texts.
TEXT = {"account", "project", "queue", "name", "walltime", "interface", "python", "shebang"}
TEXT |= {"log-directory", "local-directory", "shared-temp-directory", "resource-spec", "lsf-units"}
TEXT |= {"worker-command", "memory-per-core-property-name", "job-mem", "memory", "disk"}
TEXT |= {"worker-extra-args", "job-script-prologue", "job-extra-directives", "job-directives-skip"}
NUMBERS = {"cores", "processes", "job-cpu", "ncpus", "mem"}


def lint_scalars(path: Path, only: Collection[str] | None = None) -> list[str]:
    """Return what is doubtful in this file, each in one line that begins with the line's number.

    Parameters
    ----------
    path : Path
    only : collection of str, optional
        The sections of ``jobqueue`` that matter; default: all.
    """
    try:
        root = yaml.compose(Path(path).read_text(), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []  # no file, or Dask has said so
    return list(_of(root, (), only, set())) if root is not None else []


def _of(
    node: yaml.Node, where: tuple[str, ...], only: Collection[str] | None, seen: set[int]
) -> Iterator[str]:
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    if only is not None and where[:1] == ("jobqueue",) and len(where) > 1 and where[1] not in only:
        return
    seen.add(id(node))  # an anchor, which may be used several times
    lines: dict[str, tuple[int, str]] = {}
    for key, value in node.value:
        # Dask takes - and _ for the same.
        name = str(key.value).replace("_", "-")
        line = key.start_mark.line + 1
        dotted = ".".join((*where, str(key.value)))
        if name in lines and name != "<<":
            yield (
                f"line {line}: {dotted} stands in line {lines[name][0]}, too, and only line "
                f"{line if lines[name][1] == key.value else lines[name][0]} counts; delete one of "
                "them"
            )
        # Of two spellings Dask takes the first.
        if name not in lines or lines[name][1] == key.value:
            lines[name] = line, key.value
        if where[:1] == ("jobqueue",) and len(where) == 2:
            yield from _misread(name, dotted, value)
        yield from _of(value, (*where, str(key.value)), only, seen)


def _misread(key: str, dotted: str, value: yaml.Node) -> Iterator[str]:
    """Report a value that YAML reads as something else than what is written."""
    if isinstance(value, yaml.SequenceNode):
        for item in value.value:
            yield from _misread(key, dotted, item)
    if not isinstance(value, yaml.ScalarNode) or value.tag == "tag:yaml.org,2002:null":
        return
    found = yaml.SafeLoader("").construct_object(value)
    if str(found) == value.value or isinstance(found, str):
        return
    at = f"line {value.start_mark.line + 1}: {dotted}: "
    if key in TEXT:
        kind = {bool: "truth value", int: "number", float: "number"}.get(type(found), "date")
        yield f'{at}{value.value} is the {kind} {found} to YAML; put it in quotes: "{value.value}"'
    elif key in NUMBERS and value.value.startswith("0"):
        yield f"{at}{value.value} is the number {found} to YAML, since it begins with 0"
