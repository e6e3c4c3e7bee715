"""Decide whether other users could replace a file or folder, from its owner and mode.

Trusted are this user, root, and the owner of the environment, whose Python runs here anyway, and
the members of the group in ``dask-hpc: trusted-group:``. A folder that others may write to is safe
for what is in it if it has the sticky bit, as /tmp has: they can add files, but not rename others'.
"""

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dask.config

from ..errors import ConfigError
from . import accounts, validators

KEY = "dask-hpc.trusted-group"
MAX_LINKS = 40  # on the way to one file, as in Linux


@dataclass(frozen=True)
class Trusted:
    """Ids of trusted owners, and of groups whose members may write."""

    owners: frozenset[int]
    groups: frozenset[int] = frozenset()

    def problem(self, path: Path, status: os.stat_result, may_add: bool = True) -> str:
        """Return who could replace `path`, or what is in it, and the remedy; empty if nobody could.

        Parameters
        ----------
        path : Path
        status : os.stat_result
            Of the path itself, even if it is a symbolic link.
        may_add : bool
            Whether others may add files to a folder with the sticky bit.
        """
        if not accounts.HAS_ACCOUNTS:
            return ""
        mode, owner = status.st_mode, accounts.user_name(status.st_uid)
        if status.st_uid not in self.owners:
            return f"{path} belongs to {owner}, who could replace what is there: use your own"
        sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX and may_add
        if stat.S_ISLNK(mode) or sticky:
            return ""
        mine, name = status.st_uid == accounts.this_user(), shlex.quote(str(path))
        # With the sticky bit, members of a lab can still create folders in a shared one.
        change = "+t" if stat.S_ISDIR(mode) and may_add and not mine else None
        ask = "run" if mine else f"ask {owner} to run"
        if mode & stat.S_IWOTH:
            return f"all users may write to {path}: {ask} `chmod {change or 'o-w'} {name}`"
        if mode & stat.S_IWGRP and not self._trusts_group(status):
            group = accounts.group_name(status.st_gid)
            return (
                f"the group {group} may write to {path}: {ask} `chmod {change or 'g-w'} {name}`, "
                "or, if you trust all its members with your account, set "
                f"`trusted-group: {group}` in the section dask-hpc"
            )
        return ""

    def _trusts_group(self, status: os.stat_result) -> bool:
        return status.st_gid in self.groups or accounts.is_private_group(
            status.st_uid, status.st_gid
        )

    def path_problem(self, path: Path, may_add: bool = True) -> str:
        """Return the first problem on the way to a file or folder, as far as the way exists."""
        for step in steps(path):
            try:
                status = step.lstat()
            except OSError:  # it does not exist, or this user cannot get there
                break
            if line := self.problem(step, status, may_add or step != path):
                return line
        return ""


def trusted() -> Trusted:
    """Return whom this user trusts.

    Raises
    ------
    ConfigError
        The group in the configuration does not exist.
    """
    # In a container without root's privileges, root has another id, which / shows.
    paths = [path for path in (Path("/"), Path(sys.prefix)) if path.exists()]
    owners = {accounts.this_user(), 0, *(path.stat().st_uid for path in paths)}
    name = dask.config.get(KEY, None)
    if line := validators.check_group(name) if name is not None else "":
        raise ConfigError(f"{KEY}: {line}.")
    groups = {accounts.group_id(name)} if name is not None else set()
    return Trusted(frozenset(owners), frozenset(groups))


def writing_groups() -> set[int]:
    """Return the groups that may write to this user's folders."""
    me, own = accounts.this_user(), os.getegid()
    return {*trusted().groups, *([own] if accounts.is_private_group(me, own) else [])}


def check(path: Path) -> None:
    """Raise an error if others could replace a file of the configuration.

    Raises
    ------
    ConfigError
        The message names the file or the folder on its path, and the remedy.
    """
    if line := trusted().path_problem(path):
        raise ConfigError(f"Not using {path}, which could run code as you: {line}.")


def steps(path: Path) -> Iterator[Path]:
    """Yield each folder and symbolic link on the way to an absolute path, and the path itself."""
    here, links = Path("/"), 0
    yield here
    todo = [*reversed(path.parts[1:])]
    while todo:
        name = todo.pop()
        step = here.parent if name == ".." else here / name
        if step != here.parent:
            yield step
        if step.is_symlink() and (links := links + 1) <= MAX_LINKS:
            aim = step.readlink()
            todo += reversed(aim.parts[aim.is_absolute() :])
            here = Path("/") if aim.is_absolute() else here
        else:
            here = step
