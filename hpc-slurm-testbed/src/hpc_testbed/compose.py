"""The testbed as a Compose project: its image, containers, networks, volumes, and logs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_testbed.docker_engine import connect, docker_command, docker_errors
from hpc_testbed.errors import TestbedError, command_hint, not_up

if TYPE_CHECKING:
    from docker.models.containers import Container
    from docker.models.images import Image

    from docker import DockerClient

_PACKAGE = Path(__file__).resolve().parent
# In a checkout, hpc-slurm-testbed/; a wheel contains a copy of the image's sources.
_CHECKOUT, _CARRIED = _PACKAGE.parents[1], _PACKAGE / "repository" / "hpc-slurm-testbed"
FOLDER = _CHECKOUT if (_CHECKOUT / "compose.yaml").is_file() else _CARRIED
COMPOSE_FILE = FOLDER / "compose.yaml"
SUITES = {"trixie": "Slurm 24.11", "bookworm": "Slurm 22.05"}
TARGETS = ["slurm", "lab"]
BUILT = "login1"  # the service that defines how to build the image
# The image's sources, in the repository's folder; the image has a digest of these as a label.
INPUTS = ("docker/*", "hpc-slurm-testbed/slurm/*", "*/toolkit/pyproject.toml")
LABEL = "hpc-testbed.inputs"
LOGIN_NODES = ("login1", "login2")
SITE = ("mariadb", "slurmdbd", "slurmctld", *LOGIN_NODES)  # all services except compute nodes
MAX_NODES = 64  # MaxNodeCount in slurm.conf
_NODE = re.compile(r"node-(\d+)")  # a node's container


def default_name(purpose: str = "", project: Path | None = None) -> str:
    """Return a name for this checkout's testbed, so that two checkouts do not share one.

    If the driver is installed from a wheel, its environment takes the place of the checkout.

    Parameters
    ----------
    purpose : str
        Distinguishes it from the checkout's other testbeds, e.g. ``"test"``.
    project : Path, optional
        The folder that uses the testbed, so that two projects with one driver do not share one.
    """
    user = f"{FOLDER}\n{project}" if project else str(FOLDER)
    mark = hashlib.sha256(user.encode()).hexdigest()[:6]
    return "-".join(part for part in ("hpc-testbed", purpose, mark) if part)


class ComposeProject:
    """The Docker objects of one testbed: its image, containers, networks, and volumes.

    For the parameters, see `Testbed`.
    """

    def __init__(
        self,
        name: str | None,
        suite: str | None,
        target: str | None,
        dockerfile: str | os.PathLike[str] | None,
    ):
        self.name = name or os.environ.get("TESTBED_NAME") or default_name()
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise TestbedError(
                f"name {self.name!r}: use lower-case letters, digits, - and _, not - or _ first"
            )
        self.suite = _choice("suite", suite, list(SUITES))
        self.target = _choice("target", target, TARGETS)
        file = dockerfile or os.environ.get("TESTBED_DOCKERFILE")
        self.dockerfile = Path(file).resolve() if file else None
        if self.dockerfile and not self.dockerfile.is_file():
            raise TestbedError(f"dockerfile {file}: no such file")
        self._filters = {"label": f"com.docker.compose.project={self.name}"}
        # Allows two checkouts that differ to build separate images.
        repository = os.environ.get("TESTBED_IMAGE") or "hpc-testbed"
        self.environment = {
            "TESTBED_IMAGE": repository,
            "TESTBED_SUITE": self.suite,
            "TESTBED_TARGET": self.target,
        }
        self.base = f"{repository}:{self.target}-{self.suite}"
        #: The image that the containers are made from, with its tag.
        self.image = self.base
        if self.dockerfile:
            mark = hashlib.sha256(str(self.dockerfile).encode()).hexdigest()[:6]
            self.image = f"{self.base}-{mark}"

    @cached_property
    def client(self) -> DockerClient:
        """The engine's API."""
        with docker_errors():
            return connect()

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, nodes: int = MAX_NODES
    ) -> str:
        """Run ``docker compose …`` for this project; return its output.

        Parameters
        ----------
        nodes : int
            How many nodes Compose needs to know. More than four take 0.1 s longer.
        """
        environment = {**self.environment, **(env or {})}
        services = compose_text(nodes) if nodes > 4 else None
        command = self._arguments(*arguments, file="-" if services else str(COMPOSE_FILE))
        return docker_command(*command, env=environment, input=services)

    def build(self) -> None:
        """Build the image: in minutes, with output, the first time; in a second if unchanged."""
        if not COMPOSE_FILE.is_file():
            raise TestbedError(
                f"the image's sources are not installed ({COMPOSE_FILE} is missing): "
                "reinstall hpc-testbed from a checkout or from its repository's URL"
            )
        # An image loaded from a file, as in CI, has no build cache: its label identifies it.
        self.environment["TESTBED_INPUTS"] = inputs = self.inputs()
        if (found := self.find_image(self.base)) is None or found.labels.get(LABEL) != inputs:
            self._build(self.base, self._arguments("build"), [BUILT])
        if self.dockerfile:
            file = ["--file", str(self.dockerfile), "--tag", self.image]
            base = ["--build-arg", f"BASE={self.base}"]
            self._build(self.image, ["build"], [*file, *base, str(self.dockerfile.parent)])

    def inputs(self) -> str:
        """Return a digest of the image's sources."""
        found = sorted(each for pattern in INPUTS for each in FOLDER.parent.glob(pattern))
        content = b"".join(each.read_bytes() for each in found if each.is_file())
        return hashlib.sha256(self.base.encode() + content).hexdigest()

    def _build(self, image: str, command: list[str], arguments: list[str]) -> None:
        if self.find_image(image):
            late = threading.Timer(3, print, ["Updating the image"], {"file": sys.stderr})
            late.start()  # print nothing for the half second that it takes if nothing changed
            try:
                environment = {"DOCKER_BUILDKIT": "1", **self.environment}
                docker_command(*command, "--quiet", *arguments, env=environment)
            finally:
                late.cancel()
            return
        print(f"Building the image {image} (once, two minutes).", file=sys.stderr, flush=True)
        build = ["docker", *command, *arguments]
        # Without DOCKER_BUILDKIT, `build` in Docker 20.10 uses another builder than Compose.
        settings = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        environment = {**os.environ, **settings, **self.environment}
        done = subprocess.run(build, stdout=sys.stderr, env=environment)
        if done.returncode != 0:
            raise TestbedError(f"could not build the image {image}: see the output above")

    def node_image(self) -> str | None:
        """Return the image that the nodes were created from; None if there are no nodes.

        This is the image's name, or its id if another image has that name by now.
        """
        node = next(iter(self.nodes(ended=True).values()), None)
        return node and str(node.attrs["Image"])

    @docker_errors()
    def find_image(self, name: str) -> Image | None:
        """Return the image with this name, if any."""
        return next(iter(self.client.images.list(name)), None)

    def start(self, nodes: int, image: str, env: Mapping[str, str] | None = None) -> None:
        """Create and start missing containers, from an image given by its name or id."""
        # --no-recreate: only add to a testbed in use, and never restart it unasked.
        arguments = ["up", "--detach", "--no-build", "--no-recreate", *SITE]
        arguments += [f"node-{number}" for number in range(1, nodes + 1)]
        try:
            self(*arguments, env={"TESTBED_RUNS": image, **(env or {})}, nodes=nodes)
        except TestbedError:
            # If not even a container could be created, clean up.
            if not self.containers(ended=True):
                self.remove()
            raise

    @docker_errors()
    def remove(self) -> None:
        """Remove containers, networks, and volumes."""
        # Remove containers one by one. If several end at the same time, Docker 20.10 (in Debian
        # bookworm) sometimes miscounts a network's endpoints, and then never removes that network:
        # see docs/reference/testbed.md.
        for container in self.containers(ended=True).values():
            container.remove(force=True)
        self("down", "--volumes", "--remove-orphans", "--timeout", "1", nodes=0)

    @docker_errors()
    def leftover_resources(self) -> list[str]:
        """Return all Docker objects of the project: ``["network hpc-testbed_data", …]``."""
        networks = self.client.networks.list(filters=self._filters)
        volumes = self.client.volumes.list(filters=self._filters)
        return [
            *(f"container {self.name}-{name}" for name in self.containers(ended=True)),
            *(f"network {network.name}" for network in networks),
            *(f"volume {volume.name}" for volume in volumes),
        ]

    @docker_errors()
    def containers(self, *, ended: bool = False) -> dict[str, Container]:
        """Return the running containers: ``{"slurmctld-1": …, "node-3": …}``.

        They have the attributes of `docker ps`; their ``reload`` adds those of `docker inspect`.

        Parameters
        ----------
        ended : bool
            Whether to include containers that are not running.
        """
        found = self.client.containers.list(all=ended, filters=self._filters, sparse=True)
        named = {each.attrs["Names"][0].removeprefix(f"/{self.name}-"): each for each in found}
        # By length first: node-10 comes after node-9.
        return dict(sorted(named.items(), key=lambda item: (len(item[0]), item[0])))

    def nodes(self, *, ended: bool = False) -> dict[int, Container]:
        """Return the containers of the compute nodes by number, in order."""
        named = self.containers(ended=ended).items()
        return {int(match[1]): each for name, each in named if (match := _NODE.fullmatch(name))}

    def container(self, service: str) -> Container:
        """Return a running container, named as in `Testbed.run`."""
        there = self.containers(ended=True)
        name = LOGIN_NODES[0] if service == "login" else re.sub(r"^node(\d+)$", r"node-\1", service)
        found = there.get(name) or there.get(f"{name}-1")
        if found is None and not self.nodes():
            raise not_up(self.name)
        if found is None:
            nodes = [f"node{number}" for number in self.nodes(ended=True)]
            raise TestbedError(
                f"testbed {self.name} has no {service}; choose from {', '.join([*SITE, *nodes])}"
            )
        if found.status != "running":
            raise TestbedError(
                f"{service} is not running ({found.status}): restart it ({command_hint('repair')})"
            )
        return found

    @docker_errors()
    def created(self) -> dict[str, datetime]:
        """Return when each container was created, running or not: ``{"node-1": …}``."""
        found = self.client.containers.list(all=True, filters=self._filters, ignore_removed=True)
        moments = {each.name: datetime.fromisoformat(each.attrs["Created"]) for each in found}
        return {name.removeprefix(f"{self.name}-"): moment for name, moment in moments.items()}

    def logs(self, *services: str, tail: int | None = None) -> str:
        """Return the containers' logs, each line with its container and time.

        Raises
        ------
        TestbedError
            A service does not exist.
        """
        nodes = [f"node-{number}" for number in self.nodes(ended=True)]
        groups = {"login": LOGIN_NODES, "node": nodes}
        # Accept node3, as in `Testbed.run`; its service is node-3.
        asked = [re.sub(r"^node-?(\d+)$", r"node-\1", name) for name in services]
        if unknown := set(asked) - {*SITE, *nodes, *groups}:
            raise TestbedError(
                f"unknown service {', '.join(sorted(unknown))}; choose from "
                f"{', '.join([*SITE, 'node'])}"
            )
        names = [name for service in asked for name in groups.get(service, [service])]
        lines = ["--tail", str(tail)] if tail is not None else []
        said = self("logs", "--no-color", "--timestamps", *lines, *names)
        return said.replace("\x1b[2K", "")  # Compose erases lines despite --ansi never

    def _arguments(self, *arguments: str, file: str = str(COMPOSE_FILE)) -> list[str]:
        options = ["--ansi", "never", "--project-name", self.name]
        options += ["--project-directory", str(FOLDER), "--file", file]
        return ["compose", *options, *arguments]


def compose_text(nodes: int) -> str:
    """Return compose.yaml with services for this many nodes, copying node-4 for further ones."""
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    (fourth,) = re.findall(r"^  node-4:\n(?:    .*\n)+", text, re.MULTILINE)
    further = (
        re.sub(r"node(-?)4", rf"node\g<1>{number}", fourth) for number in range(5, nodes + 1)
    )
    return text.replace(fourth, "\n".join([fourth, *further]))


def _choice(what: str, given: str | None, known: list[str]) -> str:
    """Return the given value, else the environment's, else the first known one."""
    value = given or os.environ.get(f"TESTBED_{what.upper()}") or known[0]
    if value not in known:
        raise TestbedError(f"{what} {value!r}: choose one of {', '.join(known)}")
    return value
