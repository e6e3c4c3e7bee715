"""Profiles: sections of ``jobqueue.yaml`` with only the keys that differ from the default section.

``get_cluster(config_name="gpu")`` reads ``jobqueue.gpu`` and takes missing keys from the batch
system's section, such as ``jobqueue.slurm``. Null is a value: it unsets a key for the profile.
dask-jobqueue 0.9.0 itself requires every key in every section, and reads the section again for each
argument that is None. `read_as` therefore presents it with a complete section.
"""

import contextlib
import copy
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import dask.config

from .._compat.jobqueue_import import Job
from ..batch import BatchSystem
from ..errors import ConfigError
from . import fields
from .files import NO_KEYS, PRIVATE, jobqueue_defaults, profile_names

NEVER_NULL = {key for key, field in fields.FIELDS.items() if field.never_null}

_temporary = itertools.count()


@dataclass(frozen=True)
class Section:
    """The section of ``jobqueue.yaml`` for one kind of job; read every time, as in dask-jobqueue.

    Attributes
    ----------
    batch : BatchSystem
    name : str
        The profile, or the batch system's own section.
    nulls : frozenset of str
        Keys that are null regardless of the configuration.
    """

    batch: BatchSystem
    name: str
    nulls: frozenset[str] = frozenset()

    def all(self) -> dict[str, Any]:
        """Return the values of all keys, by key."""
        return merged(self.batch, self.name, self.nulls)

    def holder(self, key: str) -> str:
        """Return the section that sets a key: the profile, or else the batch system's."""
        assert self.batch.section is not None  # there are no jobs without a batch system
        return self.name if key in _section(self.batch, self.name) else self.batch.section


class FromSettings(Job):
    """Mixin for dask-jobqueue's Job classes that takes missing arguments from a `Section`."""

    _settings: Section | None = None

    def __init__(self, *args: Any, config_name: str | None = None, **kwargs: Any) -> None:
        if self._settings is None:
            super().__init__(*args, config_name=config_name, **kwargs)
            return
        with read_as(self._settings.all()) as name:
            super().__init__(*args, config_name=name, **kwargs)
        self.config_name = self._settings.name


def merged(batch: BatchSystem, name: str, nulls: Collection[str] = ()) -> dict[str, Any]:
    """Return all keys of a profile, including those that it inherits.

    A profile inherits missing keys from the batch system's section. Its lists replace inherited
    ones; its mappings, such as ``scheduler-options``, are merged with them. dask-jobqueue's old
    names of keys become the new ones.

    Parameters
    ----------
    batch : BatchSystem
    name : str
        The profile, or the batch system's own section.
    nulls : collection of str
        Keys that are null regardless of the configuration.

    Raises
    ------
    ConfigError
        The profile does not exist (the message lists those that do), or has no keys.
    """
    assert batch.section is not None  # there are no jobs without a batch system
    if name != batch.section and name not in profile_names():
        known = ", ".join([batch.section, *profile_names()])
        raise ConfigError(
            f"jobqueue.yaml has no section jobqueue.{name} for {batch.label}; available sections: "
            f"{known}."
        )
    defaults = jobqueue_defaults()[batch.section]
    found = {**copy.deepcopy(defaults), **_section(batch, batch.section)}
    if name != batch.section:
        never = NEVER_NULL | set(batch.required)
        for key, value in _section(batch, name).items():
            if isinstance(value, dict) and isinstance(found.get(key), dict):
                value = dask.config.merge(found[key], value)
            if value is not None or key not in never:
                found[key] = value
    found |= dict.fromkeys(nulls)
    for key, default in defaults.items():
        # dask-jobqueue extends its lists and mappings, which fails if they are null.
        if found[key] is None and (isinstance(default, list | dict) or key in NEVER_NULL):
            found[key] = copy.deepcopy(default)
    return found


def _section(batch: BatchSystem, name: str) -> dict[str, Any]:
    """Return a section as in effect, with the current names of its keys."""
    keys = dask.config.get(f"jobqueue.{name}", None)
    if keys is not None and not isinstance(keys, dict):
        raise ConfigError(f"jobqueue.{name} in jobqueue.yaml {NO_KEYS}.")
    found = {str(key).replace("_", "-"): value for key, value in (keys or {}).items()}
    for old, new in fields.renamed(batch).items():
        value = found.pop(old, None)
        if value and not found.get(new):
            found[new] = value
    return {key: None if fields.is_blank(key, value) else value for key, value in found.items()}


@contextlib.contextmanager
def read_as(keys: dict[str, Any]) -> Iterator[str]:
    """Add a temporary section with these keys to the configuration.

    Yields its name, which is unique, so that clusters in several threads do not interfere.
    """
    name = f"{PRIVATE}{next(_temporary)}"
    with dask.config.set({f"jobqueue.{name}": keys}):
        yield name
