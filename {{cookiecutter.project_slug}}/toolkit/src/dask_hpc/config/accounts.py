"""Users and groups, where the system has them.

Windows has none that Python knows: there, each file belongs to user 0, and other users are kept out
by the permissions of the user's folder.
"""

import os

try:
    import grp
    import pwd
except ImportError:
    HAS_ACCOUNTS = False
else:
    HAS_ACCOUNTS = True


def this_user() -> int:
    """Return the id of the user who runs this process."""
    return os.geteuid() if HAS_ACCOUNTS else 0


def group_id(name: str) -> int:
    """Return the id of a group.

    Raises
    ------
    KeyError, TypeError, ValueError
        There is no such group here.
    """
    if not HAS_ACCOUNTS:
        raise KeyError(name)
    return grp.getgrnam(name).gr_gid


def is_private_group(user: int, group: int) -> bool:
    """Return whether a group is the user's own, as many systems make one for each user.

    It is the user's primary group, has the user's name, and lists no other member. Whether it is
    another user's primary group, too, is not asked: a large site cannot list all its users.
    """
    try:
        owner, found = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    members = {*found.gr_mem} - {owner.pw_name}
    return owner.pw_gid == group and found.gr_name == owner.pw_name and not members


def user_name(user: int) -> str:
    """Return the name of a user, or the id of one without a name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user id {user}"


def group_name(group: int) -> str:
    """Return the name of a group, or the id of one without a name."""
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return f"id {group}"
