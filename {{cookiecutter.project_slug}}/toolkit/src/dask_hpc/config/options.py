"""Options in the ``dask-hpc`` section of the configuration."""

from typing import Any

import dask.config
from dask.utils import parse_timedelta

from .. import batch as batch_systems
from ..errors import ConfigError
from . import validators
from .files import SECTION

# How often in a row a job is submitted again.
MAX_RESUBMITS = 5


def batch_system() -> batch_systems.BatchSystem:
    """Return the batch system that the configuration names; "none" if it names none.

    Raises
    ------
    ConfigError
        There is no batch system of that name.
    """
    name = dask.config.get(f"{SECTION}.batch-system", None)
    try:
        return batch_systems.get("none" if name is None else name)
    except KeyError as error:
        raise ConfigError(f"{SECTION}.batch-system in jobqueue.yaml: {error.args[0]}.") from None


def idle_timeout(asked: Any = None) -> float | None:
    """Return the seconds without work after which a cluster is closed; None means never.

    Parameters
    ----------
    asked : number or str, optional
        The argument of the class; None for what the configuration says.

    Raises
    ------
    ConfigError
        It is not a time.
    """
    where, value = "idle_timeout=", asked
    if asked is None:
        where = f"{SECTION}.idle-timeout in jobqueue.yaml:"
        value = dask.config.get(f"{SECTION}.idle-timeout", None)
    if value is None:
        return None
    number = validators.as_number(value)
    bare = number is not None and asked is not None and number >= 0
    if line := "" if bare else validators.check_duration(value):
        raise ConfigError(f"{where} {line}.")
    return parse_timedelta(value if number is None else number, "s") or None


def max_resubmits() -> int:
    """Return how often in a row a job that ended unexpectedly is submitted again; 0 means never.

    Raises
    ------
    ConfigError
        It is not a whole number.
    """
    value = dask.config.get(f"{SECTION}.max-resubmits", None)
    if value is None:
        return MAX_RESUBMITS
    line, number = validators.check_non_negative_int(value), validators.as_whole_number(value)
    if line or number is None:
        raise ConfigError(f"{SECTION}.max-resubmits {line}.")
    return number
