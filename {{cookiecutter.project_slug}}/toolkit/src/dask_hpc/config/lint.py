"""What is doubtful in a lab's ``jobqueue.yaml``; dask-jobqueue is silent about most of it."""

import difflib
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from .. import batch as batch_systems
from . import validators, yaml_types
from .files import SECTION, jobqueue_defaults
from .keys import (
    BATCH_OPTION_ALIASES,
    FOLDER_KEYS,
    KNOWN_SECTIONS,
    LIST_KEYS,
    NO_KEYS,
    OWN_KEYS,
    OWN_RENAMED,
    RENAMED,
    UNDOCUMENTED_KEYS,
    is_blank,
    sections,
)

# What is wrong with a value of one of our own keys, as a text that follows the key.
OWN_CHECKS: dict[str, Callable[[Any], str]] = {
    "idle-timeout": validators.check_duration,
    "max-resubmits": validators.check_non_negative_int,
    "worker-dashboards": validators.check_flag,
    "worker-start-method": validators.check_start_method,
}


def lint(files: list[tuple[Path, dict[str, Any]]], in_the_way: Collection[Path] = ()) -> list[str]:
    """Return what is doubtful in these files, of which later ones take precedence."""
    values = [f"{path}: jobqueue.{s}.{key}: {line}" for path, s, key, line in lint_values(files)]
    return [*lint_keys(files, in_the_way=in_the_way), *values]


def lint_keys(
    files: list[tuple[Path, dict[str, Any]]],
    only: Collection[str] | None = None,
    in_the_way: Collection[Path] = (),
) -> list[str]:
    """Return the keys and sections of these files that nobody reads, one line each.

    Parameters
    ----------
    files : list of (Path, dict)
    only : collection of str, optional
        The sections of ``jobqueue`` that matter; default: all. Those whose name looks like a typo
        are reported in any case.
    in_the_way : collection of Path
        Files that should be moved away anyway: old names of keys in them are not reported.
    """
    lines = []
    named = {section for _, content in files for section, _ in sections(content)}
    for path, content in files:
        lines += [f"{path}, {line}" for line in yaml_types.lint_scalars(path, only)]
        lines += [f"{path}: {line}" for line in _lint_top_level(content)]
        lines += [f"{path}: {line}" for line in _no_section(content)]
        lines += [f"{path}: {line}" for line in _lint_own_section(_section(content, SECTION))]
        for section in sorted(set(dict(sections(content))) - set(jobqueue_defaults())):
            if line := _suspect_section(section, named):
                lines.append(f"{path}: jobqueue.{section}: {line}")
        for section, keys in sections(content):
            if only is None or section in only:
                old = path not in in_the_way
                said = _lint_keys_of(section, keys, old)
                lines += [f"{path}: jobqueue.{section}.{line}" for line in said]
    return lines


def lint_values(
    files: list[tuple[Path, dict[str, Any]]], only: Collection[str] | None = None
) -> list[tuple[Path, str, str, str]]:
    """Return file, section, key and what is doubtful about its value; `only` as in `about_keys`."""
    found = []
    merged = _merged(files)
    own = _named_batch_system(files)
    base = merged.get(own.section, {}) if own and own.section else {}
    said = list(_lint_values_of(own, base)) if base else []
    for section, settings in merged.items():
        if only is not None and section not in only:
            continue
        batch_system, known = _batch_system_of(section), []
        if section not in jobqueue_defaults() and base:
            # A profile is a section of the batch system's own with some keys changed.
            batch_system, settings, known = own, {**base, **settings}, said
        for key, line in _lint_values_of(batch_system, settings):
            if (key, line) not in known:
                found.append((settings[key][1], section, key, line))
    return found


def _named_batch_system(
    files: list[tuple[Path, dict[str, Any]]],
) -> batch_systems.BatchSystem | None:
    """Return the batch system that the files name, if there is one of that name."""
    name = None
    for _, content in files:
        section = _section(content, SECTION)
        name = section.get("batch-system", name) if isinstance(section, dict) else name
    return batch_systems.BATCH_SYSTEMS.get(name) if isinstance(name, str) else None


def _section(content: dict[str, Any], name: str) -> Any:
    """Return a section at the top of a file; Dask does not distinguish - and _."""
    found = [value for key, value in content.items() if str(key).replace("_", "-") == name]
    return found[-1] if found else {}


def _lint_top_level(content: dict[str, Any]) -> Iterator[str]:
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name in OWN_KEYS:
            yield f"{key}: nobody reads it at the top of a file; indent it under `{SECTION}:`"
            continue
        if name in jobqueue_defaults() and isinstance(value, dict):
            yield f"{key}: nobody reads it at the top of a file; indent it under `jobqueue:`"
            continue
        close = difflib.get_close_matches(name, KNOWN_SECTIONS, n=1, cutoff=0.8)
        if close and name not in KNOWN_SECTIONS:
            yield f"{key}: nobody reads a section of this name; did you mean {close[0]}?"


def _no_section(content: dict[str, Any]) -> Iterator[str]:
    """Report sections that hold no keys, and keys that are in the place of sections."""
    jobqueue = content.get("jobqueue")
    if jobqueue is not None and not isinstance(jobqueue, dict):
        yield "jobqueue: holds no sections; it should begin like `slurm:`, indented"
        return
    lists = {name: keys for name, keys in (jobqueue or {}).items() if not isinstance(keys, dict)}
    known = {key for keys in jobqueue_defaults().values() for key in keys}
    if stray := [str(name) for name in lists if str(name).replace("_", "-") in known]:
        yield (
            f"jobqueue: {', '.join(stray)} stand beside the sections, where nobody reads them; "
            "indent them under the batch system's, such as slurm:"
        )
    for name, keys in lists.items():
        if keys is not None and str(name) not in stray:
            yield f"jobqueue.{name}: {NO_KEYS}"


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


