"""Describe the configuration in force, for ``dask hpc setup``."""

import dask.config

from . import lint as config_lint
from . import shadowed
from .files import _files, files, jobqueue_defaults, place_of, source_file
from .options import batch_system


def describe() -> list[str]:
    """Describe line by line, for people, what a cluster without arguments now means here.

    Reads the files anew, so that it is true for the next Python that starts.
    """
    dask.config.refresh()
    _files.cache_clear()
    dask.config.update_defaults({"jobqueue": jobqueue_defaults()})
    batch = batch_system()
    if batch.cluster_class is None or batch.section is None:
        return [
            "",
            "get_cluster() now means a LocalCluster: workers on the computer where Python runs.",
        ]
    other = batch.queue_word != batch.queue_key
    names = {batch.queue_key: f"{batch.queue_key} ({batch.queue_word})"} if other else {}
    settings = dask.config.get(f"jobqueue.{batch.section}")
    lines = ["", f"{batch.cluster_class}() now means jobs of {batch.label} with"]
    keys = [batch.account_key, batch.queue_key, batch.walltime_key, "cores", "processes", "memory"]
    for key in filter(None, [*keys, *batch.required]):
        value = settings.get(key)
        shown = "(not set)" if value is None else str(value)
        lines.append(f"  {names.get(key, key):20} {shown}{_elsewhere(batch.section, key)}")
    return lines


def _elsewhere(section: str, key: str) -> str:
    """Return where a setting comes from, in words, or an empty text for the lab's file."""
    place = place_of(section, key)
    return f"   from {place}" if place else ""


def lint() -> list[str]:
    """Return what is doubtful in the files that Dask reads here, one line each.

    A line names the file to edit, and the key. The batch system is not asked.
    """
    _files.cache_clear()
    named = [(source_file(path), content) for path, content in files()]
    hidden = shadowed.describe_all()
    return [*hidden.values(), *config_lint.lint(named, set(hidden))]
