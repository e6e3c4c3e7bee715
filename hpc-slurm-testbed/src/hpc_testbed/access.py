"""Copy folders to and from a testbed, and authorize public keys for login."""

from __future__ import annotations

import re
import shlex
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpc_testbed.docker_engine import TEXT, docker_errors
from hpc_testbed.errors import TestbedError, last_lines

if TYPE_CHECKING:
    from docker.models.containers import Container

    from hpc_testbed.testbed import Testbed

# An existing folder keeps its mode, above all a private home. A new one is closed until it is full.
UNPACK = """[ -d "$0" ] && keep=--no-overwrite-dir || mkdir -p -m 0700 "$0"
tar --extract --no-same-owner $keep --directory "$0" """
NOT_COPIED = {"__pycache__", ".venv", ".pytest_cache", ".ipynb_checkpoints"}


def put(container: Container, source: Path, destination: str, user: str) -> None:
    """Copy a local folder into a container, owned by `user`."""
    if not source.is_dir():
        raise TestbedError(f"{source} is not a folder")
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(source, arcname=".", filter=_without_caches)
    argv = ["docker", "exec", "--interactive", "--user", user, container.id]
    unpack = ["sh", "-c", UNPACK, destination]
    done = subprocess.run([*argv, *unpack], input=buffer.getvalue(), capture_output=True)
    if done.returncode != 0:
        raise TestbedError(f"cannot copy to the testbed: {last_lines(done.stderr.decode(**TEXT))}")


@docker_errors()
def get(container: Container, source: str, destination: Path) -> None:
    """Copy a container's folder into the local folder `destination`."""
    # With /., names in the archive begin with a dot instead of the folder's name.
    archive = BytesIO(b"".join(container.get_archive(f"{source}/.")[0]))
    # Python before 3.11.4, such as Debian 12's, has no filters.
    options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(fileobj=archive) as tar:
        for entry in tar:
            if entry.isdir():  # a new folder is as private as the original, others stay as they are
                (destination / entry.name).mkdir(entry.mode | 0o700, parents=True, exist_ok=True)
            else:
                tar.extract(entry, destination, **options)


def authorize(testbed: Testbed, user: str, public_key: str, *, revoke: bool) -> None:
    """Add a public key to the authorized keys of `user`, or remove it."""
    line = public_key.strip()
    if not re.fullmatch(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( [^\n]*)?", line):
        raise TestbedError(f"not an ssh public key: {line.splitlines()[:1]}")
    require_user(testbed, user)
    # Always remove the line first, so that it appears at most once.
    testbed.run(
        "umask 077; mkdir -p .ssh && cd .ssh && touch authorized_keys && "
        f"{{ grep -vxF {shlex.quote(line)} authorized_keys; "
        f"{':' if revoke else f'echo {shlex.quote(line)}'}; }} > authorized_keys.new && "
        "mv authorized_keys.new authorized_keys",
        user=user,
    )


def require_user(testbed: Testbed, user: str) -> None:
    """Raise an error unless `user` is one of the site's users, which excludes root."""
    home = shlex.quote(f"/home/{user}")
    asked = f"id {shlex.quote(user)} && test -d {home}"
    if testbed.run(asked, user="root", check=False).returncode != 0:
        raise TestbedError(f"the testbed has no user {user!r}")


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if NOT_COPIED & set(Path(entry.name).parts) else entry
