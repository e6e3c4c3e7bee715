"""Profiles: sections of ``jobqueue.yaml`` that say only what differs from the batch system's own.

``get_cluster(config_name="gpu")`` reads ``jobqueue.gpu`` and takes everything that it leaves out
from the section of the batch system, such as ``jobqueue.slurm``. dask-jobqueue 0.9.0 by itself
wants every key in every section.
"""

from __future__ import annotations

from typing import Any

import dask.config

from .config import packaged
from .errors import ConfigError
from .schedulers import Scheduler


def names() -> list[str]:
    """The profiles that the configuration has, by name."""
    sections = dask.config.get("jobqueue", None) or {}
    return sorted(
        str(name)
        for name, keys in sections.items()
        if name not in packaged() and isinstance(keys, dict)
    )


def arguments(batch: Scheduler, name: str) -> dict[str, Any]:
    """What a profile says, as arguments of a cluster class.

    Lists replace those of the batch system's section; mappings, such as ``scheduler-options``, are
    completed from it. A key that is null counts as left out.

    Parameters
    ----------
    batch : Scheduler
    name : str
        The profile, or the batch system's own section, which says nothing beyond itself.

    Raises
    ------
    ConfigError
        There is no such profile; one line with those that there are.
    """
    if name == batch.section:
        return {}
    if name not in names():
        known = ", ".join([batch.section, *names()])
        raise ConfigError(
            f"There is no section jobqueue.{name} for {batch.label} in jobqueue.yaml; "
            f"known: {known}."
        )
    found = {}
    for key in packaged()[batch.section]:
        value = dask.config.get(f"jobqueue.{name}.{key}", None)
        base = dask.config.get(f"jobqueue.{batch.section}.{key}", None)
        if isinstance(value, dict) and isinstance(base, dict):
            value = dask.config.merge(base, value)
        if value is not None:
            found[key.replace("-", "_")] = value
    return found
