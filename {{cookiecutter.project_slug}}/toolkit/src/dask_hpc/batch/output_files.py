"""Where a job's output goes, read from the directives of its own job script.

dask-jobqueue's lines come from ``log-directory``, a user's own from ``job-extra-directives``; of
several for the same thing the last one counts. A *form* here is an absolute path as `glob` takes
it, in which ``{job}`` stands for the job's id and ``*`` for what is not known before.
"""

from __future__ import annotations

import getpass
import glob
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import BatchSystem

JOB = "{job}"
NOWHERE = "/dev/null"


@dataclass(frozen=True)
class _Dialect:
    """How a batch system's directives say where output goes."""

    out: tuple[str, ...]  # options
    err: tuple[str, ...]
    pattern: str  # a regular expression of what is replaced in a name
    values: Mapping[str, str]  # what by; * for all others
    own_out: tuple[str, ...] = ()  # the names that it gives itself; none: there is no file
    own_err: tuple[str, ...] = ()  # none: errors go where the rest goes
    folder: tuple[str, ...] = ()  # options for the folder that relative names are of
    join: Callable[[Sequence[str]], bool] = lambda _: False  # whether both go into one file
    hosts: bool = False  # names may begin with "host:"


def _follows(words: Sequence[str], option: str, value: str) -> bool:
    """Return whether the last value given to the option begins with `value`."""
    given = _values(words, (option,))
    return bool(given) and given[-1].startswith(value)


_DIALECTS = {
    "slurm": _Dialect(
        out=("-o", "--output"),
        err=("-e", "--error"),
        folder=("-D", "--chdir"),
        own_out=("slurm-{job}.out",),
        pattern=r"%(?P<width>\d*)(?P<key>[%a-zA-Z])",
        values={"%": "%", "j": JOB, "A": JOB, "J": JOB, "x": "{name}", "u": "{user}", "t": "0"},
    ),
    "pbs": _Dialect(
        out=("-o",),
        err=("-e",),
        own_out=("{job}.*.OU", "{name}.o{job}"),
        own_err=("{job}.*.ER", "{name}.e{job}"),
        pattern=r"\$\{?(?P<key>PBS_\w+|HOME|USER)\}?|(?P<index>\^array_index\^)",
        values={"PBS_JOBID": f"{JOB}*", "PBS_JOBNAME": "{name}", "HOME": "{home}", "USER": "{user}"}
        | {"PBS_O_WORKDIR": "{folder}"},
        join=lambda words: _follows(words, "-j", "o"),
        hosts=True,
    ),
    "sge": _Dialect(
        out=("-o",),
        err=("-e",),
        folder=("-wd",),
        own_out=("{name}.o{job}",),
        own_err=("{name}.e{job}",),
        pattern=r"\$(?P<key>JOB_ID|JOB_NAME|HOME|USER|TASK_ID|HOSTNAME)",
        values={"JOB_ID": JOB, "JOB_NAME": "{name}", "HOME": "{home}", "USER": "{user}"},
        join=lambda words: _follows(words, "-j", "y"),
        hosts=True,
    ),
    "lsf": _Dialect(
        out=("-o", "-oo"),
        err=("-e", "-eo"),
        folder=("-cwd",),
        pattern=r"%(?P<key>[JIU])",
        values={"J": JOB, "I": "0", "U": "{user}"},
    ),
    "oar": _Dialect(
        out=("-O", "--stdout"),
        err=("-E", "--stderr"),
        folder=("-d", "--directory"),
        own_out=("OAR.{name}.{job}.stdout", "OAR.{job}.stdout"),
        own_err=("OAR.{name}.{job}.stderr", "OAR.{job}.stderr"),
        pattern=r"%(?P<key>jobid|jobname)%",
        values={"jobid": JOB, "jobname": "{name}"},
    ),
}


def output_patterns(
    batch: BatchSystem,
    header: str | Mapping[str, object],
    name: str | None,
    folder: str | None = None,
) -> list[str]:
    """Return forms of the files with a job's output, errors last; empty if there are none.

    Parameters
    ----------
    batch : BatchSystem
    header : str or mapping
        The job script's lines for the batch system; for HTCondor, its keys and values.
    name : str or None
        The job's name.
    folder : str, optional
        Where the job is submitted; default: the current folder.
    """
    folder = folder or os.getcwd()  # noqa: PTH109 - a str
    if not isinstance(header, str):
        return _of_condor(header, folder)
    dialect = _DIALECTS[batch.name]
    words = _words(header, batch.directive)
    if moved := _values(words, dialect.folder):
        folder = os.path.join(folder, moved[-1])  # noqa: PTH118
    out, err = _last(words, dialect.out), _last(words, dialect.err)
    wanted = [(out, dialect.own_out), (err, dialect.own_err)]
    found: list[str] = []
    for path, own in wanted[:1] if dialect.join(words) else wanted:
        if not path:
            found += _named(own, glob.escape(folder), name)
            continue
        if dialect.hosts:
            path = re.sub(r"^[\w.-]*:(?=/)", "", path)
        form = _form(dialect, path, name, folder)
        is_folder = path.endswith("/") or os.path.isdir(_plain(form))  # noqa: PTH112
        found += _named(own, form.rstrip("/"), name) if is_folder else [form]
    return list(dict.fromkeys(found))


