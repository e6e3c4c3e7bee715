"""Resolve a cluster's arguments, and warn about likely mistakes in them or the configuration."""

from typing import Any

from ..batch import BatchSystem
from ..config import argument_names, warnings
from ..config.packed_environment import add_packed_environment
from ..config.resolve import JobSettings, resolve
from ..config.scratch import add_scratch
from ..config.worker_start import add_worker_start
from ..security.choice import choose


def resolve_job_settings(
    batch: BatchSystem, cluster_class: type, job_cls: type | None, kwargs: dict[str, Any]
) -> JobSettings:
    """Return the job settings for these arguments of a cluster class, encrypted by default.

    Raises
    ------
    ConfigError
        An argument, or a value in the configuration, is invalid.
    """
    kwargs = {**kwargs, "security": choose(kwargs.get("security"), kwargs.get("protocol"))}
    sections = {name for name in (batch.section, kwargs.get("config_name")) if name}
    warnings.warn_about_keys(sections)
    kwargs = argument_names.normalize_names(batch, cluster_class, job_cls, kwargs)
    given = [name for name, value in kwargs.items() if value is not None]
    settings = add_scratch(add_worker_start(resolve(batch, kwargs)))
    settings = add_packed_environment(settings)
    warnings.warn_about_hidden_keys(sections, given)
    return settings
