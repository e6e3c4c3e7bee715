"""The testbed as a Compose project: its image, containers, networks and volumes, and their logs."""

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from hpc_testbed.docker_engine import docker_command
from hpc_testbed.errors import TestbedError, command_hint
from hpc_testbed.startup_timing import timestamp

_PACKAGE = Path(__file__).resolve().parent
# In a checkout hpc-slurm-testbed/; a wheel carries a copy of what the image is made of.
_CHECKOUT, _CARRIED = _PACKAGE.parents[1], _PACKAGE / "repository" / "hpc-slurm-testbed"
FOLDER = _CHECKOUT if (_CHECKOUT / "compose.yaml").is_file() else _CARRIED
COMPOSE_FILE = FOLDER / "compose.yaml"
SUITES = {"trixie": "Slurm 24.11", "bookworm": "Slurm 22.05"}
TARGETS = ("slurm", "lab")
BUILT = "login1"  # the service that says how the image is built
LOGIN_NODES = ("login1", "login2")
SITE = ("mariadb", "slurmdbd", "slurmctld", *LOGIN_NODES)  # services beside the nodes
MAX_NODES = 64  # MaxNodeCount in slurm.conf
LABEL = "com.docker.compose"
_NAME_LABELS = ("service", "container-number")  # of a container's name, as labels
_NODE = re.compile(r"node-(\d+)")  # each node is a service of its own


def default_name(purpose: str = "", project: Path | None = None) -> str:
    """Return a name for this checkout's testbed, so that two checkouts do not share one.

    Where the driver is installed as a wheel, its environment stands for the checkout.

    Parameters
    ----------
    purpose : str
        Told apart from the checkout's other testbeds, e.g. ``"test"``.
    project : Path, optional
        The folder that uses the testbed: two projects with one driver do not share one either.
    """
    user = f"{FOLDER}\n{project}" if project else str(FOLDER)
    mark = hashlib.sha256(user.encode()).hexdigest()[:6]
    return "-".join(part for part in ("hpc-testbed", purpose, mark) if part)


