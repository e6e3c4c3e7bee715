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
        There can be no such value.
    """
    field, value = OWN_FIELDS[key], dask.config.get(f"{SECTION}.{key}", None)
    if value is None:
        return field.default
    if line := field.problem(value):
        raise ConfigError(f"{sources.where(SECTION, key)}: {line}.")
    return value


def batch_system() -> batch_systems.BatchSystem:
    """Return the batch system that the configuration names; "none" if it names none."""
    return batch_systems.get(get("batch-system"))


def idle_timeout(asked: Any = None) -> float | None:
    """Return the seconds without work after which a cluster is closed; None means never.

    Parameters
    ----------
    asked : number, str or timedelta, optional
        The argument of the class; None for what the configuration says.

    Raises
    ------
    ConfigError
        It is not a time.
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
    """Return how often in a row a job that ended unexpectedly is submitted again; 0 means never."""
    return int(get("max-resubmits"))
