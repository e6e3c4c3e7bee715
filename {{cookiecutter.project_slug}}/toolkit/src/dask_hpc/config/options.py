"""Options in the ``dask-hpc`` section of the configuration."""

from typing import Any

import dask.config

from .. import batch as batch_systems
from ..errors import ConfigError
from . import sources, validators
from .fields import OWN_FIELDS, SECTION
from .validators import check_duration


def get(key: str) -> Any:
    """Return the value of a key, or its default.

    Raises
    ------
    ConfigError
        The value is invalid.
    """
    field, value = OWN_FIELDS[key], dask.config.get(f"{SECTION}.{key}", None)
    if value is None:
        return field.default
    if line := field.problem(value):
        raise ConfigError(f"{sources.where(SECTION, key)}: {line}.")
    return value


def batch_system() -> batch_systems.BatchSystem:
    """Return the batch system that the configuration names; by default, "none"."""
    return batch_systems.get(get("batch-system"))


def idle_timeout(asked: Any = None) -> float | None:
    """Return after how many seconds without work to close a cluster; None for never.

    Parameters
    ----------
    asked : number, str or timedelta, optional
        The cluster's argument; by default, the value in the configuration.

    Raises
    ------
    ConfigError
        The value is not a time.
    """
    value = get("idle-timeout") if asked is None else asked
    if value is None:
        return None
    number = validators.as_number(asked)
    # An argument may be a number of seconds.
    if asked is not None and (number is None or number < 0) and (line := check_duration(asked)):
        raise ConfigError(f"argument idle_timeout: {line}.")
    return validators.as_seconds(value) or None


def max_resubmits() -> int:
    """Return how many times in a row to resubmit a job that ended unexpectedly; 0 for never."""
    return int(get("max-resubmits"))
