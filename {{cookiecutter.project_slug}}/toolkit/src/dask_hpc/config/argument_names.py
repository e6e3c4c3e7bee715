"""The names of a cluster class's arguments: misspelt ones, old ones, those of other tools."""

import difflib
import inspect
from typing import Any

from .._compat.jobqueue_import import dask_jobqueue
from ..batch import BatchSystem
from ..errors import ConfigError
from . import fields, warnings

# What dask-jobqueue once took, and now takes in another place or form.
REMOVED_ARGUMENTS = {
    "threads": "cores= is for one job; give cores= and processes=",
    "ncores": "give cores=, for one job",
    "nprocs": "its name is now processes",
    "dashboard_address": 'give scheduler_options={"dashboard_address": ...}',
    "diagnostics_port": 'give scheduler_options={"dashboard_address": ":8787"}',
    "scheduler_port": 'give scheduler_options={"port": ...}',
    "port": 'give scheduler_options={"port": ...}',
    "host": 'give scheduler_options={"host": ...}',
}


def normalize_names(
    batch: BatchSystem,
    cluster_class: type[Any],
    job_class: type[Any] | None,
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments under the names that dask-jobqueue has for them now.

    Old names that it still accepts are translated, with a `ConfigWarning`.

    Parameters
    ----------
    batch : BatchSystem
    cluster_class : type
    job_class : type or None
        As given by the user; None for the class's own.
    kwargs : dict

    Raises
    ------
    ConfigError
        There is no such argument. The message names the one that was probably meant.
    """
    known = _parameters(cluster_class) | _parameters(job_class or cluster_class.job_cls)
    renamed = {
        fields.argument_of(old): fields.argument_of(new)
        for old, new in fields.renamed(batch).items()
    }
    found = dict(kwargs)
    for name in kwargs:
        if name in renamed:
            value, new = found.pop(name), renamed[name]
            warnings.warn(f"{cluster_class.__name__}({name}=...): its name is now {new}")
            if value is not None and not found.get(new):
                found[new] = value
        elif name in REMOVED_ARGUMENTS:
            raise ConfigError(f"{cluster_class.__name__}({name}=...): {REMOVED_ARGUMENTS[name]}.")
        elif name not in known:
            meant = _suggest(batch, name, known - set(renamed)) or "."
            raise ConfigError(
                f"{cluster_class.__name__}({name}=...): there is no such argument{meant}"
            )
    return found


def _suggest(batch: BatchSystem, name: str, known: set[str]) -> str:
    if name == batch.queue_word and batch.queue_key:  # a partition
        return f"; it is called {batch.queue_key}."
    if name == "account" and batch.account_key:
        return f"; it is called {batch.account_key}."
    plain = name.replace("-", "_").lower()
    theirs = fields.argument_of(fields.BATCH_OPTION_ALIASES.get(plain.replace("_", "-"), ""))
    if theirs in known:
        return f"; it is called {theirs}."
    close = [plain] if plain in known else difflib.get_close_matches(plain, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _parameters(cls: type) -> set[str]:
    """Return the names of the arguments that a class takes, itself or for its bases."""
    found: set[str] = set()
    for base in inspect.getmro(cls):
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            found |= set(parameters)
            # What this one does not know it hands to the job's class.
            if base is dask_jobqueue.JobQueueCluster:
                break
    return found - {"self", "args", "kwargs", "job_kwargs", "base_class_kwargs"}
