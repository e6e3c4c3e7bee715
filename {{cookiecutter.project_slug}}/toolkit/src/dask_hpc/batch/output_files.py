"""Find a job's output files, from the directives of its job script.

dask-jobqueue writes directives for ``log-directory``, users add some in ``job-extra-directives``;
the last one of a kind applies. A *form* here is an absolute path, escaped for `glob`, with
``{job}`` for the job's id and ``*`` for what is not known in advance.
"""

import getpass
import glob
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import BatchSystem

JOB = "{job}"
NOWHERE = "/dev/null"


@dataclass(frozen=True)
class _Dialect:
    """A batch system's directives for output files: [output] in ``words/NAME.toml``."""

    pattern: str  # regular expression of placeholders in a name
    values: Mapping[str, str]  # their values; * for all others
    out: Sequence[str]  # options for stdout
    err: Sequence[str]  # options for stderr
    own_out: Sequence[str] = ()  # default names; if empty, there is no file
    own_err: Sequence[str] = ()  # if empty, stderr goes to stdout's file
    folder: Sequence[str] = ()  # options for the folder of relative names
    join: tuple[str, str] = ("", "")  # an option, and a prefix of its value, that join both files
    hosts: bool = False  # whether names may begin with "host:"

    def joins(self, words: Sequence[str]) -> bool:
        """Return whether these directives send stdout and stderr to the same file."""
        option, value = self.join
        return bool(option) and _last(words, [option]).startswith(value)


def output_patterns(
    batch: BatchSystem,
    header: str | Mapping[str, object],
    name: str | None,
    folder: str | None = None,
) -> list[str]:
    """Return forms of a job's output files, stderr last; empty if there are none.

    Parameters
    ----------
    batch : BatchSystem
    header : str or mapping
        The job script's directives; for HTCondor, its keys and values.
    name : str or None
        The job's name.
    folder : str, optional
        The folder where the job is submitted; by default, the current directory.
    """
    folder = folder or os.getcwd()  # noqa: PTH109 - as a str
    if not isinstance(header, str):
        return _of_condor(header, folder)
    dialect = _Dialect(**batch.output)
    words = _words(header, batch.directive)
    folder = os.path.join(folder, *_values(words, dialect.folder)[-1:])  # noqa: PTH118
    out, err = _last(words, dialect.out), _last(words, dialect.err)
    wanted = [(out, dialect.own_out), (err, dialect.own_err)]
    found: list[str] = []
    for path, own in wanted[:1] if dialect.joins(words) else wanted:
        if not path:
            found += _named(own, glob.escape(folder), name)
            continue
        if dialect.hosts:
            path = re.sub(r"^[\w.-]*:(?=/)", "", path)
        form = _form(dialect, path, name, folder)
        is_folder = path.endswith("/") or os.path.isdir(_plain(form))  # noqa: PTH112
        found += _named(own, form.rstrip("/"), name) if is_folder else [form]
    return list(dict.fromkeys(found))


def _named(own: Sequence[str], folder: str, name: str | None) -> list[str]:
    name = glob.escape(name or "worker")
    return [f"{folder}/{form.format(name=name, job=JOB)}" for form in own]


def has_own_output(batch: BatchSystem, header: str) -> bool:
    """Return whether the directives themselves set an output file."""
    dialect, words = _Dialect(**batch.output), _words(header, batch.directive)
    return bool(_values(words, (*dialect.out, *dialect.err)))


def _words(header: str, mark: str) -> list[str]:
    """Return all words of the directives."""
    found: list[str] = []
    for line in header.splitlines():
        if not line.startswith(mark):
            continue
        try:
            found += shlex.split(line[len(mark) :], comments=True)
        except ValueError:  # an unbalanced quote
            found += line[len(mark) :].split()
    return found


def _values(words: Sequence[str], options: Iterable[str]) -> list[str]:
    """Return the values of these options, in the given order."""
    found = []
    for number, word in enumerate(words):
        for option in options:
            if word == option and number + 1 < len(words):
                found.append(words[number + 1])
            elif option.startswith("--"):
                # Long options may be abbreviated.
                given, equals, value = word.partition("=")
                if equals and len(given) > 4 and option.startswith(given):
                    found.append(value)
            # LSF's -oo and -eo are separate options.
            elif len(option) == 2 < len(word) and word[:2] == option and word[2:] != "o":
                found.append(word[2:])
    return found


def _last(words: Sequence[str], options: Sequence[str]) -> str:
    return next(reversed(_values(words, options)), "")


def _form(dialect: _Dialect, path: str, name: str | None, folder: str) -> str:
    known = {"name": name or "worker", "user": _user(), "home": str(Path.home()), "folder": folder}

    def replace(match: re.Match[str]) -> str:
        value = dialect.values.get(match.groupdict().get("key") or "", "*")
        if match.groupdict().get("width") and value == JOB:
            return f"*{JOB}"  # with leading zeros
        if value.startswith("{") and not value.startswith(JOB):
            return glob.escape(known[value.strip("{}")])
        return value

    # Placeholders contain none of the characters that glob.escape escapes.
    file = re.sub(dialect.pattern, replace, glob.escape(path))
    return os.path.join(glob.escape(folder), file)  # noqa: PTH118


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
        file = _CONDOR.sub(lambda it: numbers.get(it["key"].lower(), "*"), glob.escape(path))
        found.append(os.path.join(glob.escape(folder), file))  # noqa: PTH118
    return list(dict.fromkeys(found))


def _plain(form: str) -> str:
    """Return the path for a form without wildcards."""
    return re.sub(r"\[([*?[])\]", r"\1", form)


def find_files(form: str, job: str | None) -> list[str]:
    """Return the files that match a form, for one job or any job, newest last.

    A form without wildcards returns its file, whether it exists or not.
    """
    pattern = form.replace(JOB, "*" if job is None else glob.escape(job))
    if "*" not in re.sub(r"\[[*?[]\]", "", pattern):
        return [_plain(pattern)]
    found = [path for path in glob.glob(pattern) if os.path.isfile(path)]  # noqa: PTH113, PTH207
    return sorted(found, key=os.path.getmtime)


def show_pattern(form: str, job: str) -> str:
    """Return a form as shown to users."""
    return _plain(form.replace(JOB, job))


def tail(path: str, most: int) -> str:
    """Return the end of a file as text, at most so many bytes; empty if it can't be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
