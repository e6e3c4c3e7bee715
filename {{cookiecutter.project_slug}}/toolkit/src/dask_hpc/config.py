"""The lab's configuration: where it is, linking it into the environment, reading it.

It is Dask's own configuration, in the project's folder ``config/``. ``jobqueue.yaml`` has, beside
dask-jobqueue's sections, one of ours::

    dask-hpc:
      scheduler: slurm   # or none: workers run on the computer where Python runs
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import yaml
from dask.utils import parse_timedelta

from . import folders, limits, schedulers, values
from .errors import ConfigError

SECTION = "dask-hpc"
# How often in a row a job is submitted again.
RESUBMIT = 5
# First line of a file that was copied, where links are not allowed: it is ours to replace.
COPIED = "# A copy made by `dask hpc setup`, of "
COPIED_HINT = "; run it again after an edit there."


def scheduler() -> schedulers.Scheduler:
    """The batch system that the configuration names; "none" where it names none.

    Raises
    ------
    ConfigError
        There is no batch system of that name.
    """
    name = dask.config.get(f"{SECTION}.scheduler", None)
    try:
        return schedulers.get("none" if name is None else name)
    except KeyError as error:
        raise ConfigError(f"{SECTION}.scheduler in jobqueue.yaml: {error.args[0]}.") from None


def idle_timeout(asked: Any = None) -> float | None:
    """Seconds without anything to do after which a cluster is closed; None: never.

    Parameters
    ----------
    asked : number or str, optional
        The argument of the class; None: what the configuration says.

    Raises
    ------
    ConfigError
        It is no time.
    """
    where, value = "idle_timeout=", asked
    if asked is None:
        where = f"{SECTION}.idle-timeout in jobqueue.yaml:"
        value = dask.config.get(f"{SECTION}.idle-timeout", None)
    if value is None:
        return None
    number = values.number(value)
    bare = number is not None and asked is not None and number >= 0
    if line := "" if bare else values.duration(value):
        raise ConfigError(f"{where} {line}.")
    return parse_timedelta(value if number is None else number, "s") or None


def resubmit() -> int:
    """How often in a row a job that ended unasked is submitted again; 0: never.

    Raises
    ------
    ConfigError
        It is no whole number.
    """
    value = dask.config.get(f"{SECTION}.resubmit", None)
    if value is None:
        return RESUBMIT
    if line := values.times(value):
        raise ConfigError(f"{SECTION}.resubmit {line}.")
    return values.whole(value)


def find_project(start: Path | str | None = None) -> Path:
    """The project's folder: the nearest one, from `start` upward, with ``config/jobqueue.yaml``.

    Raises
    ------
    ConfigError
        There is none.
    """
    start = Path.cwd() if start is None else Path(start).expanduser().absolute()
    if ".." in start.parts:
        start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "config" / "jobqueue.yaml").is_file():
            return folder
    raise ConfigError(
        f"No config/jobqueue.yaml in {start} or a folder above it: go to the lab's project, "
        "or name its folder."
    )


def link(project: Path | str | None = None, prefix: Path | str = sys.prefix) -> list[Path]:
    """Make the project's ``config/*.yaml`` count in the environment at `prefix`.

    They are linked into ``{prefix}/etc/dask``, which Dask reads in every shell and kernel of that
    environment, so that an edit of the project's file counts the next time Python starts. Where
    links are not allowed they are copied.

    Parameters
    ----------
    project : path, optional
        A folder in the project; default: the present one.
    prefix : path
        Default: the environment of this Python.

    Returns
    -------
    list of Path
        What is there now, in ``etc/dask``; a copy where ``is_symlink()`` is false.

    Raises
    ------
    ConfigError
        A file is no YAML, the environment can't be written to, or another file of the same name
        is there.
    """
    project = find_project(project)
    sources = sorted((project / "config").glob("*.yaml"))
    for source in sources:
        read(source)  # Dask refuses to be imported while one of its files can't be read
    folder = Path(prefix) / "etc" / "dask"
    targets = [folder / source.name for source in sources]
    # All are looked at before any is touched.
    for target in targets:
        if not _ours(target):
            raise ConfigError(
                f"{target} is there already and is not ours: move it away, then try again."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, targets, strict=True):
            _place(source, target)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder}: {error.strerror}. Run this with the Python of an "
            "environment of your own."
        ) from None
    return targets


def linked(prefix: Path | str = sys.prefix) -> Path | None:
    """The project whose ``config/`` counts in the environment at `prefix`, if there is one."""
    target = Path(prefix) / "etc" / "dask" / "jobqueue.yaml"
    source = origin(target)
    return None if source == target else source.parent.parent


def _ours(target: Path) -> bool:
    """Whether a file of ``etc/dask`` is absent, or was put there by `link`."""
    if target.is_symlink():
        aim = target.parent / target.readlink()
        # Ours point to a file of the same name in a project's config/; the project may have gone.
        return aim.name == target.name and aim.parent.name == "config"
    if not target.exists():
        return True
    if not target.is_file():
        return False
    with target.open(errors="replace") as file:
        return file.readline().startswith(COPIED)


def _place(source: Path, target: Path) -> None:
    # Under another name first: a Python that starts just now finds the old file or the new one.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(source)
    except OSError:
        draft.write_text(f"{COPIED}{source}{COPIED_HINT}\n{source.read_text()}")
    try:
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """One YAML file of Dask's configuration.

    Raises
    ------
    ConfigError
        It can't be read, or is not a mapping at its top; says where in the file.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{path}{where} is not valid YAML: {problem}.") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path} holds no sections: it should begin like `jobqueue:`.")
    return content or {}


