"""Resolve a cluster's arguments and the configuration into the settings of its jobs."""

import getpass
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import dask.config

from .. import batch as batch_systems
from ..errors import ConfigError
from . import fields, job_rules, memory_limit, profiles, shadowed, sources, validators, warnings
from . import paths as config_paths
from .files import jobqueue_defaults


@dataclass(frozen=True)
class JobSettings:
    """The settings of a cluster's jobs, from its arguments and the configuration.

    Attributes
    ----------
    batch : BatchSystem
    section : profiles.Section
        The keys of the cluster's section of ``jobqueue.yaml``.
    arguments : dict
        Those of dask-jobqueue's class: the user's, completed with what it must be given explicitly.
    cores, processes : int
    memory : str
    memory_limit : str or None
        A worker's, if it is not to be the default.
    walltime : float or None
        Seconds asked for; None without a walltime, or if it can't be read.
    death_timeout : float or None
        Seconds after which a worker that finds no scheduler gives up.
    given : frozenset of str
        The keys that the user's arguments stand for.
    """

    batch: batch_systems.BatchSystem
    section: profiles.Section
    arguments: dict[str, Any]
    cores: int
    processes: int
    memory: str
    memory_limit: str | None
    walltime: float | None
    death_timeout: float | None
    given: frozenset[str]

    def origins(self, text: str) -> str:
        """Return where keys that a message names are set, if not in the lab's files; else empty."""
        found, keys = [], self.section.all().keys() - self.given
        for key in dict.fromkeys(re.findall(r"[a-z]+(?:-[a-z]+)*", text)):
            place = sources.origin("jobqueue", self.section.holder(key), key) if key in keys else ""
            if place and not place.startswith("config/"):
                found.append(f"{key} is from {place}")
        return ", ".join(found)

    def get(self, key: str) -> Any:
        """Return the value of a key: that of its argument, or else of the configuration."""
        return _join(self.arguments, self.section.all()).get(key)

    def with_arguments(self, **changed: Any) -> "JobSettings":
        """Return the same settings with other arguments for dask-jobqueue's class."""
        return replace(self, arguments={**self.arguments, **changed})


