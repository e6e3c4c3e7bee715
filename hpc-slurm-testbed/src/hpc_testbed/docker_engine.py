"""Talking to Docker: look for an engine, and run its command with errors of one line."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import TypedDict

from hpc_testbed.errors import DockerUnavailableError, TestbedError, last_lines, shortened

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


class _Decoding(TypedDict):
    """Arguments of `subprocess.run` and `bytes.decode`."""

    encoding: str
    errors: str


# How to read the output of programs: bytes that are not UTF-8 are shown as \xe9, not an error.
TEXT: _Decoding = {"encoding": "utf-8", "errors": "backslashreplace"}


def docker_problem() -> str | None:
    """Say in one line why no container engine can be used, or None where one answers."""
    if shutil.which("docker") is None:
        return "no Docker here: the command `docker` is not installed"
    try:
        info = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            **TEXT,
            timeout=60,  # a busy machine can take long
        )
    except subprocess.TimeoutExpired:
        return "no Docker engine answers: `docker info` said nothing for 60 s"
    # An old client exits with 0 and prints an empty version where no engine answers.
    if info.returncode != 0 or not info.stdout.strip():
        where = os.environ.get("DOCKER_HOST")
        at = f" at DOCKER_HOST={where}" if where else ""
        lines = [line for line in info.stderr.splitlines() if line.strip()]
        detail = lines[-1].strip() if lines else "is the service running, and may you use it?"
        if "permission denied" in detail:
            detail = "you may not use it (ask to be put into the group docker, and log in again)"
        return f"no Docker engine answers{at}: {detail}"
    compose = subprocess.run(["docker", "compose", "version"], capture_output=True, **TEXT)
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
    timeout: float | None = None,
    input: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one docker command and return what it printed.

    Raises
    ------
    TestbedError
        It failed (and ``check``): its last lines, after the command.
    """
    done = subprocess.run(
        ["docker", *arguments],
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        **TEXT,
        env={**os.environ, **(env or {})},
        timeout=timeout,
    )
    if done.returncode != 0 and "docker daemon" in done.stderr.lower():
        raise DockerUnavailableError(docker_problem() or last_lines(done.stderr))
    if check and done.returncode != 0:
        said = done.stderr or done.stdout
        for words, advice in HINTS.items():
            if words in said:
                raise TestbedError(advice)
        line = shortened(" ".join(["docker", *arguments]))
        raise TestbedError(f"`{line}` failed: {last_lines(said)}")
    return done
