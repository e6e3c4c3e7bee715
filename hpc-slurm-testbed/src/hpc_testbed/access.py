"""Use a testbed as one of its users: run commands, copy folders, log in with a key."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hpc_testbed.docker_engine import TEXT
from hpc_testbed.errors import TestbedError, last_lines

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

TIMED_OUT = 124  # exit code of the command `timeout`
NOT_COPIED = {"__pycache__", ".venv", ".pytest_cache", ".ipynb_checkpoints"}


def run(
    container: str,
    command: str,
    user: str,
    timeout: float,
    show: bool,
    env: Mapping[str, str] | None,
    input: str | None,
    stdin: IO[Any] | None,
) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a container; the arguments are those of `Testbed.run`."""
    home = "/root" if user == "root" else f"/home/{user}"
    settings = {"USER": user, "LOGNAME": user, "HOME": home, **(env or {})}
    argv = ["docker", "exec", "--user", user, "--workdir", home]
    if input is not None or stdin is not None:
        argv.append("--interactive")
    elif show and sys.stdout.isatty():  # Docker makes no terminal where it hands on a file
        argv.append("--tty")
        settings.setdefault("TERM", os.environ.get("TERM", "xterm"))
    for key, value in settings.items():
        argv += ["--env", f"{key}={value}"]
    argv += [container, "timeout", "--kill-after=5", str(timeout), "bash", "-lc", command]
    output = None if show else subprocess.PIPE
    return subprocess.run(
        argv,
        input=input,
        stdin=None if input is not None else stdin or subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        **TEXT,
    )


def put(container: str, source: Path, destination: str, user: str) -> None:
    """Copy a folder of ours into a container, owned by `user`."""
    if not source.is_dir():
        raise TestbedError(f"{source} is not a folder")
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(source, arcname=".", filter=_without_caches)
    _pipe_in(container, ["mkdir", "-p", destination], b"", user)
    extract = ["tar", "--extract", "--no-same-owner", "--directory", destination]
    _pipe_in(container, extract, buffer.getvalue(), user)


def get(container: str, source: str, destination: Path) -> None:
    """Copy a container's folder into `destination`, a folder of ours."""
    archive = subprocess.run(
        ["docker", "exec", container, "tar", "-C", source, "-c", "."], capture_output=True
    )
    if archive.returncode != 0:
        raise TestbedError(f"{source}: {last_lines(archive.stderr.decode(**TEXT))}")
    destination.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(destination, filter="data")
        else:  # Python before 3.11.4, as in Debian 12, has no filters
            tar.extractall(destination)


def authorize(testbed: Testbed, user: str, public_key: str, *, revoke: bool) -> None:
    """Add a public key to those that let `user` in, or remove it."""
    line = public_key.strip()
    if not re.fullmatch(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( [^\n]*)?", line):
        raise TestbedError(f"not a public key of ssh: {line.splitlines()[:1]}")
    home = shlex.quote(f"/home/{user}")
    asked = f"id {shlex.quote(user)} && test -d {home}"  # not the system's own, as nobody
    if testbed.run(asked, user="root", check=False).returncode != 0:
        raise TestbedError(f"the testbed has no user {user!r}")
    # Always without the line first, so that it stands there once or not at all.
    testbed.run(
        "umask 077; mkdir -p .ssh && cd .ssh && touch authorized_keys && "
        f"{{ grep -vxF {shlex.quote(line)} authorized_keys; "
        f"{':' if revoke else f'echo {shlex.quote(line)}'}; }} > authorized_keys.new && "
        "mv authorized_keys.new authorized_keys",
        user=user,
    )


def _pipe_in(container: str, command: list[str], data: bytes, user: str) -> None:
    argv = ["docker", "exec", "--interactive", "--user", user, container, *command]
    done = subprocess.run(argv, input=data, capture_output=True)
    if done.returncode != 0:
        raise TestbedError(f"copying to the testbed: {last_lines(done.stderr.decode(**TEXT))}")


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if NOT_COPIED & set(Path(entry.name).parts) else entry
