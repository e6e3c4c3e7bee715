"""Profiles: sections of ``jobqueue.yaml`` that say only what differs from the batch system's own.

``get_cluster(config_name="gpu")`` reads ``jobqueue.gpu`` and takes the keys that it leaves out from
the section of the batch system, such as ``jobqueue.slurm``. A key that is null there is a value: a
job of this profile has no such thing. dask-jobqueue 0.9.0 by itself wants every key in every
section, and reads a section again for each argument that is None. `read_as` therefore shows it a
section that is complete.
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
    """What ``jobqueue.yaml`` says about one kind of job; read anew each time, as by dask-jobqueue.

    Attributes
    ----------
    batch : BatchSystem
    name : str
        The profile, or the batch system's own section.
    nulls : frozenset of str
        Keys that are null whatever the configuration says.
    """

    batch: BatchSystem
    name: str
    nulls: frozenset[str] = frozenset()

    def all(self) -> dict[str, Any]:
        """Return the values of all keys, by key."""
        return merged(self.batch, self.name, self.nulls)

    def holder(self, key: str) -> str:
        """Return the section that has a key: the profile, else the batch system's."""
        assert self.batch.section is not None  # or there would be no such jobs
        return self.name if key in _section(self.batch, self.name) else self.batch.section


class FromSettings(Job):
    """Mixed into dask-jobqueue's Job classes: what is not an argument comes from a `Section`."""

    _settings: Section | None = None

    def __init__(self, *args: Any, config_name: str | None = None, **kwargs: Any) -> None:
        if self._settings is None:
            super().__init__(*args, config_name=config_name, **kwargs)
            return
        with read_as(self._settings.all()) as name:
            super().__init__(*args, config_name=name, **kwargs)
        self.config_name = self._settings.name


def merged(batch: BatchSystem, name: str, nulls: Collection[str] = ()) -> dict[str, Any]:
    """Return all keys of a profile; the batch system's section has those that the profile lacks.

    Lists replace those of the batch system's section; mappings, such as ``scheduler-options``, are
    completed from it. dask-jobqueue's old names of keys become the new ones.

    Parameters
    ----------
    batch : BatchSystem
    name : str
        The profile, or the batch system's own section.
    nulls : collection of str
        Keys that are null whatever the configuration says.

    Raises
    ------
    ConfigError
        There is no such profile (the message lists the known ones), or it holds no keys.
    """
    assert batch.section is not None  # or there would be no such jobs
    if name != batch.section and name not in profile_names():
        known = ", ".join([batch.section, *profile_names()])
        raise ConfigError(
            f"There is no section jobqueue.{name} for {batch.label} in jobqueue.yaml; "
            f"known: {known}."
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
        # dask-jobqueue adds to its lists and mappings, and can't where they are null.
        if found[key] is None and (isinstance(default, list | dict) or key in NEVER_NULL):
            found[key] = copy.deepcopy(default)
    return found


def _section(batch: BatchSystem, name: str) -> dict[str, Any]:
    """Return a section as it is in force, its keys by their current names."""
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
    """Keep a section with these keys in the configuration while something is made from it.

    Yields its name, which is unique: clusters in several threads do not see each other's.
    """
    name = f"{PRIVATE}{next(_temporary)}"
    with dask.config.set({f"jobqueue.{name}": keys}):
        yield name
