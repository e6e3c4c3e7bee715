"""Find likely mistakes in a lab's ``jobqueue.yaml``; dask-jobqueue reports few of them."""

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

# Top-level sections of the files in config/; we do not check those of other packages.
KNOWN_SECTIONS = ["jobqueue", SECTION, "distributed", "labextension"]
Files = list[tuple[Path, dict[str, Any]]]
# The names that lead to a key, and what is wrong with it.
Found = Iterator[tuple[nodes.Names, str]]


def lint(files: Files, in_the_way: Collection[Path] = ()) -> list[str]:
    """Return likely mistakes in these files, of which later ones take precedence."""
    return [*lint_keys(files, in_the_way=in_the_way), *_lint_values(files)]


def lint_keys(
    files: Files, only: Collection[str] | None = None, in_the_way: Collection[Path] = ()
) -> list[str]:
    """Return one line for each key that has no effect, or that YAML does not read as typed.

    Parameters
    ----------
    files : list of (Path, dict)
    only : collection of str, optional
        The sections of ``jobqueue`` to check; by default, all. Sections whose name looks like a
        typo are always reported.
    in_the_way : collection of Path
        Files that should be moved away anyway: do not report old names of keys in them.
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
    """Yield values in these files that are invalid or likely mistakes."""
    merged = _merged(files)
    named = dask.config.merge(*(content for _, content in files))
    name = dask.config.get(f"{SECTION}.batch-system", None, config=named)
    own = batch_systems.BATCH_SYSTEMS.get(str(name))
    base = merged.get(own.section, {}) if own and own.section else {}
    if own and own.section and own.section not in merged:
        path = next(path for path, content in reversed(files) if _section(content, SECTION))
        place = nodes.place(path, SECTION, "batch-system")
        line = f"add a section jobqueue.{own.section} with cores and memory, which is missing"
        yield f"{place}: {SECTION}.batch-system: {line}"
    said = set(_problems(own, base))
    for section, found in merged.items():
        batch, known = _batch_system_of(section), set()
        if section not in jobqueue_defaults() and base:
            # A profile is the batch system's own section with some keys changed.
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
    """Return section → key → the value in effect, and the file that it comes from."""
    merged: dict[str, dict[str, tuple[Any, Path]]] = {}
    for path, content in files:
        misread = {names for names, _, _ in nodes.misread(path)}  # reported elsewhere
        for section, keys in sections(content):
            in_effect = merged.setdefault(section, {})
            for key, value in keys.items():
                in_effect[key] = (None if ("jobqueue", section, key) in misread else value, path)
    return merged


def _batch_system_of(section: str) -> batch_systems.BatchSystem | None:
    found = (batch for batch in batch_systems.BATCH_SYSTEMS.values() if batch.section == section)
    return next(found, None)


def _section(content: dict[str, Any], name: str) -> Any:
    """Return a top-level section of a file; Dask treats - and _ alike."""
    found = [value for key, value in content.items() if str(key).replace("_", "-") == name]
    return found[-1] if found else {}


def _lint_top_level(content: dict[str, Any]) -> Found:
    for key, value in content.items():
        name = str(key).replace("_", "-")
        line = ""
        close = difflib.get_close_matches(name, KNOWN_SECTIONS, n=1, cutoff=0.8)
        if name in OWN_FIELDS:
            line = f"has no effect at the top level; indent it under `{SECTION}:`"
        elif name in jobqueue_defaults() and isinstance(value, dict):
            line = "has no effect at the top level; indent it under `jobqueue:`"
        elif close and name not in KNOWN_SECTIONS:
            line = f"unknown section; did you mean {close[0]}?"
        if line:
            yield (name,), f"{key}: {line}"


def _lint_sections(content: dict[str, Any], named: set[str]) -> Found:
    """Yield sections that have no keys or are misspelled, and keys outside of any section."""
    jobqueue = content.get("jobqueue")
    if jobqueue is not None and not isinstance(jobqueue, dict):
        yield ("jobqueue",), "jobqueue: has no sections; add one, indented, such as `slurm:`"
        return
    found = {str(name): keys for name, keys in (jobqueue or {}).items()}
    lists = {name: keys for name, keys in found.items() if not isinstance(keys, dict)}
    if stray := [name for name in lists if name.replace("_", "-") in FIELDS]:
        line = (
            f"jobqueue: no effect outside of a section: {', '.join(stray)}; indent under the batch "
            "system's section, such as slurm:"
        )
        yield ("jobqueue", stray[0]), line
    for name, keys in lists.items():
        if keys is not None and name not in stray:
            yield ("jobqueue", name), f"jobqueue.{name}: {NO_KEYS}"
    for name in sorted(set(found) - set(lists) - set(jobqueue_defaults())):
        if line := _suspect_section(name, named):
            yield ("jobqueue", name), f"jobqueue.{name}: {line}"


def _suspect_section(section: str, named: set[str]) -> str:
    """Return why an unknown section is likely a typo; empty if it is likely a profile."""
    known = [name for name in jobqueue_defaults() if name != "local"]
    if set(re.split("[-_.]", section)) & set(known):  # slurm-gpu
        return ""
    close = difflib.get_close_matches(section.lower(), known, n=1, cutoff=0.66)
    # A profile comes in addition to the section of the batch system itself.
    if close and close[0] not in named:
        return f"not the name of a batch system; did you mean {close[0]}?"
    return ""


def _lint_own_section(path: Path, section: Any) -> Found:
    if not isinstance(section, dict):
        line = "has no keys; add some, indented, such as `batch-system: slurm`"
        yield (SECTION,), f"{SECTION} {line}"
        return
    misread = {names for names, _, _ in nodes.misread(path)}
    for key, value in section.items():
        name = str(key).replace("_", "-")
        line = ""
        if name in OWN_RENAMED:
            line = f"renamed: use {OWN_RENAMED[name]}"
        elif name not in OWN_FIELDS:
            line = "unknown key" + fields.suggest(key, OWN_FIELDS)
        elif value is not None and (SECTION, name) not in misread:
            line = OWN_FIELDS[name].problem(value)
        if line:
            yield (SECTION, name), f"{SECTION}.{key}: {line}"


def _lint_names(section: str, keys: dict[str, Any], with_old: bool) -> Found:
    """Yield the keys of a section that were renamed or are unknown."""
    # A profile may have the keys of any batch system.
    known = set(jobqueue_defaults().get(section, FIELDS)) - set(RENAMED)
    renamed = fields.renamed(_batch_system_of(section))
    for key, value in keys.items():
        line = ""
        if new := renamed.get(key):
            # Null or empty, it has no effect, as in older versions of dask-jobqueue's own file.
            if value and with_old:
                beside = ", which is also set and takes precedence" if keys.get(new) else ""
                line = f"renamed: use {new}{beside}"
        elif key not in known:
            line = "unknown key, ignored" + fields.suggest(key, known)
        if line:
            yield ("jobqueue", section, key), f"jobqueue.{section}.{key}: {line}"
