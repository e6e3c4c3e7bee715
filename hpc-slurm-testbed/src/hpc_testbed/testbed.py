"""The testbed: start, stop, and scale it, and run commands on it as one of its users."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hpc_testbed import access, lifecycle, scaling
from hpc_testbed.compose import ComposeProject
from hpc_testbed.docker_engine import TEXT, docker_command, docker_errors, require_docker
from hpc_testbed.errors import TestbedError, command_hint, last_lines, not_up, shortened
from hpc_testbed.faults import repair
from hpc_testbed.faults.block import fault_block, find_fault
from hpc_testbed.faults.catalog import Fault
from hpc_testbed.processes import Process, list_processes
from hpc_testbed.startup_timing import format_stages, startup_stages

if TYPE_CHECKING:
    from docker.models.containers import Container

TIMED_OUT = 124  # exit code of the command `timeout`


class Testbed:
    """A Slurm site in containers: controller, accounting, login nodes, and compute nodes.

    Parameters
    ----------
    name : str, optional
        Name of the Compose project: testbeds with different names can run at the same time. The
        default is ``TESTBED_NAME``, or else a name for this checkout.
    nodes : int, optional
        Number of compute nodes that `up` starts, 1 to 64; default: as many as are running, or 4.
    suite : {"trixie", "bookworm"}, optional
        Debian release of the image, which determines the Slurm version. The default is
        ``TESTBED_SUITE``, or else trixie.
    target : {"slurm", "lab"}, optional
        The image: only Slurm, or with the Python packages of a Dask project. The default is
        ``TESTBED_TARGET``, or else slurm.
    dockerfile : path, optional
        Adds packages to the image. It begins with ``ARG BASE`` and ``FROM ${BASE}``, and can copy
        files from its folder. The default is ``TESTBED_DOCKERFILE``, or else none.

    Raises
    ------
    TestbedError
        An argument is invalid.
    """

    __test__ = False

    def __init__(
        self,
        name: str | None = None,
        *,
        nodes: int | None = None,
        suite: str | None = None,
        target: str | None = None,
        dockerfile: str | os.PathLike[str] | None = None,
    ):
        #: Its Docker objects: containers, networks, volumes, and the image.
        self.project = ComposeProject(name, suite, target, dockerfile)
        self.name = self.project.name
        self.suite = self.project.suite
        #: The image that the containers are created from, with its tag.
        self.image = self.project.image
        self.nodes = None if nodes is None else scaling.checked_nodes(nodes)
        #: Durations of the stages of the last `up`, in seconds: image, containers, slurm.
        self.stages: dict[str, float] = {}
        #: Calls of `fault` that were not used in a ``with`` statement.
        self.unused_faults: list[str] = []

    def __enter__(self) -> "Testbed":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.down()

    def build(self) -> None:
        """Build the image: in minutes, with output, the first time; in a second if unchanged."""
        require_docker()
        self.project.build()

    def up(self, nodes: int | None = None) -> None:
        """Start the testbed; return when all nodes are idle. Keeps what is already running.

        Parameters
        ----------
        nodes : int, optional
            As for `Testbed`. If more nodes are running, the rest is removed, as in `scale`.

        Raises
        ------
        DockerUnavailableError
            Docker cannot be used.
        TestbedError
            A container did not start, or not all nodes registered within two minutes.
        """
        if nodes is not None:
            self.nodes = scaling.checked_nodes(nodes)
        lifecycle.up(self)

    def scale(self, nodes: int) -> None:
        """Change the number of compute nodes.

        Jobs on removed nodes end or are requeued, with a note on stderr. New nodes are created from
        the image of the running ones.

        Raises
        ------
        TestbedError
            The testbed is not up, or nodes do not start or end within two minutes.
        """
        scaling.scale(self, nodes)

    def down(self) -> None:
        """Stop and remove containers, networks, and volumes. Does nothing if there are none.

        Raises
        ------
        TestbedError
            Parts of the testbed are left.
        """
        lifecycle.down(self.project)

    def is_up(self) -> bool:
        """Return whether any of its nodes is running."""
        return bool(self.project.nodes())

    def leftover_resources(self) -> list[str]:
        """Return all Docker objects of this testbed: ``["network hpc-testbed_data", …]``."""
        return self.project.leftover_resources()

    def run(
        self,
        command: str,
        *,
        user: str = "alice",
        service: str = "login",
        check: bool = True,
        timeout: float = 600,
        show: bool = False,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        stdin: IO[Any] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        r"""Run a shell command in a login shell of `user`, in that user's home.

        Parameters
        ----------
        command : str
            The command, for bash.
        user, service : str
            The user (may be ``"root"``), and where to run the command: login1, login2, node1, …,
            slurmctld, slurmdbd, or mariadb. ``"login"`` and ``"node"`` are the first of each.
        check : bool
            Whether to raise an error if the command fails.
        timeout : float
            Seconds after which to end the command, also in the container (exit code 124).
        show : bool
            Whether to show the output in our terminal instead of capturing it.
        env : mapping, optional
            Additional environment variables.
        input : str, optional
            Text for the command's standard input; by default, empty.
        stdin : file, optional
            An open file to use as standard input instead.

        Returns
        -------
        subprocess.CompletedProcess
            The exit code and, unless it was shown, the output. Bytes in it that are not UTF-8 are
            escaped: ``caf\xe9``.

        Raises
        ------
        TestbedError
            The command failed (and `check`); the message has the last lines of its output.
        """
        __tracebackhide__ = True  # pytest shows only the caller's line and our error message
        home = "/root" if user == "root" else f"/home/{user}"
        settings = {"USER": user, "LOGNAME": user, "HOME": home, **(env or {})}
        argv = ["docker", "exec", "--user", user, "--workdir", home]
        if input is not None or stdin is not None:
            argv.append("--interactive")
        elif show and sys.stdout.isatty():  # Docker cannot allocate a terminal with a file as stdin
            argv.append("--tty")
            settings.setdefault("TERM", os.environ.get("TERM", "xterm"))
        for key, value in settings.items():
            argv += ["--env", f"{key}={value}"]
        argv += [self.container(service).id, "timeout", "--kill-after=5", str(timeout)]
        output = None if show else subprocess.PIPE
        done = subprocess.run(
            [*argv, "bash", "-lc", command],
            input=input,
            stdin=None if input is not None else stdin or subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **TEXT,
        )
        if check and done.returncode != 0:
            said = "" if show else f": {last_lines(done.stderr or done.stdout, 5)}"
            what = f"{user}@{service}: `{shortened(command)}`"
            if done.returncode == TIMED_OUT:
                raise TestbedError(f"{what} timed out after {timeout:g} s{said}")
            raise TestbedError(f"{what} failed with exit code {done.returncode}{said}")
        return done

    def put(self, source: Path, destination: str, *, user: str = "alice") -> None:
        """Copy a local folder to `destination` on the shared home, owned by `user`."""
        access.put(self.container("login"), source, destination, user)

    def get(self, source: str, destination: Path) -> None:
        """Copy a folder of the shared home into the local folder `destination`."""
        access.get(self.container("login"), source, destination)

    def authorize(self, user: str, public_key: str, *, revoke: bool = False) -> None:
        """Allow ssh logins as `user` with a public key, or revoke the key.

        Parameters
        ----------
        public_key : str
            A line as in ``~/.ssh/id_ed25519.pub``.

        Raises
        ------
        TestbedError
            The text is not a single public key, or the user does not exist.
        """
        access.authorize(self, user, public_key, revoke=revoke)

    def jobs(self, *, completing: bool = False) -> list[str]:
        """Return the ids of all pending and running jobs.

        Parameters
        ----------
        completing : bool
            Whether to include ended or cancelled jobs whose processes are still exiting.
        """
        listing = self.run("squeue --noheader --format='%i %t'", user="root").stdout
        rows = [line.split() for line in listing.splitlines()]
        return [job for job, state in rows if completing or state != "CG"]

    def processes(self) -> list[Process]:
        """Return users' processes on the compute nodes, whether Slurm knows them or not."""
        nodes = self.project.nodes().items()
        return list_processes({f"node{number}": node.id for number, node in nodes})

    def node_states(self) -> dict[str, str]:
        """Return the state of each node in Slurm: ``{"node1": "idle", …}``."""
        argv = ["exec", self.container("login").id, "sinfo", "--noheader", "--Node"]
        listing = docker_command(*argv, "--partition=short", "--format=%N %t", check=False)
        return dict(line.split() for line in listing.splitlines())

    def status(self) -> str:
        """Return the text of `hpc-testbed status`: containers, startup timing, nodes, and jobs."""
        containers = self.project.containers(ended=True)
        if not self.project.nodes():
            return f"testbed {self.name} is not up ({command_hint('up')})"
        rows = {name: each.attrs["Status"] for name, each in containers.items()}
        width = max(map(len, rows))
        table = [f"{name:{width}}   {status}" for name, status in sorted(rows.items())]
        stages = self.startup_stages()
        start = f"Startup took {sum(stages.values()):.1f} s: {format_stages(stages)}"
        slurm = self.run("sinfo; echo; squeue", user="root", check=False)
        said = (slurm.stdout + slurm.stderr).strip()
        return "\n\n".join(["\n".join(table), start, said])

    def startup_stages(self) -> dict[str, float]:
        """Return the durations of the startup stages, in seconds: ``{"containers": 1.2, …}``.

        The image comes first, if the driver started the testbed; the others are read from the
        containers' logs.
        """
        stages = startup_stages(self.project.logs(), self.project.created())
        mariadb = self.project.containers(ended=True).get("mariadb-1")
        image = mariadb and mariadb.attrs["Labels"].get("hpc-testbed.image-seconds")
        return {"image": float(image), **stages} if image else stages

    def logs(self, *services: str, tail: int | None = None) -> str:
        """Return the logs of the given services, or of all."""
        return self.project.logs(*services, tail=tail)

    def container(self, service: str) -> "Container":
        """Return a running container, named as in `run`, as an object of the package `docker`.

        Raises
        ------
        TestbedError
            The container does not exist or is not running.
        """
        return self.project.container(service)

    @docker_errors()
    def fault(self, name: str, node: str = "node1") -> AbstractContextManager[Fault]:
        """Inject a fault for the duration of a ``with`` block; then repair everything.

        Without ``with``, nothing happens, and the pytest fixture fails the test.

        Parameters
        ----------
        name : str
            One of `hpc_testbed.FAULTS`, such as ``"kill-node"``.
        node : str
            The node to inject it into, if it is a fault of a node.

        Raises
        ------
        TestbedError
            The fault or node does not exist, or the testbed is not healthy again in time.
        """
        return fault_block(self, name, node)

    @docker_errors()
    def inject(self, name: str, node: str = "node1") -> Fault:
        """Inject a fault, as with `fault`, but without a repair."""
        fault = find_fault(self, name, node)
        fault.inject(self, node)
        return fault

    @docker_errors()
    def repair(self) -> None:
        """Repair whatever is wrong with the testbed; return when all nodes are in service."""
        if not self.project.containers(ended=True):
            raise not_up(self.name)
        repair.repair(self)

    def status_problems(self) -> list[str]:
        """Return what Docker and Slurm report as wrong with the testbed; jobs may be running."""
        return repair.status_problems(self)

    def check_health(self) -> list[str]:
        """Return what is wrong, as `status_problems`, and also run a job on all nodes."""
        return repair.check_health(self)

    def container_states(self) -> dict[str, str]:
        """Return Docker's state of every container: ``{"node-1": "running", …}``."""
        return {name: each.status for name, each in self.project.containers(ended=True).items()}

    def node_names(self) -> list[str]:
        """Return the names of the testbed's nodes, whether they are running or not."""
        return [f"node{number}" for number in self.project.nodes(ended=True)]