class ComposeProject:
    """What Docker has of one testbed.

    Parameters
    ----------
    name : str
        Of the project.
    suite, target : str
        Of the image: the Debian release, and the Dockerfile's target.
    dockerfile : Path, optional
        Adds to that image.
    """

    def __init__(self, name: str, suite: str, target: str, dockerfile: Path | None = None):
        self.name = name
        # Two checkouts that differ can be told apart by it: each builds its own.
        self.repository = os.environ.get("TESTBED_IMAGE") or "hpc-testbed"
        self.environment = {
            "TESTBED_IMAGE": self.repository,
            "TESTBED_SUITE": suite,
            "TESTBED_TARGET": target,
        }
        self.base = f"{self.repository}:{target}-{suite}"
        self.dockerfile = dockerfile
        #: The image that the containers are made from, with its tag.
        self.image = self.base
        if dockerfile:
            mark = hashlib.sha256(str(dockerfile).encode()).hexdigest()[:6]
            self.image = f"{self.base}-{mark}"

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, nodes: int = MAX_NODES
    ) -> str:
        """Run ``docker compose …`` for this project; return what it printed.

        Parameters
        ----------
        nodes : int
            How many nodes Compose has to know. With more than four it takes 0.1 s longer.
        """
        environment = {**self.environment, **(env or {})}
        services = compose_text(nodes) if nodes > 4 else None
        command = self._arguments(*arguments, file="-" if services else str(COMPOSE_FILE))
        return docker_command(*command, env=environment, input=services).stdout

    def build(self) -> None:
        """Build the image (a second when nothing changed; minutes the first time, shown)."""
        if not COMPOSE_FILE.is_file():
            raise TestbedError(
                f"what the image is made of is not installed ({COMPOSE_FILE} is missing): "
                "install hpc-testbed again, from a checkout or its repository's address"
            )
        self._build(self.base, self._arguments("build"), [BUILT])
        if self.dockerfile:
            file = ["--file", str(self.dockerfile), "--tag", self.image]
            base = ["--build-arg", f"BASE={self.base}"]
            self._build(self.image, ["build"], [*file, *base, str(self.dockerfile.parent)])

    def _build(self, image: str, command: list[str], arguments: list[str]) -> None:
        if docker_command("image", "inspect", image, check=False).returncode == 0:
            late = threading.Timer(
                3, print, ["Bringing the image up to date"], {"file": sys.stderr}
            )
            late.start()  # nothing is said of the half second that it takes when nothing changed
            try:
                environment = {"DOCKER_BUILDKIT": "1", **self.environment}
                docker_command(*command, "--quiet", *arguments, env=environment)
            finally:
                late.cancel()
            return
        print(f"Building the image {image}: once, about two minutes.", file=sys.stderr, flush=True)
        build = ["docker", *command, *arguments]
        # DOCKER_BUILDKIT: without it, Docker 20.10's `build` is another builder than Compose's.
        settings = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        environment = {**os.environ, **settings, **self.environment}
        done = subprocess.run(build, stdout=sys.stderr, env=environment)
        if done.returncode != 0:
            raise TestbedError(f"the image {image} could not be built: the reason stands above")

    def running_image(self) -> tuple[str, str] | None:
        """Return the name and the id of the image that the nodes were made from, if there are any.

        The name is the one that they were made by. It is another image's if that was built since.
        """
        nodes = self.containers("node", ended=True)
        if not nodes:
            return None
        form = "{{.Config.Image}} {{.Image}}"
        name, identity = docker_command(
            "inspect", "--format", form, nodes[min(nodes)]
        ).stdout.split()
        return name, identity

    def image_id(self, name: str) -> str:
        """Return the id of an image; empty where there is none of that name."""
        form = ["image", "inspect", "--format", "{{.Id}}", name]
        return docker_command(*form, check=False).stdout.strip()

    def usable_image(self, name: str, identity: str) -> str:
        """Return the name of a running testbed's image, or its id where it has lost its name."""
        return name if self.image_id(name) == identity else identity

    def start(self, nodes: int, image: str, env: Mapping[str, str] | None = None) -> None:
        """Create and start what is missing, from an image given by its name or id."""
        # --no-recreate: a testbed in use is added to, never restarted behind its user's back.
        arguments = ["up", "--detach", "--no-build", "--no-recreate", *SITE]
        arguments += [f"node-{number}" for number in range(1, nodes + 1)]
        try:
            self(*arguments, env={"TESTBED_RUNS": image, **(env or {})}, nodes=nodes)
        except TestbedError:
            # Where not even a container could be made, nothing is left of the attempt.
            if not docker_command(
                "ps", "--all", "--quiet", "--filter", self._filter()
            ).stdout.split():
                self.remove()
            raise

    def remove(self) -> None:
        """Remove containers, networks and volumes."""
        # Containers one after another. Where several end at the same moment, Docker 20.10 (Debian
        # bookworm's) now and then counts a network's endpoints wrong, and then never removes that
        # network: see docs/testbed.md.
        listing = docker_command("ps", "--all", "--quiet", "--filter", self._filter()).stdout
        for container in listing.split():
            docker_command("rm", "--force", container)
        self("down", "--volumes", "--remove-orphans", "--timeout", "1", nodes=0)

    def leftover_resources(self) -> list[str]:
        """Return what there is of the project: ``["network hpc-testbed_data", …]``."""
        listings = {
            "container": ["ps", "--all", "--format", "{{.Names}}"],
            "network": ["network", "ls", "--format", "{{.Name}}"],
            "volume": ["volume", "ls", "--format", "{{.Name}}"],
        }
        return [
            f"{kind} {name}"
            for kind, listing in listings.items()
            for name in docker_command(*listing, "--filter", self._filter()).stdout.split()
        ]

    def containers(self, service: str, *, ended: bool = False) -> dict[int, str]:
        """Return the running containers of a service: ``{number: id}``; of all nodes for node.

        Parameters
        ----------
        ended : bool
            Include those that no longer run.
        """
        every = ["--all"] if ended else []
        form = f'{{{{.Label "{LABEL}.service"}}}} {{{{.ID}}}}'
        listing = docker_command("ps", *every, "--filter", self._filter(), "--format", form)
        found = {}
        for line in listing.stdout.splitlines():
            name, _, container = line.partition(" ")
            if not (name and container):
                raise TestbedError(f"`docker ps` lists a container as {line!r}")
            node = _NODE.fullmatch(name)
            if (service == "node" and node) or name == service:
                found[int(node[1]) if node else 1] = container
        return found

    def container(self, service: str) -> str:
        """Return the id of a running container, named as in `Testbed.run`."""
        node = re.fullmatch(r"node(\d+)", service)
        kind = LOGIN_NODES[0] if service == "login" else "node" if node else service
        found = self.containers(kind)
        number = int(node[1]) if node else min(found, default=0)
        if number not in found:
            raise TestbedError(
                f"testbed {self.name}: {service} is not running ({command_hint('up')})"
            )
        return found[number]

    def node_names(self) -> list[str]:
        """Return the nodes that the testbed has, whether they run or not."""
        numbers = [name.removeprefix("node-") for name in self.states() if "node-" in name]
        return [f"node{number}" for number in sorted(map(int, numbers))]

    def ended(self) -> list[str]:
        """Return the names of containers that were started and no longer run."""
        return self("ps", "--all", "--status", "exited", "--format", "{{.Name}}").split()

    def states(self, *, ids: bool = False) -> dict[str, str]:
        """Return Docker's state of every container: ``{"node-1": "running", …}``.

        Parameters
        ----------
        ids : bool
            Use the containers' ids instead of their names.
        """
        names = "-".join(f'{{{{.Label "{LABEL}.{part}"}}}}' for part in _NAME_LABELS)
        form = f"{'{{.ID}}' if ids else names} {{{{.State}}}}"
        listing = docker_command("ps", "--all", "--filter", self._filter(), "--format", form).stdout
        pairs = [line.rpartition(" ") for line in listing.splitlines()]
        return {_part(name): state for name, _, state in pairs}

    def created(self) -> dict[str, datetime]:
        """Return when each container was made, running or not: ``{"node-1": …}``."""
        ids = docker_command("ps", "--all", "--quiet", "--filter", self._filter()).stdout.split()
        if not ids:
            return {}
        names = "-".join(f'{{{{index .Config.Labels "{LABEL}.{part}"}}}}' for part in _NAME_LABELS)
        told = docker_command("inspect", "--format", f"{names} {{{{.Created}}}}", *ids).stdout
        return {
            _part(name): timestamp(moment)
            for name, moment in map(str.split, told.strip().splitlines())
        }

    def label(self, name: str) -> str:
        """Return a label's value on whichever container has it; empty where none does."""
        form = f'{{{{.Label "{name}"}}}}'
        return "".join(
            docker_command(
                "ps", "--all", "--filter", self._filter(), "--format", form
            ).stdout.split()
        )

    def logs(self, *services: str, tail: int | None = None) -> str:
        """Return what the containers wrote, each line with its container and time.

        Raises
        ------
        TestbedError
            There is no such service.
        """
        nodes = [name.replace("node", "node-") for name in self.node_names()]
        groups = {"login": LOGIN_NODES, "node": nodes}
        # node3 as in `Testbed.run`; its service is node-3.
        asked = [re.sub(r"^node-?(\d+)$", r"node-\1", name) for name in services]
        if unknown := set(asked) - {*SITE, *nodes, *groups}:
            raise TestbedError(
                f"no service is called {', '.join(sorted(unknown))}; there are: "
                f"{', '.join([*SITE, 'node'])}"
            )
        names = [name for service in asked for name in groups.get(service, [service])]
        lines = ["--tail", str(tail)] if tail is not None else []
        said = self("logs", "--no-color", "--timestamps", *lines, *names)
        return said.replace("\x1b[2K", "")  # Compose erases lines, whatever it is told

    def _filter(self) -> str:
        return f"label={LABEL}.project={self.name}"

    def _arguments(self, *arguments: str, file: str = str(COMPOSE_FILE)) -> list[str]:
        options = ["--ansi", "never", "--project-name", self.name]
        options += ["--project-directory", str(FOLDER), "--file", file]
        return ["compose", *options, *arguments]


def compose_text(nodes: int) -> str:
    """Return compose.yaml with services for that many nodes; node-5 and on are like node-4."""
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    (fourth,) = re.findall(r"^  node-4:\n(?:    .*\n)+", text, re.MULTILINE)
    further = (
        re.sub(r"node(-?)4", rf"node\g<1>{number}", fourth) for number in range(5, nodes + 1)
    )
    return text.replace(fourth, "\n".join([fourth, *further]))


def _part(name: str) -> str:
    """Return ``"node-3"`` for the only container of the service node-3; other names as they are."""
    return name.removesuffix("-1") if _NODE.match(name) else name
