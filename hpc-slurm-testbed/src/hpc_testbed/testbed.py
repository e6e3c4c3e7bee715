"""The testbed: up, down, scale, and running commands on it as one of its users."""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from hpc_testbed import faults, processes
from hpc_testbed.compose import FOLDER, MAX_NODES, ComposeProject
from hpc_testbed.docker_engine import (
    TEXT,
    DockerUnavailableError,
    TestbedError,
    command_hint,
    docker,
    docker_problem,
    last_lines,
    shortened,
)
from hpc_testbed.faults import Fault
from hpc_testbed.lock import locked
from hpc_testbed.processes import Process
from hpc_testbed.startup_timing import format_stages, startup_stages

SUITES = {"trixie": "Slurm 24.11", "bookworm": "Slurm 22.05"}
TARGETS = ("slurm", "lab")
LOGIN_NODES = ("login1", "login2")
SERVICES = ("mariadb", "slurmdbd", "slurmctld", *LOGIN_NODES, "node")
TIMED_OUT = 124  # exit code of the command `timeout`


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


class Testbed:
    """A Slurm site in containers: controller, accounting, login and compute nodes.

    Parameters
    ----------
    name : str, optional
        Of the Compose project: two testbeds with different names run side by side. By default
        what ``TESTBED_NAME`` says, else one for this checkout.
    nodes : int
        How many compute nodes `up` starts, 1 to 64.
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
        nodes: int = 4,
        suite: str | None = None,
        target: str | None = None,
        dockerfile: str | os.PathLike[str] | None = None,
    ):
        self.name = name or os.environ.get("TESTBED_NAME") or default_name()
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise TestbedError(
                f"name {self.name!r}: use small letters, digits, - and _, a letter or digit first"
            )
        self.suite = suite or os.environ.get("TESTBED_SUITE") or "trixie"
        self.target = target or os.environ.get("TESTBED_TARGET") or "slurm"
        for what, value, known in (
            ("suite", self.suite, SUITES),
            ("target", self.target, TARGETS),
        ):
            if value not in known:
                raise TestbedError(f"{what} {value!r}: choose one of {', '.join(known)}")
        self.nodes = _checked_nodes(nodes)
        file = dockerfile or os.environ.get("TESTBED_DOCKERFILE")
        self.dockerfile = Path(file).resolve() if file else None
        if self.dockerfile and not self.dockerfile.is_file():
            raise TestbedError(f"dockerfile {file}: there is no such file")
        self._compose = ComposeProject(self.name, self.suite, self.target, self.dockerfile)
        #: Seconds that the stages of the last `up` took: image, containers, slurm.
        self.stages: dict[str, float] = {}

    def __enter__(self) -> "Testbed":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.down()

    # --- the whole -----------------------------------------------------------------------------

    def build(self) -> None:
        """Build the image (a second when nothing changed; minutes the first time, shown)."""
        self._need_engine()
        self._compose.build()

    @property
    def image(self) -> str:
        """The image that the containers are made from, with its tag."""
        return self._compose.image

    def up(self, nodes: int | None = None) -> None:
        """Start the testbed; return when every node is idle. An already running one is kept.

        Raises
        ------
        DockerUnavailableError
            Where Docker cannot be used.
        TestbedError
            A container did not start, or not all nodes registered within two minutes.
        """
        if nodes is not None:
            self.nodes = _checked_nodes(nodes)
        self._need_engine()
        with self._exclusive():
            stopwatch = _Stopwatch()
            image = self._image_of_running() or self._built()
            self.stages = {"image": stopwatch.lap()}
            self._remove_nodes_beyond(self.nodes)
            seconds = {"TESTBED_IMAGE_SECONDS": f"{self.stages['image']:.1f}"}
            self._compose.start(self.nodes, image, seconds)
            self.stages["containers"] = stopwatch.lap()
            self._wait_for_nodes()
            self.stages["slurm"] = stopwatch.lap()

    def scale(self, nodes: int) -> None:
        """Change the number of compute nodes; jobs on nodes that go are lost.

        Nodes that come are made from the image of those that run.

        Raises
        ------
        TestbedError
            The testbed is not up, or the nodes do not come or go within two minutes.
        """
        nodes = _checked_nodes(nodes)
        self._need_engine()
        with self._exclusive():
            running = self._compose.running_image()
            if not (running and self._node_numbers()):
                raise TestbedError(
                    f"testbed {self.name} is not up: start it first ({command_hint('up')})"
                )
            self.nodes = nodes
            self._remove_nodes_beyond(nodes)
            self._compose.start(nodes, self._usable(*running))
            self._wait_for_nodes()

    def _exclusive(self) -> AbstractContextManager[None]:
        """Wait until no other command of ours starts, changes or ends this testbed."""
        busy = f"Another command starts, scales or ends testbed {self.name} now: waiting for it."
        return locked(f"{self.name}-change", busy=busy)

    def _built(self) -> str:
        self._compose.build()
        return self._compose.image

    def _image_of_running(self) -> str | None:
        """Return the image that the testbed's nodes have, if there are any; say if we want another.

        What is added to a testbed is made from the same image.
        """
        running = self._compose.running_image()
        if running is None:
            return None
        name, identity = running
        if name != self.image:
            other = f"{name}, not {self.image}"
        else:
            self._compose.build()
            other = "another image than the present one"
        if self._compose.image_id(self.image) != identity:
            print(
                f"Testbed {self.name} runs {other}; to change it: {command_hint('down')}, "
                "then up again.",
                file=sys.stderr,
            )
        return self._usable(name, identity)

    def _usable(self, name: str, identity: str) -> str:
        """Return the name of a running testbed's image, or its id where it has lost its name."""
        return name if self._compose.image_id(name) == identity else identity

    def down(self) -> None:
        """Stop and remove everything: containers, networks, volumes. Safe where nothing runs.

        Raises
        ------
        TestbedError
            Something of it is still there.
        """
        self._need_engine()
        with self._exclusive():
            self._compose.remove()
            left = self.leftover_resources()
        if left:
            raise TestbedError(f"testbed {self.name} is down, but Docker keeps {', '.join(left)}")

    def is_up(self) -> bool:
        """Say whether it has nodes that run."""
        self._need_engine()
        return bool(self._node_numbers())

    def leftover_resources(self) -> list[str]:
        """Return what Docker has of this testbed: ``["network hpc-testbed_data", …]``."""
        return self._compose.leftover_resources()

    # --- using it ---------------------------------------------------------------------------------

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
        reads = input is not None or stdin is not None
        if reads:
            argv.append("--interactive")
        elif show and sys.stdout.isatty():  # Docker makes no terminal where it hands on a file
            argv.append("--tty")
            settings.setdefault("TERM", os.environ.get("TERM", "xterm"))
        for key, value in settings.items():
            argv += ["--env", f"{key}={value}"]
        argv += [self.container(service)]
        argv += ["timeout", "--kill-after=5", str(timeout), "bash", "-lc", command]
        output = None if show else subprocess.PIPE
        done = subprocess.run(
            argv,
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
        if not source.is_dir():
            raise TestbedError(f"{source} is not a folder")
        buffer = BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(source, arcname=".", filter=_without_caches)
        self._pipe_in(["mkdir", "-p", destination], b"", user)
        extract = ["tar", "--extract", "--no-same-owner", "--directory", destination]
        self._pipe_in(extract, buffer.getvalue(), user)

    def get(self, source: str, destination: Path) -> None:
        """Copy a folder of the shared home into `destination`, a folder of ours."""
        archive = subprocess.run(
            ["docker", "exec", self.container("login"), "tar", "-C", source, "-c", "."],
            capture_output=True,
        )
        if archive.returncode != 0:
            raise TestbedError(f"{source}: {last_lines(archive.stderr.decode(**TEXT))}")
        destination.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(destination, filter="data")
            else:  # Python before 3.11.4, as in Debian 12, has no filters
                tar.extractall(destination)

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
        line = public_key.strip()
        if not re.fullmatch(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( [^\n]*)?", line):
            raise TestbedError(f"not a public key of ssh: {line.splitlines()[:1]}")
        home = shlex.quote(f"/home/{user}")
        asked = f"id {shlex.quote(user)} && test -d {home}"  # not the system's own, as nobody
        if self.run(asked, user="root", check=False).returncode != 0:
            raise TestbedError(f"the testbed has no user {user!r}")
        # Always without the line first, so that it stands there once or not at all.
        self.run(
            "umask 077; mkdir -p .ssh && cd .ssh && touch authorized_keys && "
            f"{{ grep -vxF {shlex.quote(line)} authorized_keys; "
            f"{':' if revoke else f'echo {shlex.quote(line)}'}; }} > authorized_keys.new && "
            "mv authorized_keys.new authorized_keys",
            user=user,
        )

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
        numbers = self._node_numbers()
        return processes.list_processes(
            {f"node{number}": numbers[number] for number in sorted(numbers)}
        )

    def node_states(self) -> dict[str, str]:
        """Return Slurm's state of each node it knows: ``{"node1": "idle", …}``."""
        listing = self._sinfo()
        return dict(line.split() for line in listing.splitlines())

    def status(self) -> str:
        """Return what `hpc-testbed status` shows: containers, timing of the start, nodes, jobs."""
        self._need_engine()
        if not self._node_numbers():
            return f"testbed {self.name} is not up ({command_hint('up')})"
        containers = self._compose("ps", "--all", "--format", "table {{.Name}}\t{{.Status}}")
        stages = self.startup_stages()
        start = f"The start took {sum(stages.values()):.1f} s: {format_stages(stages)}"
        slurm = self.run("sinfo; echo; squeue", user="root", check=False)
        said = (slurm.stdout + slurm.stderr).strip()
        return "\n\n".join([containers.strip(), start, said])

    def startup_stages(self) -> dict[str, float]:
        """Return the seconds that the stages of the start took: ``{"containers": 1.2, …}``.

        The image comes first, where the driver started the testbed; what follows is read from the
        containers' logs.
        """
        stages = startup_stages(self._compose.logs(), self._compose.created())
        image = self._compose.label("hpc-testbed.image-seconds")
        return {"image": float(image), **stages} if image else stages

    def logs(self, *services: str, tail: int | None = None) -> str:
        """Return what the daemons wrote, of all services or of those named."""
        self._need_engine()
        if "login" in services:
            services = (*(name for name in services if name != "login"), *LOGIN_NODES)
        # node3 as in `run`; its service is node-3.
        services = tuple(re.sub(r"^node-?(\d+)$", r"node-\1", name) for name in services)
        nodes = {name.replace("node", "node-") for name in self.node_names()}
        if unknown := set(services) - set(SERVICES) - nodes:
            raise TestbedError(
                f"no service is called {', '.join(sorted(unknown))}; there are: "
                f"{', '.join(SERVICES)}"
            )
        return self._compose.logs(*services, tail=tail)

    def container(self, service: str) -> str:
        """Return the id of a running container, named as in `run`.

        Raises
        ------
        TestbedError
            It does not run.
        """
        node = re.fullmatch(r"node(\d+)", service)
        kind = LOGIN_NODES[0] if service == "login" else "node" if node else service
        found = self._compose.containers(kind)
        number = int(node[1]) if node else min(found, default=0)
        if number not in found:
            raise TestbedError(
                f"testbed {self.name}: {service} is not running ({command_hint('up')})"
            )
        return found[number]

    # --- what goes wrong --------------------------------------------------------------------------

    def fault(self, name: str, node: str = "node1") -> AbstractContextManager[Fault]:
        """Let something go wrong for the length of a ``with`` block; then all is repaired.

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
        return faults.injected(self, name, node)

    def inject(self, name: str, node: str = "node1") -> Fault:
        """Let something go wrong as with `fault`, but do not repair it."""
        return faults.inject(self, name, node)

    def repair(self) -> None:
        """Put right whatever is wrong with the testbed; return when all nodes are in service."""
        self._need_engine()
        if not self._compose.states():
            raise TestbedError(
                f"testbed {self.name} is not up: start it first ({command_hint('up')})"
            )
        faults.repair(self)

    def status_problems(self) -> list[str]:
        """Say what is wrong with the testbed as Docker and Slurm see it; jobs may run meanwhile."""
        return faults.status_problems(self)

    def check_health(self) -> list[str]:
        """Say what is wrong, as `status_problems`, and run a job on every node to find more."""
        return faults.check_health(self)

    def container_states(self, *, ids: bool = False) -> dict[str, str]:
        """Return Docker's state of every container: ``{"node-1": "running", …}``."""
        return self._compose.states(ids=ids)

    def node_names(self) -> list[str]:
        """Return the nodes that the testbed has, whether they run or not."""
        numbers = [name.removeprefix("node-") for name in self._compose.states() if "node-" in name]
        return [f"node{number}" for number in sorted(map(int, numbers))]

    # --- inside -----------------------------------------------------------------------------------

    def _need_engine(self) -> None:
        problem = docker_problem()
        if problem:
            raise DockerUnavailableError(problem)

    def _node_numbers(self) -> dict[int, str]:
        return self._compose.containers("node")

    def _sinfo(self) -> str:
        argv = ["exec", self.container("login"), "sinfo", "--noheader", "--Node"]
        return docker(*argv, "--partition=short", "--format=%N %t", check=False).stdout

    def _wait_for_nodes(self, timeout: float = 120) -> None:
        """Wait until Slurm has exactly our nodes and all of them can take jobs."""
        begin = time.monotonic()
        look = 5.0  # whether a container has ended is asked more rarely: it costs more
        while True:
            states = self.node_states()
            if len(states) == self.nodes and all(
                state in ("idle", "mix", "alloc", "comp") for state in states.values()
            ):
                return
            waited = time.monotonic() - begin
            if waited > look:
                look = waited + 5
                if ended := self._compose.ended():
                    said = docker("logs", "--tail", "3", ended[0])
                    words = last_lines(said.stdout + said.stderr)
                    raise TestbedError(
                        f"{', '.join(ended)} ended (see {command_hint('logs')}): {words}"
                    )
            if waited > timeout:
                known = ", ".join(f"{node} {state}" for node, state in states.items()) or "none"
                raise TestbedError(
                    f"after {timeout:.0f} s Slurm has not {self.nodes} nodes that can work, "
                    f"but: {known} (see {command_hint('logs')})"
                )
            time.sleep(0.1)

    def _remove_nodes_beyond(self, last: int) -> None:
        numbers = self._compose.containers("node", ended=True)
        going = [number for number in sorted(numbers) if number > last]
        if not going:
            return
        names = ",".join(f"node{number}" for number in going)
        # Down first, so that Slurm ends their jobs now and not at SlurmdTimeout.
        down = f"scontrol update nodename={names} state=down reason='testbed scaled down'"
        self.run(down, user="root", service="slurmctld")
        for number in going:  # one after another, as in `down`
            docker("rm", "--force", numbers[number])
        # A node whose job is still being closed cannot be deleted yet.
        deadline = time.monotonic() + 60
        while True:
            deleted = self.run(
                f"scontrol delete nodename={names}", user="root", service="slurmctld", check=False
            )
            if not set(names.split(",")) & set(self.node_states()):
                return
            if time.monotonic() > deadline:
                raise TestbedError(f"Slurm keeps {names}: {last_lines(deleted.stderr)}")
            time.sleep(0.2)

    def _pipe_in(self, command: list[str], data: bytes, user: str) -> None:
        argv = ["docker", "exec", "--interactive", "--user", user, self.container("login")]
        done = subprocess.run([*argv, *command], input=data, capture_output=True)
        if done.returncode != 0:
            raise TestbedError(f"copying to the testbed: {last_lines(done.stderr.decode(**TEXT))}")


def _checked_nodes(nodes: int) -> int:
    if not 1 <= nodes <= MAX_NODES:
        raise TestbedError(f"{nodes} nodes asked for: choose 1 to {MAX_NODES}")
    return nodes


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left_out = {"__pycache__", ".venv", ".pytest_cache", ".ipynb_checkpoints"}
    return None if left_out & set(Path(entry.name).parts) else entry


class _Stopwatch:
    """A stopwatch: `lap` returns the seconds since the last lap."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        lap, self._last = now - self._last, now
        return lap
