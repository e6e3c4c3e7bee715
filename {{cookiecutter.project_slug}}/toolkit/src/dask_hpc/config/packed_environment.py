"""Start a job's workers from a packed environment, which its node unpacks on its local disk.

A worker asks for thousands of files when it starts, which can take minutes from a shared file
system (see docs/how-to/slow-file-systems.md); one archive is read at once. The job's shell unpacks
it, since no Python has been loaded yet.
"""

import os
import re
import shlex
import sys
from pathlib import Path

from ..errors import ConfigError
from . import paths, sources, trust
from .resolve import JobSettings
from .scratch import VARIABLE as SCRATCH
from .shell import is_bourne, is_c_shell, joined

KEY = "python"
# The shell's variable with the workers' Python.
VARIABLE = "dask_python"
_ARCHIVE = re.compile(r".*\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz)", re.DOTALL)
_TEXT = Path(__file__).with_name("unpack_environment.sh").read_text(encoding="utf-8")
_LINES = [line for line in _TEXT.splitlines() if not line.startswith("#")]


def is_packed(python: object) -> bool:
    """Return whether a value of the key `python` names an archive."""
    return _ARCHIVE.fullmatch(str(python).strip()) is not None


def add_packed_environment(settings: JobSettings) -> JobSettings:
    """Add to a cluster's settings, where `python` is an archive, the lines that unpack it.

    They need the folder that `add_scratch` makes.

    Raises
    ------
    ConfigError
        The archive does not exist, or other users could replace it.
    """
    if not is_packed(text := settings.get(KEY)):
        return settings
    in_arguments, section = KEY in settings.given, settings.section.holder(KEY)
    name = f"argument {KEY}" if in_arguments else f"jobqueue.{section}.{KEY}"
    path = _checked(text, name if in_arguments else sources.where("jobqueue", section, KEY))
    shebang = settings.get("shebang")
    # Only a shell's own script can have several lines in quotes.
    code = "\n".join(_LINES) if is_bourne(shebang) else joined(_LINES)
    words = shlex.join([str(path), sys.executable, name])
    unpack = f'sh -c {shlex.quote(code)} sh "${SCRATCH}" {words}'
    if is_c_shell(shebang):
        lines = [f"set {VARIABLE} = `{unpack}`", f'if ("${VARIABLE}" == "") exit 1']
        lines.append(f'setenv {VARIABLE} "${VARIABLE}"')
    else:
        lines = [f"{VARIABLE}=$({unpack}) || exit 1"]
    prologue = [*settings.get("job-script-prologue"), *lines]
    return settings.with_arguments(python=f'"${VARIABLE}"', job_script_prologue=prologue)


def python_of_programs(settings: JobSettings) -> str:
    """Return the Python for the program of a job, as a word of its script: never an archive."""
    text = settings.get(KEY)
    return shlex.quote(sys.executable) if is_packed(text) else str(text)


def _checked(text: str, where: str) -> Path:
    """Return the path of an archive that exists and that others cannot replace."""
    path = Path(paths.expanded(text.strip()))
    if not path.is_absolute():
        raise ConfigError(f"{where}: {text} is not an absolute path.")
    if not path.is_file():
        raise ConfigError(
            f"{where}: there is no file {path}; pack the environment, or remove the key."
        )
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{where}: you may not read {path}.")
    if line := trust.trusted().path_problem(path):
        raise ConfigError(f"{where}: not using {path}, which could run code as you: {line}.")
    return path
