"""Check the settings of one kind of job: the rules of single keys, and those across keys.

Clusters apply these rules to the settings in effect, `lint` to files.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..batch import BatchSystem
from . import fields, validators
from .files import jobqueue_defaults

# Keys that are names: a function that makes each valid in a job script, and why it is needed.
_NAMES = {
    "name": (
        validators.clean_job_name,
        "job names cannot contain spaces, slashes, or quotes",
    ),
    "cluster-name": (
        validators.clean_cluster_name,
        "worker names cannot contain spaces, quotes, or shell operators",
    ),
}


class Problem(NamedTuple):
    """A problem with a key, in words that follow the key's name.

    A problem is fatal if the value is invalid. Others deserve a warning: the value may be a
    mistake, or the batch system may reject it.
    """

    key: str
    text: str
    is_fatal: bool = True


def check(batch: BatchSystem | None, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a job with these settings; a key that is None is not set."""
    good: dict[str, Any] = {}
    known = jobqueue_defaults()[batch.section] if batch and batch.section else fields.FIELDS
    for key, value in settings.items():
        if value is None:
            continue
        # A key of another batch system has no effect here, and may have another meaning.
        field = fields.FIELDS.get(key) if key in known else None
        check_one = validators.check_single_line if field is None else field.problem
        line = check_one(value)
        if value == "None":
            yield Problem(key, "'None' is text here; leave it empty, or use null", bool(line))
        elif line:
            yield Problem(key, line)
        else:
            good[key] = value
    yield from _check_sizes(good)
    yield from _check_names(good)
    if batch is not None:
        if batch.directive and not str(good.get("shebang", "#!")).startswith("#!"):
            line = f"must begin with #!, as in #!/bin/bash, not {good['shebang']!r}"
            yield Problem("shebang", line, is_fatal=False)
        yield from _check_directives(batch, good.get("job-extra-directives"))
        if batch.walltime_key and (line := read_walltime(batch, good)[1]):
            yield Problem(batch.walltime_key, line, is_fatal=False)
        yield from _check_requests(batch, settings)


def read_walltime(batch: BatchSystem, settings: Mapping[str, Any]) -> tuple[float | None, str]:
    """Return the walltime in seconds, or None, and why it is invalid, or an empty text."""
    value = settings.get(batch.walltime_key) if batch.walltime_key else None
    try:
        return None if value is None else batch.parse_walltime(str(value)), ""
    except ValueError as error:
        return None, str(error).removeprefix("walltime ")


def _check_sizes(good: Mapping[str, Any]) -> Iterator[Problem]:
    cores = validators.as_whole_number(good.get("cores"))
    processes = validators.as_whole_number(good.get("processes"))
    if cores and processes and processes > cores:
        line = f"{processes} processes cannot share {cores} cores; reduce processes"
        yield Problem("processes", line)
    elif cores and processes and (left := cores % processes):
        line = f"does not divide cores: {left} of {cores} cores will be idle"
        yield Problem("processes", line, is_fatal=False)
    if "memory" in good and (line := validators.check_memory(good["memory"], processes or 1)):
        yield Problem("memory", line, is_fatal=False)


def _check_names(good: Mapping[str, Any]) -> Iterator[Problem]:
    for key, (clean, no) in _NAMES.items():
        if key in good and (name := clean(given := str(good[key]))) != given:
            line = f"using {name} instead of {given!r}, since {no}"
            yield Problem(key, line, is_fatal=False)


def _check_directives(batch: BatchSystem, directives: Any) -> Iterator[Problem]:
    if directives is None:
        return
    if line := batch.directives_problem(directives):
        yield Problem("job-extra-directives", line)
    elif line := batch.no_option_in(directives):
        yield Problem("job-extra-directives", line, is_fatal=False)


def _check_requests(batch: BatchSystem, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield resources that dask-jobqueue does not request from this batch system."""
    for key in batch.required:
        if settings.get("cores") is not None and settings.get(key) is None:
            line = f"{batch.label} jobs also need {key}: set it in the same section"
            yield Problem("cores", line, is_fatal=False)
    for key, words in batch.not_requested.items():
        what, _, how = words.partition(", ")
        if settings.get(what) is not None and not settings.get(key):
            line = f"not requested from {batch.label} unless {key} is set, too, {how}"
            yield Problem(what, line, is_fatal=False)