@cache
def packaged() -> dict[str, dict[str, Any]]:
    """The sections and keys that dask-jobqueue itself ships: those that it reads."""
    # Not imported for this: see _jobqueue.
    folder = Path(importlib.util.find_spec("dask_jobqueue").origin).parent
    return yaml.safe_load((folder / "jobqueue.yaml").read_text())["jobqueue"]


def batch_arguments() -> set[str]:
    """Names of the arguments that dask-jobqueue's classes read from ``jobqueue.yaml``."""
    return {key.replace("-", "_") for section in packaged().values() for key in section}


def explicit(batch: schedulers.Scheduler, kwargs: dict[str, Any]) -> dict[str, Any]:
    """A cluster's arguments with those filled in that dask-jobqueue wants to be told, not to read.

    Its `scale(cores=…)`, `scale(memory=…)` and the grouping of workers by job look at arguments
    alone. All else is in `settings`, beside the arguments: the keys of a profile (``config_name``),
    and of the batch system's section what it leaves out.
    Folders are expanded, and those that are shared with the nodes made. A ``--memory-limit`` among
    the worker's options becomes `memory_limit`, which dask-jobqueue does not know.

    Raises
    ------
    ConfigError
        Something needed is missing or impossible.
    """
    from . import config_check, doubts, profiles  # they read this module

    kwargs = dict(kwargs)
    section = batch.section
    profile = kwargs.pop("config_name", None) or section
    if kwargs.get("name") == "":  # the cluster's, not the jobs'
        kwargs["name"] = None
    nulls = set()
    for key, value in [(_key(name), value) for name, value in kwargs.items() if name != "name"]:
        if config_check.is_blank(key, value):
            nulls.add(key)
            kwargs[_argument(key)] = None
    settings = profiles.Settings(batch, profile, frozenset(nulls))
    found = settings.all()
    doubts.about_old_names(profiles.renamed(batch), {section, profile})
    given = {name for name, value in kwargs.items() if value is not None}
    # Whatever dask-jobqueue's cluster class reads itself is an argument; this section is there.
    kwargs |= {"config_name": section, "settings": settings}

    def setting(name: str) -> Any:
        return kwargs[name] if kwargs.get(name) is not None else found.get(_key(name))

    def key(name: str) -> str:
        if name in given:
            return f"argument {name}"
        return named(section, profile, _key(name))

    for name in ("cores", "memory", *batch.required):
        if setting(name) is None:
            raise ConfigError(not_set(section, _key(name)))
    for name in ("cores", "processes"):
        if setting(name) is not None and (line := values.count(setting(name))):
            raise ConfigError(f"{key(name)} {line}.")
    cores = values.whole(setting("cores"))
    processes = values.whole(setting("processes")) or default_processes(cores)
    if line := values.unreadable_memory(setting("memory")):
        raise ConfigError(f"{key('memory')}: {line}.")
    if (timeout := setting("death_timeout")) is not None:
        if line := values.seconds(timeout):
            raise ConfigError(f"{key('death_timeout')} {line}.")
        # The worker's command wants a word, and others here a number.
        number = values.number(timeout)
        kwargs["death_timeout"] = parse_timedelta(timeout if number is None else number, "s")
    for name in map(_argument, config_check.LISTS):
        if isinstance(setting(name), str):
            raise ConfigError(f"{key(name)} must be a list, not {setting(name)!r}.")
        kwargs[name] = list(setting(name) or [])
    words = kwargs["worker_extra_args"]
    kwargs["worker_extra_args"] = [w if values.number(w) is None else str(w) for w in words]
    if setting("interface") is not None and (line := values.interface(setting("interface"))):
        raise ConfigError(f"{key('interface')} {line}.")
    for name in ("log_directory", "local_directory", "shared_temp_directory"):
        if setting(name) is not None and (line := values.folder(setting(name))):
            raise ConfigError(f"{key(name)} {line}.")
    # A scheduler class of the user's own may take others.
    options = setting("scheduler_options") if kwargs.get("scheduler_cls") is None else None
    if options is not None and (line := values.scheduler_options(options)):
        raise ConfigError(f"{key('scheduler_options')}: {line}.")
    for name in sorted(batch_arguments() | set(kwargs) - {"settings"}):
        if line := values.one_line(name.replace("_", "-"), setting(name)):
            raise ConfigError(f"{key(name)}: {line}.")
    directives = setting("job_extra_directives")
    if isinstance(directives, Iterable) and not isinstance(directives, str | Mapping):
        directives = list(directives)  # of any kind
    if directives is not None:
        if line := batch.directives_problem(directives):
            raise ConfigError(f"{key('job_extra_directives')} {line}.")
        if "job_extra_directives" in given and (line := batch.comment_in(directives)):
            doubts.warn(f"argument job_extra_directives: {line}")
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
    memory = values.memory_text(setting("memory"))
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
        kwargs["log_directory"] = folders.made(text, key("log_directory"))
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
            shared = folders.made(
                str(setting("shared_temp_directory")), key("shared_temp_directory")
            )
        else:
            shared = kwargs.get("log_directory") or "."
        kwargs["shared_temp_directory"] = os.path.abspath(shared)  # noqa: PTH100 - a str
    if setting("local_directory") is not None:
        where = key("local_directory").partition(" (")[0]  # the job says it; without a file's name
        kwargs["local_directory"], lines = folders.on_the_node(
            str(setting("local_directory")), where, str(setting("shebang"))
        )
        # The lab's own may set what the folder names.
        kwargs["job_script_prologue"] += lines
    limit, rest = limits.taken_out(kwargs["worker_extra_args"])
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
    batch: schedulers.Scheduler, kwargs: dict[str, Any], job_name: Any, where: str
) -> None:
    """Replace in the names of a cluster and its jobs what a job script can't hold, and say so."""
    from . import doubts  # it reads this module

    if job_name is not None:
        name = values.job_name(str(job_name))
        if name != str(job_name):
            no = "their name can't hold blanks, slashes and quotes"
            doubts.warn(f"{where} {job_name!r}: jobs are called {name}, since {no}.")
            kwargs["job_name"] = name
        forms = [form for form in batch.log_names if "{name}" in form]
        rest = max((len(form.format(name="", job="0" * 10)) for form in forms), default=0)
        longest = values.LONGEST_FILE - rest
        if kwargs.get("log_directory") and len(os.fsencode(name)) > longest:
            raise ConfigError(
                f"{where}: a name of {len(name)} characters is too long for the files of the jobs' "
                f"output, which are called after it; give {longest} at most."
            )
    if (cluster := kwargs.get("name")) is not None:
        name = values.cluster_name(str(cluster)) or None
        if name != str(cluster):
            no = "its workers' names can't hold blanks, quotes and what ends a command"
            doubts.warn(f"argument name {cluster!r}: the cluster is called {name}, since {no}.")
            kwargs["name"] = name