def _named(own: tuple[str, ...], folder: str, name: str | None) -> list[str]:
    name = glob.escape(name or "worker")
    return [f"{folder}/{form.format(name=name, job=JOB)}" for form in own]


def has_own_output(batch: BatchSystem, header: str) -> bool:
    """Return whether the directives themselves say where output goes."""
    dialect, words = _DIALECTS[batch.name], _words(header, batch.directive)
    return bool(_values(words, (*dialect.out, *dialect.err)))


def _words(header: str, mark: str) -> list[str]:
    """Return all words of the directives."""
    found: list[str] = []
    for line in header.splitlines():
        if not line.startswith(mark):
            continue
        try:
            found += shlex.split(line[len(mark) :], comments=True)
        except ValueError:  # a quotation mark alone
            found += line[len(mark) :].split()
    return found


def _values(words: Sequence[str], options: Iterable[str]) -> list[str]:
    """Return the values of these options, in the order in which they were given."""
    found = []
    for number, word in enumerate(words):
        for option in options:
            if word == option and number + 1 < len(words):
                found.append(words[number + 1])
            elif option.startswith("--"):
                # Long options may be shortened.
                given, equals, value = word.partition("=")
                if equals and len(given) > 4 and option.startswith(given):
                    found.append(value)
            # LSF's -oo and -eo are options of their own.
            elif len(option) == 2 < len(word) and word[:2] == option and word[2:] != "o":
                found.append(word[2:])
    return found


def _last(words: Sequence[str], options: tuple[str, ...]) -> str:
    return next(reversed(_values(words, options)), "")


def _form(dialect: _Dialect, path: str, name: str | None, folder: str) -> str:
    known = {"name": name or "worker", "user": _user(), "home": str(Path.home()), "folder": folder}
    parts, end = [], 0
    for match in re.finditer(dialect.pattern, path):
        parts.append(glob.escape(path[end : match.start()]))
        value = dialect.values.get(match.groupdict().get("key") or "", "*")
        if match.groupdict().get("width") and value == JOB:
            value = f"*{JOB}"  # with zeros in front
        if value[:1] == "{" and value != JOB and not value.startswith(JOB):
            value = glob.escape(known[value.strip("{}")])
        parts.append(value)
        end = match.end()
    parts.append(glob.escape(path[end:]))
    return os.path.join(glob.escape(folder), "".join(parts))  # noqa: PTH118


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "*"


_CONDOR = re.compile(r"\$F?[a-z]*\((?P<key>[\w.]+)\)", re.IGNORECASE)


def _of_condor(header: Mapping[str, object], folder: str) -> list[str]:
    settings = {str(key).lower(): str(value) for key, value in header.items()}
    folder = os.path.join(folder, settings.get("initialdir", ""))  # noqa: PTH118
    numbers = {"clusterid": JOB, "cluster": JOB, "procid": "0", "process": "0"}
    numbers["my.jobid"] = f"{JOB}.0"
    found = []
    for key in ("output", "error"):
        if not (path := settings.get(key, "").strip("\"'")):
            continue
        path = path.replace("$(LogDirectory)", settings.get("logdirectory", ""))
        parts, end = [], 0
        for match in _CONDOR.finditer(path):
            parts += [glob.escape(path[end : match.start()])]
            parts += [numbers.get(match["key"].lower(), "*")]
            end = match.end()
        parts.append(glob.escape(path[end:]))
        found.append(os.path.join(glob.escape(folder), "".join(parts)))  # noqa: PTH118
    return list(dict.fromkeys(found))


def _plain(form: str) -> str:
    """Return the path that a form without wildcards stands for."""
    return re.sub(r"\[([*?[])\]", r"\1", form)


def find_files(form: str, job: str | None) -> list[str]:
    """Return the files that a form stands for, of one job or of any; the newest last.

    A form that stands for a single file gives that one, whether it exists or not.
    """
    pattern = form.replace(JOB, "*" if job is None else glob.escape(job))
    if "*" not in re.sub(r"\[[*?[]\]", "", pattern):
        return [_plain(pattern)]
    found = [path for path in glob.glob(pattern) if os.path.isfile(path)]  # noqa: PTH113, PTH207
    return sorted(found, key=os.path.getmtime)


def show_pattern(form: str, job: str) -> str:
    """Return a form as it is shown to people."""
    return _plain(form.replace(JOB, job))
