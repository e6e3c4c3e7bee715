"""Talk to Docker, through its API or its command.

The command is used for Compose, building, and running commands in containers: the API's package
sometimes loses a command's output (docker/docker-py#3332).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict

from hpc_testbed.errors import DockerUnavailableError, TestbedError, last_lines, shortened

if TYPE_CHECKING:
    from docker import DockerClient

# Substrings of Docker's messages → what they mean, and what to do.
_NO_ADDRESSES = (
    "Docker has no free addresses for another testbed, which "
    "needs four networks: take a testbed down, or remove unused networks "
    "(`docker network ls`, `docker network prune`)"
)
HINTS = {
    "non-overlapping IPv4 address pool": _NO_ADDRESSES,  # Docker 20.10
    "all predefined address pools have been fully subnetted": _NO_ADDRESSES,  # from 25 on
}
API_TIMEOUT_S = 60  # a busy machine can be slow


class _Decoding(TypedDict):
    """Arguments of `subprocess.run` and `bytes.decode`."""

    encoding: str
    errors: str


# How to decode the output of programs: show bytes that are not UTF-8 as \xe9.
TEXT: _Decoding = {"encoding": "utf-8", "errors": "backslashreplace"}


def connect() -> DockerClient:
    """Connect to the engine that the command uses, given by DOCKER_HOST or the context."""
    import docker  # imported here, since it takes 0.1 s

    name = os.environ.get("DOCKER_CONTEXT")
    if not os.environ.get("DOCKER_HOST") and docker.ContextAPI.get_context(name) is None:
        raise docker.errors.ContextNotFound(name)  # from_env would use the default context
    return docker.from_env(timeout=API_TIMEOUT_S, use_ssh_client=True)


@contextmanager
def docker_errors() -> Iterator[None]:
    """Convert errors of Docker's API to our one-line errors."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise TestbedError(f"Docker: {last_lines(error.explanation or str(error))}") from None
    except (DockerException, requests.RequestException) as error:
        require_docker()
        raise TestbedError(f"Docker: {last_lines(str(error))}") from None


def docker_problem() -> str | None:
    """Return why Docker cannot be used, in one line; None if it can."""
    from docker.errors import DockerException

    if shutil.which("docker") is None:
        return "Docker is missing: the command `docker` is not installed"
    try:
        connect().close()
    except DockerException as error:
        where = os.environ.get("DOCKER_HOST")
        at = f" at DOCKER_HOST={where}" if where else ""
        # The command's own message is clearer to users.
        try:
            info = subprocess.run(["docker", "info"], capture_output=True, **TEXT, timeout=10)
        except subprocess.TimeoutExpired:
            return f"the Docker engine does not respond{at}: `docker info` timed out after 10 s"
        detail = last_lines(info.stderr or str(error), 1)
        if "permission denied" in detail:
            detail = "permission denied (ask to be added to the group docker, and log in again)"
        return f"the Docker engine does not respond{at}: {detail}"
    compose = subprocess.run(["docker", "compose", "version"], capture_output=True)
    if compose.returncode != 0:
        return "Compose v2 is missing: `docker compose version` fails"
    return None


def require_docker() -> None:
    """Raise `DockerUnavailableError` if Docker cannot be used."""
    if problem := docker_problem():
        raise DockerUnavailableError(problem)


def docker_command(
    *arguments: str,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
) -> str:
    """Run a docker command and return its output.

    Raises
    ------
    TestbedError
        The command failed (and `check`); the message has the last lines of its output.
    """
    done = subprocess.run(
        ["docker", *arguments],
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        **TEXT,
        env={**os.environ, **(env or {})},
    )
    if done.returncode == 0 or not check:
        return done.stdout
    said = done.stderr or done.stdout
    for words, hint in HINTS.items():
        if words in said:
            raise TestbedError(hint)
    line = shortened(" ".join(["docker", *arguments]))
    raise TestbedError(f"`{line}` failed: {last_lines(said)}")