def default_processes(cores: int) -> int:
    """Processes of a job where nothing is said: the largest number up to 8 that divides its cores.

    A pure-Python loop is held to one core per process, so that threads alone would not speed it up.
    """
    if values.count(cores):
        return 1
    cores = values.whole(cores)
    return max(n for n in range(1, 9) if cores % n == 0)


def origin(path: Path) -> Path:
    """The file to edit for what Dask reads at `path`: the project's, where `link` put this one."""
    if path.is_symlink() and _ours(path):
        return path.resolve()
    try:
        with path.open(errors="replace") as file:
            first = file.readline()
    except OSError:
        return path
    if not first.startswith(COPIED):
        return path
    return Path(first.strip().removeprefix(COPIED).removesuffix(COPIED_HINT))


def files() -> list[tuple[Path, dict[str, Any]]]:
    """The files that Dask reads here and what they say; a later one goes before an earlier one."""
    return _files(tuple(dask.config.paths))


@cache
def _files(paths: tuple[str, ...]) -> list[tuple[Path, dict[str, Any]]]:
    # Kept, since reading them takes as long as the rest of making a cluster; an edit counts from
    # the next start of Python on in any case.
    return list(dask.config.collect_yaml(list(paths), return_paths=True))


def summary() -> list[str]:
    """What a cluster without arguments now means here, line by line, for people.

    Reads the files anew, so that it holds for the Python that starts next.
    """
    dask.config.refresh()
    _files.cache_clear()
    dask.config.update_defaults({"jobqueue": packaged()})
    batch = scheduler()
    if batch.cluster_class is None:
        return [
            "",
            "get_cluster() now means a LocalCluster: workers on the computer where Python runs.",
        ]
    other = batch.queue_word != batch.queue_key
    names = {batch.queue_key: f"{batch.queue_key} ({batch.queue_word})"} if other else {}
    settings = dask.config.get(f"jobqueue.{batch.section}")
    lines = ["", f"{batch.cluster_class}() now means jobs of {batch.label} with"]
    keys = [batch.account_key, batch.queue_key, batch.walltime_key, "cores", "processes", "memory"]
    for key in filter(None, [*keys, *batch.required]):
        value = settings.get(key)
        shown = "(not set)" if value is None else str(value)
        lines.append(f"  {names.get(key, key):20} {shown}{_elsewhere(batch.section, key)}")
    return lines


