"""Describe the configuration in effect, for ``dask hpc setup``."""

from collections.abc import Iterable, Iterator

import dask.config

from ..batch import BatchSystem
from . import lint as config_lint
from . import shadowed, sources
from .fields import FIELDS, OWN_FIELDS, SECTION
from .files import jobqueue_defaults, named_files, profile_names, reread
from .options import batch_system, get


def describe() -> list[str]:
    """Return lines that show the settings of a cluster without arguments.

    Each value comes with its source. This rereads the files, so that the lines apply to the next
    Python that starts.
    """
    dask.config.refresh()
    reread()
    dask.config.update_defaults({"jobqueue": jobqueue_defaults()})
    batch = batch_system()
    if batch.cluster_class is None or batch.section is None:
        local = "get_cluster() now starts a LocalCluster: workers on the computer running Python."
        return ["", local]
    keys = [batch.account_key, batch.queue_key, batch.walltime_key, "cores", "processes", "memory"]
    lines = ["", f"{batch.cluster_class}() now submits {batch.label} jobs with"]
    lines += _rows(batch, ("jobqueue", batch.section), [*filter(None, keys), *batch.required])
    for name in profile_names():
        lines += ["", f'get_cluster(config_name="{name}") changes']
        lines += _rows(batch, ("jobqueue", name))
    lines += ["", "Section dask-hpc:", *_rows(batch, (SECTION,), OWN_FIELDS)]
    if (group := get("trusted-group")) is not None:
        opens = "folders that lead to your configuration and logs, and so run code as you"
        lines += ["", f"trusted-group: members of {group} may write to {opens}."]
    return lines


def _rows(batch: BatchSystem, section: tuple[str, ...], keys: Iterable[str] = ()) -> Iterator[str]:
    """Yield a line for each of these keys, and for each other key that is not at its default."""
    found = dask.config.get(".".join(section), None) or {}
    settings = {str(key).replace("_", "-"): value for key, value in found.items()}
    defaults = {key: field.default for key, field in OWN_FIELDS.items()}
    defaults = jobqueue_defaults().get(section[-1], defaults)
    changed = [key for key, value in settings.items() if value != defaults.get(key, ...)]
    for key in dict.fromkeys([*keys, *changed]):
        has_word = key == batch.queue_key and key != batch.queue_word
        label = f"{key} ({batch.queue_word})" if has_word else key
        value = settings.get(key, defaults.get(key))
        ours = getattr((FIELDS | OWN_FIELDS).get(key), "default", None) or "(not set)"
        shown = ours if value is None else str(value)
        place = sources.origin(*section, key) or ("" if value is None else "default")
        yield f"  {label:28} {shown:24} {place}".rstrip()


def lint() -> list[str]:
    """Return what is doubtful in the files and variables that Dask reads here, one line each.

    A line names the file to edit, or the variable, and the key. The batch system is not asked.
    """
    reread()
    hidden = shadowed.describe_all()
    return [*hidden.values(), *config_lint.lint(named_files(), set(hidden))]