def _lint_own_section(section: Any) -> Iterator[str]:
    if not isinstance(section, dict):
        yield f"{SECTION} holds no keys; it should begin like `batch-system: slurm`, indented"
        return
    for key, value in section.items():
        name = str(key).replace("_", "-")
        if name in OWN_RENAMED:
            yield f"{SECTION}.{key}: its name is now {OWN_RENAMED[name]}"
        elif name not in OWN_KEYS:
            yield f"{SECTION}.{key}: there is no such key" + suggest(key, OWN_KEYS)
        if value is not None and name in OWN_CHECKS and (line := OWN_CHECKS[name](value)):
            yield f"{SECTION}.{key} {line}"
    batch = section.get("batch-system")
    if batch is not None:
        try:
            batch_systems.get(batch)
        except KeyError as error:
            yield f"{SECTION}.batch-system: {error.args[0]}"


def _batch_system_of(section: str) -> batch_systems.BatchSystem | None:
    for batch_system in batch_systems.BATCH_SYSTEMS.values():
        if batch_system.section == section:
            return batch_system
    return None


def _lint_keys_of(section: str, keys: dict[str, Any], old: bool = True) -> Iterator[str]:
    batch_system = _batch_system_of(section)
    if section in jobqueue_defaults():
        known = set(jobqueue_defaults()[section])
    else:  # a profile of the lab's own
        known = {key for keys in jobqueue_defaults().values() for key in keys}
    for key, value in keys.items():
        new = RENAMED.get(key)
        if key == "project" and batch_system is not None and batch_system.account_key == "account":
            new = "account"
        if new:
            # Null or empty it says nothing, as in dask-jobqueue's own file of old.
            if value and old:
                beside = ", which stands there, too, and counts" if keys.get(new) else ""
                yield f"{key}: its name is now {new}{beside}"
        elif key not in known | UNDOCUMENTED_KEYS:
            yield f"{key}: there is no such key, and it is ignored" + suggest(key, known)


def suggest(key: str, known: set[str]) -> str:
    if (name := BATCH_OPTION_ALIASES.get(str(key))) in known:
        return f"; it is called {name}"
    close = difflib.get_close_matches(str(key), known - set(RENAMED), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _merged(
    files: list[tuple[Path, dict[str, Any]]],
) -> dict[str, dict[str, tuple[Any, Path]]]:
    """Return section → key → the value that counts, and the file that it comes from."""
    merged: dict[str, dict[str, tuple[Any, Path]]] = {}
    for path, content in files:
        for section, keys in sections(content):
            merged.setdefault(section, {}).update({k: (v, path) for k, v in keys.items()})
    return merged


def _lint_values_of(
    batch_system: batch_systems.BatchSystem | None, found: dict[str, tuple[Any, Path]]
) -> Iterator[tuple[str, str]]:
    """Yield each key with a doubtful value in the settings of one kind of job, and the doubt."""
    settings = {k: None if is_blank(k, value) else value for k, (value, _) in found.items()}
    for key, value in settings.items():
        if line := validators.check_single_line(key, value):
            yield key, line
    counts = {}
    for key in ("cores", "processes"):
        if settings.get(key) is not None:
            if line := validators.check_count(settings[key]):
                yield key, line
            else:
                counts[key] = validators.as_whole_number(settings[key])
    cores, processes = counts.get("cores"), counts.get("processes")
    if cores and processes and processes > cores:
        yield "processes", f"{processes} processes can't share {cores} cores"
    elif cores and processes and (line := validators.check_core_split(cores, processes)):
        yield "processes", line
    size = settings.get("memory")
    if size is not None and (line := validators.check_memory(size, processes or 1)):
        yield "memory", line
    timeout = settings.get("death-timeout")
    if timeout is not None and (line := validators.check_seconds(timeout)):
        yield "death-timeout", line
    checks = {
        "interface": validators.check_interface,
        "scheduler-options": validators.check_scheduler_options,
    }
    checks |= dict.fromkeys(FOLDER_KEYS, validators.check_folder)
    for key, check in checks.items():
        if settings.get(key) is not None and (line := check(settings[key])):
            yield key, line
    walltime = settings.get("walltime")
    if batch_system is not None:
        yield from _lint_job(batch_system, settings)
    if walltime is not None and batch_system is not None and batch_system.walltime_key is not None:
        try:
            batch_system.parse_walltime(str(walltime))
        except ValueError as error:
            yield "walltime", str(error).removeprefix("walltime ")


def _lint_job(
    batch_system: batch_systems.BatchSystem, settings: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield what a job of this batch system lacks, or has in a form that is not accepted."""
    for key in LIST_KEYS:
        if isinstance(settings.get(key), str):
            yield key, f"must be a list, not {settings[key]!r}"
    directives = settings.get("job-extra-directives")
    if directives is not None:
        line = batch_system.directives_problem(directives)
        if line or (line := batch_system.comment_in(directives)):
            yield "job-extra-directives", line
    for key in batch_system.required:
        if settings.get("cores") is not None and settings.get(key) is None:
            yield "cores", f"a job of {batch_system.label} needs {key}, too: set it beside"
    for key, words in batch_system.not_requested.items():
        what, _, how = words.partition(", ")
        if settings.get(what) is not None and not settings.get(key):
            yield what, f"{batch_system.label} is not asked for it before {key} is set, too, {how}"
