"""Normalize the names of a cluster class's arguments, and explain unknown ones."""

from typing import Any

from .._compat.jobqueue_import import JobQueueCluster
from ..batch import BatchSystem
from ..errors import ArgumentError
from . import fields, validators, warnings


def normalize_names(
    batch: BatchSystem,
    cluster_class: type[Any],
    job_class: type[Any] | None,
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments under their current names in dask-jobqueue.

    Translates old names that dask-jobqueue still accepts, with a `ConfigWarning`.

    Parameters
    ----------
    batch : BatchSystem
    cluster_class : type
    job_class : type or None
        As given by the user; None for the cluster class's own.
    kwargs : dict

    Raises
    ------
    ArgumentError
        An argument does not exist. The message suggests the one that was probably meant.
    """
    # dask-jobqueue's cluster class passes unknown arguments on to the job class.
    classes = [cls for cls in cluster_class.__mro__ if cls not in JobQueueCluster.__mro__[1:]]
    known = validators.parameters(*classes, *(job_class or cluster_class.job_cls).__mro__)
    renamed = {
        fields.argument_of(old): fields.argument_of(new)
        for old, new in fields.renamed(batch).items()
    }
    found = dict(kwargs)
    for name in kwargs:
        if name in renamed:
            value, new = found.pop(name), renamed[name]
            warnings.warn(f"{cluster_class.__name__}({name}=...) was renamed: use {new}")
            if value is not None and not found.get(new):
                found[new] = value
        elif name in fields.REMOVED_ARGUMENTS:
            raise ArgumentError(
                f"{cluster_class.__name__}({name}=...): {fields.REMOVED_ARGUMENTS[name]}."
            )
        elif name not in known:
            raise unknown(cluster_class.__name__, name, _suggest(batch, name, known - set(renamed)))
    return found


def _suggest(batch: BatchSystem, name: str, known: set[str]) -> str:
    if name == batch.queue_word and batch.queue_key:  # a partition
        return f"; use {batch.queue_key}"
    if name == "account" and batch.account_key:
        return f"; use {batch.account_key}"
    plain = name.replace("-", "_").lower()
    if plain in known:
        return f"; did you mean {plain}?"
    # The aliases are for keys, with hyphens.
    keys = {argument.replace("_", "-") for argument in known}
    return fields.suggest(plain.replace("_", "-"), keys).replace("-", "_")


def unknown(class_name: str, argument: str, meant: str) -> ArgumentError:
    """Return the error for an unknown argument; `meant` is a result of `fields.suggest`."""
    end = "" if meant.endswith("?") else "."
    return ArgumentError(f"{class_name}({argument}=...): unknown argument{meant}{end}")