def _join(arguments: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all keys; arguments other than None take precedence."""
    given = {fields.key_of(name): it for name, it in arguments.items() if it is not None}
    return {**keys, **given}


def resolve(batch: batch_systems.BatchSystem, arguments: Mapping[str, Any]) -> JobSettings:
    """Resolve a cluster's arguments and the configuration into job settings.

    Cores, memory, and processes become arguments, since dask-jobqueue's `scale(cores=…)`,
    `scale(memory=…)`, and grouping of workers by job use only arguments. All other keys stay in the
    section: those of a profile (``config_name``) or, if missing there, of the batch system's
    section. Folders are expanded, and shared ones created. A ``--memory-limit`` among the worker's
    options becomes `memory_limit`, which dask-jobqueue does not know.

    Raises
    ------
    ConfigError
        A value is missing or invalid.
    """
    return _Resolver(batch, arguments).resolve()


class _Resolver:
    """The steps of `resolve`, each of which completes `arguments`."""

    def __init__(self, batch: batch_systems.BatchSystem, arguments: Mapping[str, Any]):
        assert batch.section is not None  # there are no clusters without a batch system
        self.batch, self.arguments = batch, dict(arguments)
        self.profile = self.arguments.pop("config_name", None) or batch.section
        if self.arguments.get("name") == "":  # the name of the cluster, not of the jobs
            self.arguments["name"] = None
        nulls = set()
        for name, value in self.arguments.items():
            key = fields.key_of(name)
            if fields.is_blank(key, value):
                nulls.add(key)
            self.arguments[name] = None if key in nulls else self._plain(key, value)
        self.section = profiles.Section(batch, self.profile, frozenset(nulls))
        self.values = _join(self.arguments, self.section.all())
        self.given = {fields.key_of(name) for name, it in self.arguments.items() if it is not None}
        warnings.warn_about_old_names(fields.renamed(batch), {batch.section, self.profile})
        # A section that exists. dask-jobqueue's cluster class gets all it reads as arguments.
        self.arguments["config_name"] = batch.section

    def _plain(self, key: str, value: Any) -> Any:
        """Return an argument's value in the form that it would have in a file."""
        if key == self.batch.walltime_key and isinstance(value, timedelta):
            return self.batch.format_walltime(value.total_seconds())
        is_list = key in fields.FIELDS and fields.FIELDS[key].kind.schema["type"] == "array"
        if is_list and isinstance(value, Iterable) and not isinstance(value, str | Mapping):
            return list(value)  # from any kind of iterable
        return value

    def name(self, key: str) -> str:
        """Return a key's name: the argument, or the section and key."""
        if key in self.given:
            return f"argument {fields.argument_of(key)}"
        return ".".join(self._names(key))

    def where(self, key: str) -> str:
        """Return the start of a message about a key: the file and line, or the argument."""
        return self.name(key) if key in self.given else sources.where(*self._names(key))

    def _names(self, key: str) -> tuple[str, ...]:
        return ("jobqueue", self.section.holder(key), key)

    def resolve(self) -> JobSettings:
        self._check()
        self._parse()
        self._interface()
        self._names_of_jobs()
        self._shared_folders()
        limit, rest = memory_limit.split_memory_limit(self.arguments["worker_extra_args"])
        self.arguments["worker_extra_args"] = rest
        if self.values.get("python") is None:
            # dask-jobqueue does not quote the path in the script, and it may have a space.
            self.arguments["python"] = shlex.quote(sys.executable)
        return JobSettings(
            self.batch,
            self.section,
            self.arguments,
            cores=self.values["cores"],
            processes=self.arguments["processes"],
            memory=self.values["memory"],
            memory_limit=limit,
            walltime=job_rules.read_walltime(self.batch, self.values)[0],
            death_timeout=self.values.get("death-timeout"),
            given=frozenset(self.given),
        )

    def _check(self) -> None:
        """Raise an error for the first invalid value; otherwise warn about likely mistakes."""
        for key in ("cores", "memory", *self.batch.required):
            if self.values.get(key) is None:
                raise ConfigError(describe_unset(self.section.holder(key), key))
        values = dict(self.values)
        if self.arguments.get("scheduler_cls") is not None:
            del values["scheduler-options"]  # the user's own class may take other options
        problems = job_rules.check(self.batch, values)
        for problem in sorted(problems, key=lambda problem: not problem.is_fatal):
            line = f"{self.where(problem.key)}: {problem.text}"
            if problem.is_fatal:
                raise ConfigError(f"{line}.")
            warnings.warn(line)

    def _parse(self) -> None:
        """Add arguments for values that dask-jobqueue cannot parse in the configuration."""
        for key in jobqueue_defaults()[self.batch.section or ""]:
            field, value = fields.FIELDS.get(key), self.values.get(key)
            if field is not None and field.kind.parse is not None and value is not None:
                self.values[key] = field.kind.parse(value)
                self.arguments[fields.argument_of(key)] = self.values[key]
        processes = self.values.get("processes") or default_processes(self.values["cores"])
        if processes > 1 and self.arguments.get("nanny") is False:
            raise ConfigError(
                f"nanny=False requires one process per job, but jobqueue.{self.profile} has "
                f"{processes}: pass processes=1, too."
            )
        self.arguments["processes"] = processes
        if (directives := self.values.get("job-extra-directives")) is not None:
            self.arguments["job_extra_directives"] = self.batch.unmarked(directives)

    def _interface(self) -> None:
        options = self.values["scheduler-options"]
        interface = self.values.get("interface")
        default = dask.config.get(f"jobqueue.{self.batch.section}.interface", None)
        if interface is None and default is not None:
            # Null in a profile. If it were None, dask-jobqueue would read the default.
            interface, options = "", {"interface": None, **options}
        self.arguments["scheduler_options"] = options
        if interface is not None:
            self.arguments["interface"] = interface

    def _names_of_jobs(self) -> None:
        name = self._clean("name", validators.clean_job_name)
        forms = [form for form in self.batch.log_names if "{name}" in form]
        rest = max((len(form.format(name="", job="0" * 10)) for form in forms), default=0)
        longest = validators.MAX_FILE_NAME_BYTES - rest
        if self.values.get("log-directory") and len(os.fsencode(name)) > longest:
            raise ConfigError(
                f"{self.where('name')}: a name of {len(name)} characters is too long, since the "
                f"jobs' output files are named after it; use at most {longest} characters."
            )
        self._clean("cluster-name", validators.clean_cluster_name)

    def _clean(self, key: str, clean: Callable[[str], str]) -> str:
        """Replace characters that a job script cannot contain in a name; return the name."""
        if (given := self.values.get(key)) is None:
            return ""
        name = clean(str(given))
        if name != str(given):
            self.arguments[fields.argument_of(key)] = name or None
        return name

    def _shared_folders(self) -> None:
        if (logs := self.values.get("log-directory")) is not None:
            text = str(logs)
            if self.batch.log_user:  # a placeholder of a batch system that creates no folders
                text = text.replace(self.batch.log_user, getpass.getuser())
            where = self.where("log-directory")
            self.arguments["log_directory"] = config_paths.ensure_shared_directory(text, where)
        if not self.arguments.get("security"):
            return
        # For the keys of encrypted connections. dask-jobqueue's default, the current directory, may
        # not be visible to nodes; the one for their output is.
        shared = self.arguments.get("log_directory") or "."
        if (folder := self.values.get("shared-temp-directory")) is not None:
            where = self.where("shared-temp-directory")
            shared = config_paths.ensure_shared_directory(str(folder), where, own=False)
        self.arguments["shared_temp_directory"] = os.path.abspath(shared)  # noqa: PTH100 - as a str


def default_processes(cores: int) -> int:
    """Return the default number of processes per job: the largest up to 8 that divides its cores.

    A pure-Python loop uses only one core per process, so threads alone would not speed it up.
    """
    return max(n for n in range(1, 9) if cores % n == 0)


def describe_unset(section: str, key: str) -> str:
    """Return a message about a required key that is not set."""
    if found := sources.variable("jobqueue", section, key):
        return f"{key} is not set: the environment variable {found} unsets it; `unset {found}`."
    if line := shadowed.describe_key(section, key):
        return f"{key} is not set: {line}"
    return (
        f"{key} is not set: add it to config/jobqueue.yaml, section jobqueue.{section}, and run "
        f"`dask hpc setup`, or pass the argument {fields.argument_of(key)}."
    )
