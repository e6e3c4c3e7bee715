"""Describe the configuration in force, for ``dask hpc setup``."""

from collections.abc import Iterator
from typing import Any

import dask.config

from ..batch import BatchSystem
from . import lint as config_lint
from . import profiles, shadowed, sources
from .fields import OWN_FIELDS, SECTION
from .files import files, installed_project, jobqueue_defaults, reread, source_file
from .options import batch_system


def describe() -> list[str]:
    """Describe line by line, for people, what a cluster without arguments now means here.

    Each value comes with the place that it is from. Reads the files anew, so that it is true for
    the next Python that starts.
    """
    dask.config.refresh()
    reread()
    dask.config.update_defaults({"jobqueue": jobqueue_defaults()})
    batch = batch_system()
    if batch.cluster_class is None or batch.section is None:
        return [
            "",
            "get_cluster() now means a LocalCluster: workers on the computer where Python runs.",
        ]
    lines = ["", f"{batch.cluster_class}() now means jobs of {batch.label} with"]
    lines += _section(batch, batch.section, _main_keys(batch))
    for name in profiles.names():
        lines += ["", f'get_cluster(config_name="{name}") changes', *_section(batch, name)]
    lines += ["", "Clusters have"]
    for key, field in OWN_FIELDS.items():
        value = dask.config.get(f"{SECTION}.{key}", None)
        lines.append(_line(key, field.default if value is None else value, SECTION, key))
    return lines


def _main_keys(batch: BatchSystem) -> list[str]:
    keys = [batch.account_key, batch.queue_key, batch.walltime_key, "cores", "processes", "memory"]
    return list(filter(None, [*keys, *batch.required]))


def _section(batch: BatchSystem, name: str, keys: list[str] | None = None) -> Iterator[str]:
    """Yield a line for each of these keys, and for each other one that is not dask-jobqueue's."""
    settings = {
        str(key).replace("_", "-"): it for key, it in dask.config.get(f"jobqueue.{name}").items()
    }
    defaults = jobqueue_defaults().get(name, {})
    changed = [key for key, value in settings.items() if value != defaults.get(key, ...)]
    for key in dict.fromkeys([*(keys or []), *changed]):
        other = key == batch.queue_key and batch.queue_word != key
        yield _line(
            f"{key} ({batch.queue_word})" if other else key,
            settings.get(key),
            "jobqueue",
            name,
            key,
        )


def _line(label: str, value: Any, *names: str) -> str:
    shown = "(not set)" if value is None else str(value)
    found = sources.variable(*names)
    place = f"the variable {found}" if found else sources.place(*names)
    if (project := installed_project()) is not None:
        place = place.removeprefix(f"{project}/")
    return f"  {label:28} {shown:24} {place or ('' if value is None else 'default')}".rstrip()


def lint() -> list[str]:
    """Return what is doubtful in the files that Dask reads here, one line each.

    A line names the file to edit, and the key. The batch system is not asked.
    """
    reread()
    named = [(source_file(path), content) for path, content in files()]
    hidden = shadowed.describe_all()
    return [*hidden.values(), *config_lint.lint(named, set(hidden))]
