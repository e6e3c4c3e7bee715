"""What is doubtful in a lab's ``jobqueue.yaml``; dask-jobqueue is silent about most of it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from . import schedulers, values, yaml_text
from .config import SECTION, packaged

NO_KEYS = "holds no keys; write them as `cores: 4`, one a line, without a hyphen before"
OUR_KEYS = {"scheduler", "idle-timeout", "resubmit", "worker-start-method", "worker-dashboards"}
# Sections at the top of the files in config/; those of other packages are not ours to judge.
TOP = ["jobqueue", SECTION, "distributed", "labextension"]
# dask-jobqueue's old names. It warns about them, if it does, at every cluster and every job.
RENAMED = {
    "extra": "worker-extra-args",
    "env-extra": "job-script-prologue",
    "job-extra": "job-extra-directives",
    "header-skip": "job-directives-skip",
}
# Keys whose text is written into a line of the job script as it is: empty, the line would be wrong.
MAY_BE_BLANK = {"queue", "account", "project", "name", "resource-spec", "interface", "job-mem"}
FOLDERS = ("log-directory", "local-directory", "shared-temp-directory")
# Keys of which dask-jobqueue would take a text for a list of letters.
LISTS = ("worker-extra-args", "job-script-prologue", "job-directives-skip")
# What the batch systems' own options are called, where a key of another name stands for it.
THEIRS = {
    "partition": "queue",
    "time": "walltime",
    "mem": "memory",
    "ncpus": "cores",
    "cpus-per-task": "cores",
    "ntasks": "processes",
    "output": "log-directory",
}
# Keys that dask-jobqueue reads although its own file does not list them.
UNLISTED = {"job-extra", "header-skip", "env-extra", "extra"}


def is_blank(key: str, value: Any) -> bool:
    """Return whether this is an empty text, which means the same as null."""
    if key not in MAY_BE_BLANK or not isinstance(value, str):
        return False
    return not (value if key == "interface" else value.strip())


def findings(
    files: list[tuple[Path, dict[str, Any]]], in_the_way: Collection[Path] = ()
) -> list[str]:
    """Return what is doubtful in these files, of which later ones take precedence."""
    values = [f"{path}: jobqueue.{s}.{key}: {line}" for path, s, key, line in about_values(files)]
    return [*about_keys(files, in_the_way=in_the_way), *values]


def about_keys(
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
        lines += [f"{path}, {line}" for line in yaml_text.doubts(path, only)]
        lines += [f"{path}: {line}" for line in _top(content)]
        lines += [f"{path}: {line}" for line in _no_section(content)]
        lines += [f"{path}: {line}" for line in _ours(_section(content, SECTION))]
        for section in sorted(set(dict(sections(content))) - set(packaged())):
            if line := _mistaken(section, named):
                lines.append(f"{path}: jobqueue.{section}: {line}")
        for section, keys in sections(content):
            if only is None or section in only:
                old = path not in in_the_way
                said = _keys(section, keys, old)
                lines += [f"{path}: jobqueue.{section}.{line}" for line in said]
    return lines


def about_values(
    files: list[tuple[Path, dict[str, Any]]], only: Collection[str] | None = None
) -> list[tuple[Path, str, str, str]]:
    """Return file, section, key and what is doubtful about its value; `only` as in `about_keys`."""
    found = []
    merged = _merged(files)
    own = _named_scheduler(files)
    base = merged.get(own.section, {}) if own and own.section else {}
    said = list(_values(own, base)) if base else []
    for section, settings in merged.items():
        if only is not None and section not in only:
            continue
        scheduler, known = _scheduler_of(section), []
        if section not in packaged() and base:
            # A profile is a section of the batch system's own with some keys changed.
            scheduler, settings, known = own, {**base, **settings}, said
        for key, line in _values(scheduler, settings):
            if (key, line) not in known:
                found.append((settings[key][1], section, key, line))
    return found


def _named_scheduler(files: list[tuple[Path, dict[str, Any]]]) -> schedulers.Scheduler | None:
    """Return the batch system that the files name, if there is one of that name."""
    name = None
    for _, content in files:
        section = _section(content, SECTION)
        name = section.get("scheduler", name) if isinstance(section, dict) else name
    return schedulers.SCHEDULERS.get(name) if isinstance(name, str) else None


def _section(content: dict[str, Any], name: str) -> Any:
    """Return a section at the top of a file; Dask does not distinguish - and _."""
    found = [value for key, value in content.items() if str(key).replace("_", "-") == name]
    return found[-1] if found else {}


def _top(content: dict[str, Any]) -> Iterator[str]:
    for key, value in content.items():
        name = str(key).replace("_", "-")
        # `scheduler: threads` at the top is Dask's own.
        known = [*schedulers.SCHEDULERS, "none"]
        if name in OUR_KEYS and (name != "scheduler" or value in known):
            yield f"{key}: nobody reads it at the top of a file; indent it under `{SECTION}:`"
            continue
        if name in packaged() and isinstance(value, dict):
            yield f"{key}: nobody reads it at the top of a file; indent it under `jobqueue:`"
            continue
        close = difflib.get_close_matches(name, TOP, n=1, cutoff=0.8)
        if close and name not in TOP:
            yield f"{key}: nobody reads a section of this name; did you mean {close[0]}?"


def _no_section(content: dict[str, Any]) -> Iterator[str]:
    """Report sections that hold no keys, and keys that are in the place of sections."""
    jobqueue = content.get("jobqueue")
    if jobqueue is not None and not isinstance(jobqueue, dict):
        yield "jobqueue: holds no sections; it should begin like `slurm:`, indented"
        return
    lists = {name: keys for name, keys in (jobqueue or {}).items() if not isinstance(keys, dict)}
    known = {key for keys in packaged().values() for key in keys}
    if stray := [str(name) for name in lists if str(name).replace("_", "-") in known]:
        yield (
            f"jobqueue: {', '.join(stray)} stand beside the sections, where nobody reads them; "
            "indent them under the batch system's, such as slurm:"
        )
    for name, keys in lists.items():
        if keys is not None and str(name) not in stray:
            yield f"jobqueue.{name}: {NO_KEYS}"


def _mistaken(section: str, named: set[str]) -> str:
    """Return why an unknown section is likely a typo, not a lab's profile, or an empty text."""
    known = [name for name in packaged() if name != "local"]
    if set(re.split("[-_.]", section)) & set(known):  # slurm-gpu
        return ""
    close = difflib.get_close_matches(section.lower(), known, n=1, cutoff=0.66)
    # A profile stands beside the section of the batch system itself.
    if close and close[0] not in named:
        return f"no batch system's section is called so; did you mean {close[0]}?"
    return ""