def _elsewhere(section: str, key: str) -> str:
    """Where a setting comes from, if from another place than the lab's file."""
    place = source(section, key)
    return f"   from {place}" if place else ""


def source(section: str, key: str) -> str:
    """The file or variable that a setting is from; empty: the lab's file, or none of them."""
    name = f"jobqueue.{section}.{key}"
    if found := variable(section, key):
        return f"the variable {found}"
    for path, content in reversed(files()):
        if dask.config.get(name, _ABSENT, config=content) is not _ABSENT:
            return "" if is_labs(path) else str(path)
    return ""


def variable(section: str, key: str) -> str:
    """The variable of the environment that sets a key, as ``DASK_JOBQUEUE__SLURM__CORES`` does."""
    name = f"jobqueue.{section}.{key}".replace("-", "_")
    for found in os.environ:
        if found.startswith("DASK_"):
            path = found.removeprefix("DASK_").lower().replace("__", ".").replace("-", "_")
            if path == name:
                return found
    return ""


_ABSENT = object()


def is_labs(path: Path) -> bool:
    """Whether this is a file that `link` puts into the environment, or would."""
    return path.parent == Path(sys.prefix) / "etc" / "dask"


def named(section: str, profile: str, key: str) -> str:
    """A key for a message: in the section that says it, and the file if it is not the lab's."""
    keys = dask.config.get(f"jobqueue.{profile}", None) or {}
    own = {str(name).replace("_", "-") for name in keys}
    section = profile if key in own else section
    place = source(section, key)
    return f"jobqueue.{section}.{key}" + (f" (from {place})" if place else "")


def not_set(section: str, key: str) -> str:
    """What to do about a key that a job can't do without."""
    from . import hiding  # it reads this module

    if found := variable(section, key):
        return f"{key} of a job is not set: the variable {found} says so; `unset {found}`."
    if line := hiding.of_key(section, key):
        return f"{key} of a job is not set: {line}"
    return (
        f"{key} of a job is not set: write it into config/jobqueue.yaml, section "
        f"jobqueue.{section}, and run `dask hpc setup`, or give {key.replace('-', '_')}= as an "
        "argument."
    )


def check() -> list[str]:
    """What is doubtful in the files that Dask reads here, one line each; empty if nothing is.

    A line names the file to edit, and the key. Nothing is asked of the batch system.
    """
    from . import config_check, hiding  # they read this module

    _files.cache_clear()
    named = [(origin(path), content) for path, content in files()]
    hidden = hiding.lines()
    return [*hidden.values(), *config_check.findings(named, set(hidden))]
