"""Folders in the configuration: on shared file systems, and on a node's local disk."""

import getpass
import os
import re
import shlex
import stat
import tempfile
from pathlib import Path

from .._output import messages
from ..errors import ConfigError
from . import accounts, trust
from .shell import is_c_shell

VARIABLE_RE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
HOME_RE = re.compile(r"~[\w.-]*(?=/|$)")
# The same on every computer, but not set in jobs with an empty environment (HTCondor).
USER_VARIABLES = {"USER", "LOGNAME"}


def expanded(text: str) -> str:
    """Return a path with `~` and variables filled in, as far as they are known."""
    return os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111 - never raises


def ensure_shared_directory(text: str, where: str, own: bool = True) -> str:
    """Return the path of a folder that this computer shares with the nodes; create it if missing.

    Expands ``~`` and variables such as ``$USER``, which the batch system does not do.

    Parameters
    ----------
    text : str
        The folder, as written in the configuration.
    where : str
        The key, for messages.
    own : bool
        Whether the folder must be this user's, and is closed to other users.

    Raises
    ------
    ConfigError
        A variable is not set, a user does not exist, the folder cannot be created or written to, or
        other users could replace it.
    """
    path = expanded(text)
    if user := HOME_RE.match(path):
        raise ConfigError(f"{where}: unknown user {user[0][1:]} in {text}.")
    if "$" in path:
        raise ConfigError(f"{where}: {text} contains a variable that is not set here.")
    if any(character.isspace() for character in path):
        raise ConfigError(f"{where}: {path} has a space, which job script options cannot contain.")
    folder, whom = Path(path).absolute(), trust.trusted()
    for _ in range(2):  # before creating anything in another user's folder, and what is there then
        if line := whom.path_problem(folder):
            raise ConfigError(f"{where}: not using {path}: {line}.")
        try:
            create_folder(folder)
        except OSError as error:
            raise ConfigError(f"{where}: cannot create {path}: {error.strerror}.") from None
    if own:
        _close(folder, f"{where}: {path}")
    try:
        tempfile.TemporaryFile(dir=path).close()  # as a job will do for its output
    except OSError as error:
        raise ConfigError(f"{where}: cannot write to {path}: {_why(path, error)}.") from None
    return path


def create_folder(folder: Path, mode: int = 0o700) -> None:
    """Create an absolute folder, by default for this user only, and those above it.

    Others cannot write to any of them, whatever the umask.
    """
    if not folder.is_dir():
        for parent in reversed(folder.parents):
            parent.mkdir(mode=0o755, exist_ok=True)
        folder.mkdir(mode=mode, exist_ok=True)


def _close(folder: Path, label: str) -> None:
    """Close a folder of this user to others, who could read the jobs' output."""
    status = folder.stat()
    if status.st_uid != accounts.this_user():
        owner = accounts.user_name(status.st_uid)
        raise ConfigError(f"{label} belongs to {owner}: name a folder of your own, as one in it.")
    if not status.st_mode & 0o077:
        return
    here = folder.resolve()
    if any(place.is_relative_to(here) for place in (Path.cwd(), Path.home().resolve())):
        return  # what is beside the logs may be for others
    folder.chmod(stat.S_IMODE(status.st_mode) & ~0o077)
    messages.info(f"{label} is now closed to other users (mode 700).")


def _why(path: str, error: OSError) -> str:
    """Return the reason, as far as known, why a file cannot be created in a folder."""
    if not isinstance(error, PermissionError):
        return error.strerror or str(error)  # such as a disk quota, or a read-only file system
    status = Path(path).stat()
    mode = stat.filemode(status.st_mode)
    if status.st_uid == accounts.this_user():
        remedy = f"`chmod u+wx {shlex.quote(path)}`"
        return f"you own it, but its mode is {mode}: run {remedy}"
    return f"it belongs to {accounts.user_name(status.st_uid)}, and its mode is {mode}"


def node_directory(text: str, where: str, shebang: str = "") -> tuple[str, list[str]]:
    """Return a node-local folder as a word of the job script, and lines that check its variables.

    The node's shell expands ``~`` and variables, since it may be the only one to know ``$TMPDIR``.
    The lines end the job with a clear message if a variable is not set there, since it would
    silently vanish. Text with more shell syntax than that, and csh scripts, stay unchanged.

    Parameters
    ----------
    text : str
        The folder, as written in the configuration.
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
        lines.append(f': "${{{name}:?is not set on this node, but {where} uses it}}"')
    return word + _quoted(text[position:]), lines


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
