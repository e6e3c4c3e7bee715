"""What is doubtful in a lab's ``jobqueue.yaml``; dask-jobqueue is silent about most of it."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import dask.config

from .. import batch as batch_systems
from . import fields, job_rules, nodes
from .fields import FIELDS, OWN_FIELDS, OWN_RENAMED, RENAMED, SECTION
from .files import NO_KEYS, jobqueue_defaults, sections

# Sections at the top of the files in config/; those of other packages are not ours to judge.
KNOWN_SECTIONS = ["jobqueue", SECTION, "distributed", "labextension"]
Files = list[tuple[Path, dict[str, Any]]]
# Where a key stands, and what is wrong with it.
Found = Iterator[tuple[nodes.Names, str]]


def lint(files: Files, in_the_way: Collection[Path] = ()) -> list[str]:
    """Return what is doubtful in these files, of which later ones take precedence."""
    return [*lint_keys(files, in_the_way=in_the_way), *_lint_values(files)]


def lint_keys(
    files: Files, only: Collection[str] | None = None, in_the_way: Collection[Path] = ()
) -> list[str]:
    """Return what nobody reads in these files, or YAML reads otherwise, one line each.

    Parameters
    ----------
    files : list of (Path, dict)
    only : collection of str, optional
        The sections of ``jobqueue`` that matter; default: all. Those whose name looks like a typo
        are reported in any case.
    in_the_way : collection of Path
        Files that should be moved away anyway: old names of keys in them are not reported.
    """
    lines: list[str] = []
    named = {section for _, content in files for section, _ in sections(content)}
    for path, content in files:
        lines += _lint_nodes(path, only)
        found = [*_lint_top_level(content), *_lint_sections(content, named)]
        found += _lint_own_section(path, _section(content, SECTION))
        for section, keys in sections(content):
            if only is None or section in only:
                found += _lint_names(section, keys, path not in in_the_way)
        lines += [f"{nodes.place(path, *names)}: {line}" for names, line in found]
    return lines


def _lint_nodes(path: Path, only: Collection[str] | None) -> Iterator[str]:
    for found in (nodes.duplicates(path), nodes.misread(path)):
        for names, number, line in found:
            if only is None or names[0] != "jobqueue" or len(names) < 2 or names[1] in only:
                yield f"{path}:{number}: {line}"


def _lint_values(files: Files) -> Iterator[str]:
    """Yield the values of these files that no job can have, or that are doubtful."""
    merged = _merged(files)
    named = dask.config.merge(*(content for _, content in files))
    name = dask.config.get(f"{SECTION}.batch-system", None, config=named)
    own = batch_systems.BATCH_SYSTEMS.get(str(name))
    base = merged.get(own.section, {}) if own and own.section else {}
    if own and own.section and own.section not in merged:
        path = next(path for path, content in reversed(files) if _section(content, SECTION))
        place = nodes.place(path, SECTION, "batch-system")
        line = f"there is no section jobqueue.{own.section} with the cores and memory of its jobs"
        yield f"{place}: {SECTION}.batch-system: {line}"
    said = set(_problems(own, base))
    for section, found in merged.items():
        batch, known = _batch_system_of(section), set()
        if section not in jobqueue_defaults() and base:
            # A profile is a section of the batch system's own with some keys changed.
            batch, found, known = own, {**base, **found}, said
        for key, line in _problems(batch, found):
            if (key, line) not in known:
                place = nodes.place(found[key][1], "jobqueue", section, key)
                yield f"{place}: jobqueue.{section}.{key}: {line}"


def _problems(
    batch: batch_systems.BatchSystem | None, found: Mapping[str, tuple[Any, Path]]
) -> Iterator[tuple[str, str]]:
    settings = {k: None if fields.is_blank(k, value) else value for k, (value, _) in found.items()}
    for problem in job_rules.check(batch, settings):
        yield problem.key, problem.text


def _merged(files: Files) -> dict[str, dict[str, tuple[Any, Path]]]:
    """Return section → key → the value that counts, and the file that it comes from."""
    merged: dict[str, dict[str, tuple[Any, Path]]] = {}
    for path, content in files:
        misread = {names for names, _, _ in nodes.misread(path)}  # and said so
        for section, keys in sections(content):
            merged.setdefault(section, {}).update(
                {
                    key: (None if ("jobqueue", section, key) in misread else value, path)
                    for key, value in keys.items()
                }
            )
    return merged


def _batch_system_of(section: str) -> batch_systems.BatchSystem | None:
    found = (batch for batch in batch_systems.BATCH_SYSTEMS.values() if batch.section == section)
    return next(found, None)


def _section(content: dict[str, Any], name: str) -> Any:
    """Return a section at the top of a file; Dask does not distinguish - and _."""
    found = [value for key, value in content.items() if str(key).replace("_", "-") == name]
    return found[-1] if found else {}


def _lint_top_level(content: dict[str, Any]) -> Found:
    for key, value in content.items():
        name = str(key).replace("_", "-")
        line = ""
        close = difflib.get_close_matches(name, KNOWN_SECTIONS, n=1, cutoff=0.8)
        if name in OWN_FIELDS:
            line = f"it at the top of a file; indent it under `{SECTION}:`"
        elif name in jobqueue_defaults() and isinstance(value, dict):
            line = "it at the top of a file; indent it under `jobqueue:`"
        elif close and name not in KNOWN_SECTIONS:
            line = f"a section of this name; did you mean {close[0]}?"
        if line:
            yield (name,), f"{key}: nobody reads {line}"


def _lint_sections(content: dict[str, Any], named: set[str]) -> Found:
    """Report sections that hold no keys or are misspelt, and keys in the place of sections."""
    jobqueue = content.get("jobqueue")
    if jobqueue is not None and not isinstance(jobqueue, dict):
        yield ("jobqueue",), "jobqueue: holds no sections; it should begin like `slurm:`, indented"
        return
    found = {str(name): keys for name, keys in (jobqueue or {}).items()}
    lists = {name: keys for name, keys in found.items() if not isinstance(keys, dict)}
    if stray := [name for name in lists if name.replace("_", "-") in FIELDS]:
        line = (
            f"jobqueue: {', '.join(stray)} stand beside the sections, where nobody reads them; "
            "indent them under the batch system's, such as slurm:"
        )
        yield ("jobqueue", stray[0]), line
    for name, keys in lists.items():
        if keys is not None and name not in stray:
            yield ("jobqueue", name), f"jobqueue.{name}: {NO_KEYS}"
    for name in sorted(set(found) - set(lists) - set(jobqueue_defaults())):
        if line := _suspect_section(name, named):
            yield ("jobqueue", name), f"jobqueue.{name}: {line}"


def _suspect_section(section: str, named: set[str]) -> str:
    """Return why an unknown section is likely a typo, not a lab's profile, or an empty text."""
    known = [name for name in jobqueue_defaults() if name != "local"]
    if set(re.split("[-_.]", section)) & set(known):  # slurm-gpu
        return ""
    close = difflib.get_close_matches(section.lower(), known, n=1, cutoff=0.66)
    # A profile stands beside the section of the batch system itself.
    if close and close[0] not in named:
        return f"no batch system's section is called so; did you mean {close[0]}?"
    return ""


