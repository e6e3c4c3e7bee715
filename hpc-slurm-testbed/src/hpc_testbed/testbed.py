"""The testbed: up, down, scale, and running commands on it as one of its users."""

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
    """A Slurm site in containers: controller, accounting, login and compute nodes.

    Parameters
    ----------
    name : str, optional
        Of the Compose project: two testbeds with different names run side by side. By default
        what ``TESTBED_NAME`` says, else one for this checkout.
    nodes : int, optional
        How many compute nodes `up` starts, 1 to 64. By default as many as run already, else 4.
    suite : {"trixie", "bookworm"}, optional
        The Debian release of the image, which decides the Slurm version. By default what
        ``TESTBED_SUITE`` says, else trixie.
    target : {"slurm", "lab"}, optional
        The image: Slurm alone, or with the Python packages of a Dask project. By default what
        ``TESTBED_TARGET`` says, else slurm.
    dockerfile : path, optional
        Adds packages to the image; begins with ``ARG BASE`` and ``FROM ${BASE}``, and its folder is
        what it may copy from. By default what ``TESTBED_DOCKERFILE`` says, else none.

    Raises
    ------
    TestbedError
        A name, number of nodes, suite, target or file that can't be.
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
        #: What Docker has of it: containers, networks, volumes, the image.
        self.project = ComposeProject(name, suite, target, dockerfile)
        self.name = self.project.name
        self.suite = self.project.suite
        #: The image that the containers are made from, with its tag.
        self.image = self.project.image
        self.nodes = None if nodes is None else scaling.checked_nodes(nodes)
        #: Seconds that the stages of the last `up` took: image, containers, slurm.
        self.stages: dict[str, float] = {}
        #: Calls of `fault` that were not the beginning of a ``with`` block.
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
        """Build the image (a second when nothing changed; minutes the first time, shown)."""
        require_docker()
        self.project.build()

    def up(self, nodes: int | None = None) -> None:
        """Start the testbed; return when every node is idle. An already running one is kept.

        Parameters
        ----------
        nodes : int, optional
            As for `Testbed`. Where more run, those beyond are removed, as by `scale`.

        Raises
        ------
        DockerUnavailableError
            Where Docker cannot be used.
        TestbedError
            A container did not start, or not all nodes registered within two minutes.
        """
        if nodes is not None:
            self.nodes = scaling.checked_nodes(nodes)
        lifecycle.up(self)

    def scale(self, nodes: int) -> None:
        """Change the number of compute nodes.

        Jobs on nodes that go end or are requeued, and are named on stderr. New nodes are made from
        the image of those that run.

        Raises
        ------
        TestbedError
            The testbed is not up, or the nodes do not come or go within two minutes.
        """
        scaling.scale(self, nodes)

    def down(self) -> None:
        """Stop and remove everything: containers, networks, volumes. Safe where nothing runs.

        Raises
        ------
        TestbedError
            Something of it is still there.
        """
        lifecycle.down(self.project)

    def is_up(self) -> bool:
        """Say whether it has nodes that run."""
        return bool(self.project.nodes())

    def leftover_resources(self) -> list[str]:
        """Return what Docker has of this testbed: ``["network hpc-testbed_data", …]``."""
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
            For bash.
        user, service : str
            Who (``"root"`` too) and where: login1, login2, node1, node2 …, slurmctld, slurmdbd,
            mariadb. ``"login"`` and ``"node"`` are the first.
        check : bool
            Raise where the command fails.
        timeout : float
            Seconds after which the command is ended, in the container too (exit code 124).
        show : bool
            Let the command write to our terminal; nothing is captured then.
        env : mapping, optional
            Further environment variables.
        input : str, optional
            What the command reads from its standard input; by default that is empty.
        stdin : file, optional
            An open file that the command reads from, instead.

        Returns
        -------
        subprocess.CompletedProcess
            With the exit code and, unless it is shown, what was printed. Bytes in it that are not
            UTF-8 are escaped: ``caf\xe9``.

        Raises
        ------
        TestbedError
            The command failed (and `check`); its last lines are in the message.
        """
        __tracebackhide__ = True  # pytest shows the caller's line, and our error's one line
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
                raise TestbedError(f"{what} had not ended after {timeout:g} s{said}")
            raise TestbedError(f"{what} ended with {done.returncode}{said}")
        return done

    def put(self, source: Path, destination: str, *, user: str = "alice") -> None:
        """Copy a folder of ours to `destination` on the shared home, owned by `user`."""
        access.put(self.container("login"), source, destination, user)

    def get(self, source: str, destination: Path) -> None:
        """Copy a folder of the shared home into `destination`, a folder of ours."""
        access.get(self.container("login"), source, destination)

    def authorize(self, user: str, public_key: str, *, revoke: bool = False) -> None:
        """Let the owner of a public key log in by ssh as `user`, or no longer.

        Parameters
        ----------
        public_key : str
            A line as in ``~/.ssh/id_ed25519.pub``.

        Raises
        ------
        TestbedError
            It is not one public key, or there is no such user.
        """
        access.authorize(self, user, public_key, revoke=revoke)

    def jobs(self, *, completing: bool = False) -> list[str]:
        """Return the ids of all jobs that wait or run.

        Parameters
        ----------
        completing : bool
            With those that have ended, or were cancelled, while their processes still end.
        """
        listing = self.run("squeue --noheader --format='%i %t'", user="root").stdout
        rows = [line.split() for line in listing.splitlines()]
        return [job for job, state in rows if completing or state != "CG"]

    def processes(self) -> list[Process]:
        """Return what users run on the compute nodes, whether Slurm knows of it or not."""
        nodes = self.project.nodes().items()
        return list_processes({f"node{number}": node.id for number, node in nodes})

    def node_states(self) -> dict[str, str]:
        """Return Slurm's state of each node it knows: ``{"node1": "idle", …}``."""
        argv = ["exec", self.container("login").id, "sinfo", "--noheader", "--Node"]
        listing = docker_command(*argv, "--partition=short", "--format=%N %t", check=False)
        return dict(line.split() for line in listing.splitlines())

    def status(self) -> str:
        """Return what `hpc-testbed status` shows: containers, timing of the start, nodes, jobs."""
        containers = self.project.containers(ended=True)
        if not self.project.nodes():
            return f"testbed {self.name} is not up ({command_hint('up')})"
        rows = {name: each.attrs["Status"] for name, each in containers.items()}
        width = max(map(len, rows))
        table = [f"{name:{width}}   {status}" for name, status in sorted(rows.items())]
        stages = self.startup_stages()
        start = f"The start took {sum(stages.values()):.1f} s: {format_stages(stages)}"
        slurm = self.run("sinfo; echo; squeue", user="root", check=False)
        said = (slurm.stdout + slurm.stderr).strip()
        return "\n\n".join(["\n".join(table), start, said])

    def startup_stages(self) -> dict[str, float]:
        """Return the seconds that the stages of the start took: ``{"containers": 1.2, …}``.

        The image comes first, where the driver started the testbed; what follows is read from the
        containers' logs.
        """
        stages = startup_stages(self.project.logs(), self.project.created())
        mariadb = self.project.containers(ended=True).get("mariadb-1")
        image = mariadb and mariadb.attrs["Labels"].get("hpc-testbed.image-seconds")
        return {"image": float(image), **stages} if image else stages

    def logs(self, *services: str, tail: int | None = None) -> str:
        """Return what the daemons wrote, of all services or of those named."""
        return self.project.logs(*services, tail=tail)

    def container(self, service: str) -> "Container":
        """Return a running container, named as in `run`, as an object of the package `docker`.

        Raises
        ------
        TestbedError
            It does not run.
        """
        return self.project.container(service)

    @docker_errors()
    def fault(self, name: str, node: str = "node1") -> AbstractContextManager[Fault]:
        """Let something go wrong for the length of a ``with`` block; then all is repaired.

        Without ``with`` nothing happens, and the pytest fixture fails the test.

        Parameters
        ----------
        name : str
            One of `hpc_testbed.FAULTS`, such as ``"kill-node"``.
        node : str
            Which node it happens to, where it happens to one.

        Raises
        ------
        TestbedError
            There is no such fault or node, or the testbed is not well again in time.
        """
        return fault_block(self, name, node)

    @docker_errors()
    def inject(self, name: str, node: str = "node1") -> Fault:
        """Let something go wrong as with `fault`, but do not repair it."""
        fault = find_fault(self, name, node)
        fault.inject(self, node)
        return fault

    @docker_errors()
    def repair(self) -> None:
        """Put right whatever is wrong with the testbed; return when all nodes are in service."""
        if not self.project.containers(ended=True):
            raise not_up(self.name)
        repair.repair(self)

    def status_problems(self) -> list[str]:
        """Say what is wrong with the testbed as Docker and Slurm see it; jobs may run meanwhile."""
        return repair.status_problems(self)

    def check_health(self) -> list[str]:
        """Say what is wrong, as `status_problems`, and run a job on every node to find more."""
        return repair.check_health(self)

    def container_states(self) -> dict[str, str]:
        """Return Docker's state of every container: ``{"node-1": "running", …}``."""
        return {name: each.status for name, each in self.project.containers(ended=True).items()}

    def node_names(self) -> list[str]:
        """Return the nodes that the testbed has, whether they run or not."""
        return [f"node{number}" for number in self.project.nodes(ended=True)]