def _ours(section: Any) -> Iterator[str]:
    if not isinstance(section, dict):
        yield f"{SECTION} holds no keys; it should begin like `scheduler: slurm`, indented"
        return
    for key, value in section.items():
        name = str(key).replace("_", "-")
        if name not in OUR_KEYS:
            yield f"{SECTION}.{key}: there is no such key" + _meant(key, OUR_KEYS)
        if name == "idle-timeout" and value is not None and (line := values.duration(value)):
            yield f"{SECTION}.{key}: {line}"
        if name == "resubmit" and value is not None and (line := values.times(value)):
            yield f"{SECTION}.{key} {line}"
        if name == "worker-start-method" and value is not None and (line := values.method(value)):
            yield f"{SECTION}.{key} {line}"
        if name == "worker-dashboards" and value is not None and (line := values.flag(value)):
            yield f"{SECTION}.{key} {line}"
    batch = section.get("scheduler")
    if batch is not None:
        try:
            schedulers.get(batch)
        except KeyError as error:
            yield f"{SECTION}.scheduler: {error.args[0]}"


def sections(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections of ``jobqueue`` in a file, the names of their keys as in the docs."""
    found = content.get("jobqueue")
    for name, keys in (found if isinstance(found, dict) else {}).items():
        if isinstance(keys, dict):
            plain: dict[str, Any] = {}
            for key, value in keys.items():
                # Dask takes - and _ for the same, and of both in one file the first.
                plain.setdefault(str(key).replace("_", "-"), value)
            yield str(name), plain


def _scheduler_of(section: str) -> schedulers.Scheduler | None:
    for scheduler in schedulers.SCHEDULERS.values():
        if scheduler.section == section:
            return scheduler
    return None


def _keys(section: str, keys: dict[str, Any], old: bool = True) -> Iterator[str]:
    scheduler = _scheduler_of(section)
    if section in packaged():
        known = set(packaged()[section])
    else:  # a profile of the lab's own
        known = {key for keys in packaged().values() for key in keys}
    for key, value in keys.items():
        new = RENAMED.get(key)
        if key == "project" and scheduler is not None and scheduler.account_key == "account":
            new = "account"
        if new:
            # Null or empty it says nothing, as in dask-jobqueue's own file of old.
            if value and old:
                beside = ", which stands there, too, and counts" if keys.get(new) else ""
                yield f"{key}: its name is now {new}{beside}"
        elif key not in known | UNLISTED:
            yield f"{key}: there is no such key, and it is ignored" + _meant(key, known)


def _meant(key: str, known: set[str]) -> str:
    if (name := THEIRS.get(str(key))) in known:
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


def _values(
    scheduler: schedulers.Scheduler | None, found: dict[str, tuple[Any, Path]]
) -> Iterator[tuple[str, str]]:
    """Yield each key with a doubtful value in the settings of one kind of job, and the doubt."""
    settings = {k: None if is_blank(k, value) else value for k, (value, _) in found.items()}
    for key, value in settings.items():
        if line := values.one_line(key, value):
            yield key, line
    counts = {}
    for key in ("cores", "processes"):
        if settings.get(key) is not None:
            if line := values.count(settings[key]):
                yield key, line
            else:
                counts[key] = values.whole(settings[key])
    cores, processes = counts.get("cores"), counts.get("processes")
    if cores and processes and processes > cores:
        yield "processes", f"{processes} processes can't share {cores} cores"
    elif cores and processes and (line := values.idle_cores(cores, processes)):
        yield "processes", line
    size = settings.get("memory")
    if size is not None and (line := values.memory(size, processes or 1)):
        yield "memory", line
    timeout = settings.get("death-timeout")
    if timeout is not None and (line := values.seconds(timeout)):
        yield "death-timeout", line
    checks = {"interface": values.interface, "scheduler-options": values.scheduler_options}
    checks |= dict.fromkeys(FOLDERS, values.folder)
    for key, check in checks.items():
        if settings.get(key) is not None and (line := check(settings[key])):
            yield key, line
    walltime = settings.get("walltime")
    if scheduler is not None:
        yield from _job(scheduler, settings)
    if walltime is not None and scheduler is not None and scheduler.walltime_key is not None:
        try:
            scheduler.parse_walltime(str(walltime))
        except ValueError as error:
            yield "walltime", str(error).removeprefix("walltime ")


def _job(scheduler: schedulers.Scheduler, settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a job of this batch system lacks, or has in a form that is not accepted."""
    for key in LISTS:
        if isinstance(settings.get(key), str):
            yield key, f"must be a list, not {settings[key]!r}"
    directives = settings.get("job-extra-directives")
    if directives is not None:
        line = scheduler.directives_problem(directives)
        if line or (line := scheduler.comment_in(directives)):
            yield "job-extra-directives", line
    for key in scheduler.required:
        if settings.get("cores") is not None and settings.get(key) is None:
            yield "cores", f"a job of {scheduler.label} needs {key}, too: set it beside"
    for key, words in scheduler.unasked.items():
        what, _, how = words.partition(", ")
        if settings.get(what) is not None and not settings.get(key):
            yield what, f"{scheduler.label} is not asked for it before {key} is set, too, {how}"