def _lint_own_section(path: Path, section: Any) -> Found:
    if not isinstance(section, dict):
        line = "holds no keys; it should begin like `batch-system: slurm`, indented"
        yield (SECTION,), f"{SECTION} {line}"
        return
    misread = {names for names, _, _ in nodes.misread(path)}
    for key, value in section.items():
        name = str(key).replace("_", "-")
        line = ""
        if name in OWN_RENAMED:
            line = f"its name is now {OWN_RENAMED[name]}"
        elif name not in OWN_FIELDS:
            line = "there is no such key" + fields.suggest(key, OWN_FIELDS)
        elif value is not None and (SECTION, name) not in misread:
            line = OWN_FIELDS[name].problem(value)
        if line:
            yield (SECTION, name), f"{SECTION}.{key}: {line}"


def _lint_names(section: str, keys: dict[str, Any], with_old: bool) -> Found:
    """Yield the keys of a section that have another name now, or that nobody knows."""
    # A profile of the lab's own may have the keys of each batch system.
    known = set(jobqueue_defaults().get(section, FIELDS)) - set(RENAMED)
    renamed = fields.renamed(_batch_system_of(section))
    for key, value in keys.items():
        line = ""
        if new := renamed.get(key):
            # Null or empty it says nothing, as in dask-jobqueue's own file of old.
            if value and with_old:
                beside = ", which stands there, too, and counts" if keys.get(new) else ""
                line = f"its name is now {new}{beside}"
        elif key not in known:
            line = "there is no such key, and it is ignored" + fields.suggest(key, known)
        if line:
            yield ("jobqueue", section, key), f"jobqueue.{section}.{key}: {line}"
