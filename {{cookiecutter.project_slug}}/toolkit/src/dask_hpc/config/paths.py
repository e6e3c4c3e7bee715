"""Folders that the configuration names: on file systems that are seen here, and on a node's own."""

import getpass
import os
import pwd
import re
import shlex
import stat
import tempfile
from pathlib import Path

from ..errors import ConfigError
from .shell import is_c_shell

VARIABLE_RE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
HOME_RE = re.compile(r"~[\w.-]*(?=/|$)")
# The same on every computer, and unknown in jobs that start with an empty environment (HTCondor).
USER_VARIABLES = {"USER", "LOGNAME"}


def ensure_shared_directory(text: str, where: str) -> str:
    """Return the path of a folder that this computer and the nodes share; create it if missing.

    ``~`` and variables such as ``$USER`` are filled in here, since the batch system does not.

    Parameters
    ----------
    text : str
    where : str
        The key, for messages.

    Raises
    ------
    ConfigError
        A variable is not set, there is no such user, or the folder can't be made or used; one line.
    """
    path = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111 - raises nothing
    if user := HOME_RE.match(path):
        raise ConfigError(f"{where}: there is no user {user[0][1:]} here, whose home {text} names.")
    if "$" in path:
        raise ConfigError(f"{where}: {text} names a variable that is not set here.")
    if any(character.isspace() for character in path):
        raise ConfigError(f"{where}: {path} has a space, which a job script's options can't hold.")
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{where}: {path} can't be made: {error.strerror}.") from None
    try:
        tempfile.TemporaryFile(dir=path).close()  # what a job's output begins with
    except OSError as error:
        raise ConfigError(f"{where}: {path} can't be written to: {_why(path, error)}.") from None
    return path


def _why(path: str, error: OSError) -> str:
    """Return what is known about the reason why a file can't be created in a folder."""
    if not isinstance(error, PermissionError):
        return error.strerror or str(error)  # a disk quota, a file system that is read-only
    status = Path(path).stat()
    mode = stat.filemode(status.st_mode)
    if status.st_uid == os.geteuid():
        remedy = f"`chmod u+wx {shlex.quote(path)}`"
        return f"it is yours, and its mode {mode} does not let you write: {remedy}"
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = f"the user with the number {status.st_uid}"
    return f"it belongs to {owner}, and its mode {mode} does not let you write"


def node_directory(text: str, where: str, shebang: str = "") -> tuple[str, list[str]]:
    """Return a folder of the node's own as a word of the job script, and lines that check it.

    ``~`` and variables are for the node's shell to fill in: the value of ``$TMPDIR`` may be known
    only there. Without these lines, a variable that is not set there would vanish from the worker's
    command, and a folder that can't be created would end in a traceback from Dask; the lines say so
    in plain words and end the job. Text with more shell syntax than that, and scripts of csh, are
    left as they are.

    Parameters
    ----------
    text : str
    where : str
        The key, for messages.
    shebang : str
        The first line of the job script.
    """
    others = VARIABLE_RE.sub("", text)
    if is_c_shell(shebang) or "$" in others or "`" in others:
        return text, []
    home = HOME_RE.match(text)
    word = start = home[0] if home else ""
    position, lines = len(start), []
    for match in VARIABLE_RE.finditer(text, position):
        word += _quoted(text[position : match.start()])
        position = match.end()
        name = match[1] or match[2]
        if name in USER_VARIABLES:
            word += _quoted(getpass.getuser())
            continue
        word += f'"${{{name}}}"'
        lines.append(f': "${{{name}:?is not set on this node, and {where} names it}}"')
    word += _quoted(text[position:])
    lines.append(
        f"mkdir -p {word} && test -w {word} || "
        f'{{ echo "{where}:" {word} "can\'t be used on $(uname -n)" >&2; exit 1; }}'
    )
    return word, lines


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
