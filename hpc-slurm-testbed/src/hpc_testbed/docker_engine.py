"""Talk to Docker: through its API, and by its command where that does more.

That is Compose, building, and running commands in containers: the API's package loses what a
command prints now and then (docker/docker-py#3332).
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

# Part of what Docker says → what it means, and what to do.
_NO_ADDRESSES = (
    "Docker has no addresses left for another testbed, which "
    "takes four networks: take one down, or remove networks that nobody uses "
    "(`docker network ls`, `docker network prune`)"
)
HINTS = {
    "non-overlapping IPv4 address pool": _NO_ADDRESSES,  # Docker 20.10
    "all predefined address pools have been fully subnetted": _NO_ADDRESSES,  # from 25 on
}
API_TIMEOUT_S = 60  # a busy machine can take long


class _Decoding(TypedDict):
    """Arguments of `subprocess.run` and `bytes.decode`."""

    encoding: str
    errors: str


# How to read the output of programs: bytes that are not UTF-8 are shown as \xe9, not an error.
TEXT: _Decoding = {"encoding": "utf-8", "errors": "backslashreplace"}


def connect() -> DockerClient:
    """Return a client of the engine that Docker's command uses: DOCKER_HOST's or the context's."""
    import docker  # takes 0.1 s

    name = os.environ.get("DOCKER_CONTEXT")
    if not os.environ.get("DOCKER_HOST") and docker.ContextAPI.get_context(name) is None:
        raise docker.errors.ContextNotFound(name)  # from_env would take the default one
    return docker.from_env(timeout=API_TIMEOUT_S, use_ssh_client=True)


@contextmanager
def docker_errors() -> Iterator[None]:
    """Turn the errors of Docker's API into ours, of one line."""
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
    """Say in one line why no container engine can be used, or None where one answers."""
    from docker.errors import DockerException

    if shutil.which("docker") is None:
        return "no Docker here: the command `docker` is not installed"
    try:
        connect().close()
    except DockerException as error:
        where = os.environ.get("DOCKER_HOST")
        at = f" at DOCKER_HOST={where}" if where else ""
        # The command says why in words that users know.
        try:
            info = subprocess.run(["docker", "info"], capture_output=True, **TEXT, timeout=10)
        except subprocess.TimeoutExpired:
            return f"no Docker engine answers{at}: `docker info` said nothing for 10 s"
        detail = last_lines(info.stderr or str(error), 1)
        if "permission denied" in detail:
            detail = "you may not use it (ask to be put into the group docker, and log in again)"
        return f"no Docker engine answers{at}: {detail}"
    compose = subprocess.run(["docker", "compose", "version"], capture_output=True)
    if compose.returncode != 0:
        return "Docker is here, but not Compose v2: `docker compose version` fails"
    return None


def require_docker() -> None:
    """Raise `DockerUnavailableError` where no container engine can be used."""
    if problem := docker_problem():
        raise DockerUnavailableError(problem)


def docker_command(
    *arguments: str,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
) -> str:
    """Run one docker command and return what it printed.

    Raises
    ------
    TestbedError
        It failed (and `check`): its last lines, after the command.
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
