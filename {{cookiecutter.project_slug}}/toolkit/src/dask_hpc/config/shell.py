"""Tell which kind of shell a job script is for."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

C_SHELLS = {"csh", "tcsh"}
SHELLS = {"sh", "ash", "bash", "dash", "ksh", "ksh93", "mksh", "zsh"}


def is_bourne(shebang: str | None) -> bool:
    """Return whether the first line of a script names a shell with the Bourne shell's syntax."""
    return _program(shebang) in SHELLS


def is_c_shell(shebang: str | None) -> bool:
    """Return whether the first line of a script names a C shell."""
    return _program(shebang) in C_SHELLS


def joined(lines: Iterable[str]) -> str:
    """Return lines of shell code on one line, where each ends with what separates it."""
    return " ".join(line.strip() for line in lines if not line.startswith("#"))


def _program(shebang: str | None) -> str:
    """Return the name of the program in a script's first line; empty if there is none."""
    words = (shebang or "").removeprefix("#!").split()
    if words and PurePosixPath(words[0]).name == "env":
        # Skip options and variables, as in `env -S FOO=1 bash`.
        words = [word for word in words[1:] if not re.match(r"-|\w+=", word)]
    return PurePosixPath(words[0]).name if words else ""
