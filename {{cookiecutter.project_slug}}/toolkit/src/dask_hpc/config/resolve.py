"""Resolve a cluster's arguments and the configuration to what dask-jobqueue is given."""

import getpass
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import dask.config
from dask.utils import parse_timedelta

from .. import batch as batch_systems
from ..errors import ConfigError
from . import keys as config_keys
from . import memory_limit, profiles, shadowed, validators, warnings
from . import paths as config_paths
from .files import jobqueue_defaults, place_of, variable


def batch_arguments() -> set[str]:
    """Return the names of the arguments that dask-jobqueue reads from ``jobqueue.yaml``."""
    return {key.replace("-", "_") for section in jobqueue_defaults().values() for key in section}


def resolve_arguments(batch: batch_systems.BatchSystem, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a cluster's arguments, completed with what dask-jobqueue must be given explicitly.

    Its `scale(cores=…)`, `scale(memory=…)` and the grouping of workers by job look at arguments
    alone. Everything else is in `settings`, beside the arguments: the keys of a profile
    (``config_name``), and for those that it leaves out, the keys of the batch system's section.
    Folders are expanded, and those that are shared with the nodes are created. A
    ``--memory-limit`` among the worker's options becomes `memory_limit`, which dask-jobqueue does
    not know.

    Raises
    ------
    ConfigError
        Something needed is missing or impossible.
    """
    kwargs = dict(kwargs)
    section = batch.section
    assert section is not None  # or there would be no such cluster
    profile = kwargs.pop("config_name", None) or section
    if kwargs.get("name") == "":  # the cluster's, not the jobs'
        kwargs["name"] = None
    nulls = set()
    for known, value in [(_key(name), value) for name, value in kwargs.items() if name != "name"]:
        if config_keys.is_blank(known, value):
            nulls.add(known)
            kwargs[_argument(known)] = None
    settings = profiles.Settings(batch, profile, frozenset(nulls))
    found = settings.all()
    warnings.warn_about_old_names(profiles.renamed(batch), {section, profile})
    given = {name for name, value in kwargs.items() if value is not None}
    # Whatever dask-jobqueue's cluster class reads itself is an argument; this section is there.
    kwargs |= {"config_name": section, "settings": settings}

    def setting(name: str) -> Any:
        return kwargs[name] if kwargs.get(name) is not None else found.get(_key(name))

    def key(name: str) -> str:
        if name in given:
            return f"argument {name}"
        return describe_key(section, profile, _key(name))

    for name in ("cores", "memory", *batch.required):
        if setting(name) is None:
            raise ConfigError(describe_unset(section, _key(name)))
    for name in ("cores", "processes"):
        if setting(name) is not None and (line := validators.check_count(setting(name))):
            raise ConfigError(f"{key(name)} {line}.")
    cores = validators.as_whole_number(setting("cores"))
    assert cores is not None  # as count says
    processes = validators.as_whole_number(setting("processes")) or default_processes(cores)
    if line := validators.check_memory_amount(setting("memory")):
        raise ConfigError(f"{key('memory')}: {line}.")
    if (timeout := setting("death_timeout")) is not None:
        if line := validators.check_seconds(timeout):
            raise ConfigError(f"{key('death_timeout')} {line}.")
        # The worker's command wants a word, and others here a number.
        number = validators.as_number(timeout)
        kwargs["death_timeout"] = parse_timedelta(timeout if number is None else number, "s")
    for name in map(_argument, config_keys.LIST_KEYS):
        if isinstance(setting(name), str):
            raise ConfigError(f"{key(name)} must be a list, not {setting(name)!r}.")
        kwargs[name] = list(setting(name) or [])
    words = kwargs["worker_extra_args"]
    kwargs["worker_extra_args"] = [
        word if validators.as_number(word) is None else str(word) for word in words
    ]
    if setting("interface") is not None and (
        line := validators.check_interface(setting("interface"))
    ):
        raise ConfigError(f"{key('interface')} {line}.")
    for name in ("log_directory", "local_directory", "shared_temp_directory"):
        if setting(name) is not None and (line := validators.check_folder(setting(name))):
            raise ConfigError(f"{key(name)} {line}.")
    # A scheduler class of the user's own may take others.
    options = setting("scheduler_options") if kwargs.get("scheduler_cls") is None else None
    if options is not None and (line := validators.check_scheduler_options(options)):
        raise ConfigError(f"{key('scheduler_options')}: {line}.")
    for name in sorted(batch_arguments() | set(kwargs) - {"settings"}):
        if line := validators.check_single_line(name.replace("_", "-"), setting(name)):
            raise ConfigError(f"{key(name)}: {line}.")
    directives = setting("job_extra_directives")
    if isinstance(directives, Iterable) and not isinstance(directives, str | Mapping):
        directives = list(directives)  # of any kind
    if directives is not None:
        if line := batch.directives_problem(directives):
            raise ConfigError(f"{key('job_extra_directives')} {line}.")
        if "job_extra_directives" in given and (line := batch.comment_in(directives)):
            warnings.warn(f"argument job_extra_directives: {line}")
        kwargs["job_extra_directives"] = batch.unmarked(directives)
    if processes > cores:
        raise ConfigError(
            f"{key('processes')}: {processes} processes can't share {cores} cores; "
            "make processes smaller."
        )
    if processes > 1 and kwargs.get("nanny") is False:
        raise ConfigError(
            f"nanny=False is for one process per job, and jobqueue.{profile} has {processes}: "
            "give processes=1 too."
        )
    memory = validators.memory_text(setting("memory"))
    kwargs.update(cores=cores, memory=memory, processes=processes)
    kwargs["scheduler_options"] = setting("scheduler_options")
    if setting("interface") is not None:
        kwargs["interface"] = setting("interface")
    elif dask.config.get(f"jobqueue.{section}.interface", None) is not None:
        # Null in a profile. dask-jobqueue would look for it in this section, if it were None.
        kwargs["interface"] = ""
        kwargs["scheduler_options"] = {"interface": None, **kwargs["scheduler_options"]}
    if setting("log_directory") is not None:
        text = str(setting("log_directory"))
        if batch.log_user:  # the batch system fills it in, and makes no folders
            text = text.replace(batch.log_user, getpass.getuser())
        kwargs["log_directory"] = config_paths.ensure_shared_directory(text, key("log_directory"))
    _name_for_jobs(batch, kwargs, setting("job_name"), key("job_name"))
    if kwargs.get("security") is True and importlib.util.find_spec("cryptography") is None:
        raise ConfigError(
            "security=True makes keys with the package cryptography, which is not here: "
            "`python -m pip install cryptography`, or `conda install cryptography`."
        )
    if kwargs.get("security"):
        # The keys of encrypted connections go there. dask-jobqueue's own choice, the present
        # folder, may be one that nodes don't see; they do see the one for their output.
        if setting("shared_temp_directory") is not None:
            shared = config_paths.ensure_shared_directory(
                str(setting("shared_temp_directory")), key("shared_temp_directory")
            )
        else:
            shared = kwargs.get("log_directory") or "."
        kwargs["shared_temp_directory"] = os.path.abspath(shared)  # noqa: PTH100 - a str
    if setting("local_directory") is not None:
        where = key("local_directory").partition(" (")[0]  # the job says it; without a file's name
        kwargs["local_directory"], lines = config_paths.node_directory(
            str(setting("local_directory")), where, str(setting("shebang"))
        )
        # The lab's own may set what the folder names.
        kwargs["job_script_prologue"] += lines
    limit, rest = memory_limit.split_memory_limit(kwargs["worker_extra_args"])
    if limit is not None:
        kwargs.update(memory_limit=limit, worker_extra_args=rest)
    if setting("python") is None:
        # dask-jobqueue puts the path into the script as it is; an environment's may hold a space.
        kwargs["python"] = shlex.quote(sys.executable)
    return kwargs


def _key(argument: str) -> str:
    return "name" if argument == "job_name" else argument.replace("_", "-")


def _argument(key: str) -> str:
    return "job_name" if key == "name" else key.replace("-", "_")


def _name_for_jobs(
    batch: batch_systems.BatchSystem, kwargs: dict[str, Any], job_name: Any, where: str
) -> None:
    """Replace what a job script can't hold in the names of cluster and jobs, with a warning."""
    if job_name is not None:
        name = validators.clean_job_name(str(job_name))
        if name != str(job_name):
            no = "their name can't hold blanks, slashes and quotes"
            warnings.warn(f"{where} {job_name!r}: jobs are called {name}, since {no}.")
            kwargs["job_name"] = name
        forms = [form for form in batch.log_names if "{name}" in form]
        rest = max((len(form.format(name="", job="0" * 10)) for form in forms), default=0)
        longest = validators.MAX_FILE_NAME_BYTES - rest
        if kwargs.get("log_directory") and len(os.fsencode(name)) > longest:
            raise ConfigError(
                f"{where}: a name of {len(name)} characters is too long for the files of the jobs' "
                f"output, which are called after it; give {longest} at most."
            )
    if (cluster := kwargs.get("name")) is not None:
        plain = validators.clean_cluster_name(str(cluster)) or None
        if plain != str(cluster):
            no = "its workers' names can't hold blanks, quotes and what ends a command"
            warnings.warn(f"argument name {cluster!r}: the cluster is called {plain}, since {no}.")
            kwargs["name"] = plain


def default_processes(cores: int) -> int:
    """Return the default number of processes of a job: the largest up to 8 that divides its cores.

    A pure-Python loop is held to one core per process, so that threads alone would not speed it up.
    """
    number = validators.as_whole_number(cores)
    if number is None or validators.check_count(cores):
        return 1
    return max(n for n in range(1, 9) if number % n == 0)


def describe_key(section: str, profile: str, key: str) -> str:
    """Name a key in a message: with the section that has it, and the file if not the lab's."""
    keys = dask.config.get(f"jobqueue.{profile}", None) or {}
    own = {str(name).replace("_", "-") for name in keys}
    section = profile if key in own else section
    place = place_of(section, key)
    return f"jobqueue.{section}.{key}" + (f" (from {place})" if place else "")


def describe_unset(section: str, key: str) -> str:
    """Return what to do about a key that is not set and that a job can't do without."""
    if found := variable(section, key):
        return f"{key} of a job is not set: the variable {found} says so; `unset {found}`."
    if line := shadowed.describe_key(section, key):
        return f"{key} of a job is not set: {line}"
    return (
        f"{key} of a job is not set: write it into config/jobqueue.yaml, section "
        f"jobqueue.{section}, and run `dask hpc setup`, or give {key.replace('-', '_')}= as an "
        "argument."
    )
