"""A cluster inside one Slurm job: Dask's scheduler beside the program, workers on all its nodes.

`dask hpc run` submits such jobs (see `one_job`). In one, `get_cluster` makes an `AllocationCluster`
instead of a `SLURMCluster`: the same program, without a line of its own for it. Each node's workers
are a step of the job, that is a child process `srun` of the program: when the program ends, however
it ends, Slurm ends the job with all that is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import shlex
import subprocess
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dask.utils import format_bytes, parse_bytes, parse_timedelta
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface, SpecCluster
from distributed.utils import get_ip_interface

from . import config, jobs, news, schedulers, values
from ._jobqueue import dask_jobqueue
from .dashboard_on_demand import DashboardOnDemand
from .errors import ConfigError, JobsEnded, WorkersTimeout
from .profiles import FromSettings
from .retiring import give_up
from .starting import TellsWhy
from .tasks import EndsItself, Tasks
from .tls import ConnectsApart
from .waiting import until_shown
from .worker_start import add_worker_start

if TYPE_CHECKING:
    from distributed.scheduler import WorkerState

# Set by the job script to the job's own id: a job that is submitted from within inherits the
# variable, but has another id.
MARK = "DASK_HPC_ALLOCATION"
PROFILE = "DASK_HPC_ALLOCATION_PROFILE"

SHARE = 0.9  # of the memory of a node's part, for its workers: Dask is to act before Slurm does

RESTARTS = 3  # of a node's workers; a step that lasted for STEADY seconds counts as a new beginning
STEADY = 600.0
PAUSE = 1.0  # before the first start anew; doubled each time
STOPPING = 10.0  # seconds for a step to end by itself
# The user hears of the walltime's end before: a tenth of it, within these seconds.
NOTICE_SHARE, NOTICE_LEAST, NOTICE_MOST = 0.1, 20.0, 600.0
LOOK = 60.0  # how often Slurm is asked, at least: a site's staff may change the end

# Reads from the shell that starts the workers, which says nothing: a read ends by its time-out, or
# at once when shell and workers are gone. A sleep would outlive them where Slurm can't reach the
# node.
_GUARD = """\
exec 9> >(
  unset ${{!SQUEUE_*}} ${{!SCANCEL_*}} SLURM_CLUSTERS
  while read -r -t {pause:g}; [ $? -gt 128 ]; do
    nodes=$(squeue --all --noheader --states=RUNNING --jobs=$SLURM_JOB_ID --format=%N 2> /dev/null)
    if [ -n "$nodes" ] && ! scontrol show hostnames "$nodes" | grep -qxF {first}; then
      {tell}
      scancel $SLURM_JOB_ID
    fi
  done
)
"""


def inside() -> bool:
    """Return whether this process runs in a job of `dask hpc run`."""
    mark = os.environ.get(MARK)
    return bool(mark) and mark == os.environ.get("SLURM_JOB_ID")


def profile() -> str | None:
    """Return the profile that the job was submitted with; None for the batch system's section."""
    return os.environ.get(PROFILE) or None


def nodes() -> list[str]:
    """Return the job's nodes, starting with the node of this process.

    Raises
    ------
    ConfigError
        This process is on none of them, where Dask's scheduler should not run.
    """
    here = os.environ.get("SLURMD_NODENAME")
    command = ["scontrol", "show", "hostnames", os.environ.get("SLURM_JOB_NODELIST", "")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ConfigError(f"The job's nodes are not known: {' '.join(said.split())}") from None
    found = done.stdout.split()
    if here is None or here not in found:
        raise ConfigError(
            "This program does not run on a node of its job: submit it with `dask hpc run`."
        )
    return [here, *(node for node in found if node != here)]


class Step(FromSettings, dask_jobqueue.slurm.SLURMJob):
    """The workers of one node, as a step of the job.

    Takes the node, and the arguments of dask-jobqueue's class, of which it uses the worker's part.
    """

    status: Status  # ProcessInterface's

    def __init__(
        self,
        scheduler: str | None = None,
        name: str | None = None,
        *,
        node: str = "",
        place: tuple[str, int] = ("", 0),
        owner: weakref.ref[AllocationCluster] | None = None,
        memory_limit: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._place = place  # the first node, and this one's number
        self._limit = memory_limit  # the lab's own; dask-jobqueue's __init__ asks for it
        # `dask worker` numbers several processes, node1-0, node1-1 …, but not a single one.
        alone = kwargs.get("processes") == 1
        super().__init__(scheduler, name=f"{name}-0" if alone else name, **kwargs)
        self.node = node
        self._owner = owner
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.began = 0.0

    @property
    def worker_process_memory(self) -> str:
        limit = SHARE * self.worker_memory / self.worker_processes
        return self._limit or format_bytes(limit).replace(" ", "")

    def command(self) -> list[str]:
        # The memory and further limits are those of the job. --overlap: whatever else the program
        # starts with srun does not keep the workers waiting, nor they it.
        command = ["srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={self.node}"]
        command += [f"--cpus-per-task={self.worker_cores}", f"--job-name={self.job_name}"]
        if self.log_directory is not None:
            command.append(f"--output={self.log}")
        return [*command, "--input=none", "bash", "-c", self._guard() + self.job_script()]

    def _guard(self) -> str:
        """Return lines of shell that end the job once Slurm has taken the program's node from it.

        With --no-kill Slurm would leave the steps on the other nodes running until the walltime is
        over, and workers do not notice when the scheduler's node is silent. The second node looks
        once a minute, the third every other minute, and so on: one of them is there, and Slurm is
        asked rarely.
        """
        first, number = self._place
        if number == 0:
            return ""
        line = f"{first}, where the program ran, has failed: this job is ended."
        tell = f"echo {line!r}"
        if self.log_directory is not None:
            tell += f" | tee -a {self.log_directory}/{self.job_name}-$SLURM_JOB_ID.err"
        return _GUARD.format(pause=number * LOOK, first=first, tell=tell)

    @property
    def log(self) -> str:
        """The file with the workers' output."""
        return f"{self.log_directory}/{self.job_name}-{os.environ['SLURM_JOB_ID']}-{self.node}.out"

    async def start(self) -> None:
        self.began = time.monotonic()
        process = self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            stdin=subprocess.DEVNULL,
            # Without a log directory the workers print where the program does.
            stdout=None if self.log_directory is None else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the program, which then closes its cluster
        )
        await ProcessInterface.start(self)
        self._watch = asyncio.create_task(self._until_it_ends(process))

    def _cluster(self) -> AllocationCluster | None:
        return None if self._owner is None else self._owner()

    async def _until_it_ends(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # it is a pipe
        said = (await process.stderr.read()).decode(errors="replace")
        code = await process.wait()
        if self.status is Status.running:
            cluster = self._cluster()
            assert cluster is not None  # it ends its steps before it closes
            await cluster._step_ended(self, code, said)

    async def close(self) -> None:
        was, self.status = self.status, Status.closing
        cluster, process = self._cluster(), self._process
        if was is Status.running and cluster is not None and cluster.status is Status.running:
            # One node less, and the others go on: they take over what this one's workers hold.
            leaving = [worker.address for worker in cluster._workers_of(self.node)]
            await cluster.scheduler.retire_workers(leaving, close_workers=True)
        if was is Status.running and process is not None and process.returncode is None:
            for end in (process.terminate, process.kill):
                with contextlib.suppress(ProcessLookupError):
                    end()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), STOPPING)
                    break
        await ProcessInterface.close(self)


class AllocationCluster(
    TellsWhy, EndsItself, ConnectsApart, DashboardOnDemand, dask_jobqueue.SLURMCluster
):
    """The nodes of the Slurm job in which this program runs, as a cluster.

    Takes the arguments of `SLURMCluster`. Those that only the submission of a job needs (`queue`,
    `walltime` and so on) are ignored; a "job" of `scale` is one of the nodes.

    * The first node's memory is shared, in equal parts, by its workers and the program.
    * Workers that end are started again a few times. Those of a lost node are not, and the other
      workers do their tasks. When no node has workers any more, the cluster closes and says why.
    * Some time before the job's walltime is over, a line says so.
    """

    job_cls = Step

    def __init__(
        self, n_workers: float = 0, job_cls: type[Any] | None = None, **kwargs: Any
    ) -> None:
        self._nodes = nodes()
        self._first = self._nodes[0]
        self._place = f"on {self._first}"
        self._restarts = dict.fromkeys(self._nodes, 0)
        self._failure: str | None = None
        self._told: set[str] = set()
        self._minding = Tasks("Minding the walltime")
        batch = schedulers.get("slurm")
        kwargs["config_name"] = kwargs.get("config_name") or profile()
        kwargs.pop("idle_timeout", None)  # of a cluster that costs more the longer it waits
        kwargs = add_worker_start(config.explicit(batch, kwargs))
        _check_size(kwargs)
        kwargs["scheduler_options"] = _scheduler_options(kwargs)
        kwargs.update(_workers_own_network(kwargs))
        self._section = kwargs["config_name"]
        body = {"_settings": kwargs.pop("settings")}
        super().__init__(job_cls=type("Step", (job_cls or Step,), body), **kwargs)
        self._job_kwargs: dict[str, Any] = {**self._job_kwargs, "owner": weakref.ref(self)}
        if n_workers:
            self.scale(n_workers)

    def scale(
        self,
        n: float | None = None,
        jobs: float = 0,
        memory: str | None = None,
        cores: float | None = None,
    ) -> Any:
        """Run workers on more or fewer of the job's nodes, at most on all of them.

        Parameters
        ----------
        n : int, optional
            Workers (processes), rounded up to whole nodes.
        jobs : int
            Nodes.
        memory : str, optional
            Memory of all nodes, such as ``"64 GiB"``.
        cores : int, optional
            Cores of all nodes.
        """
        for name, value in {"n": n, "jobs": jobs, "cores": cores}.items():
            if value is not None and (line := values.amount(value)):
                raise ValueError(f"scale({name}=...) {line}")
        if memory is not None and (line := values.unreadable_memory(memory)):
            raise ValueError(f"scale(memory=...): {line}")
        job = self._dummy_job
        wanted = math.ceil(jobs or 0)
        size = None if memory is None else parse_bytes(values.memory_text(memory))
        for amount, each in (
            (n, job.worker_processes),
            (cores, job.worker_cores),
            (size, job.worker_memory),
        ):
            if amount is not None:
                wanted = max(wanted, math.ceil(amount / each))
        there = len(self._nodes)
        if wanted > there:
            self._tell(f"This job has {_count(there, 'node')}, for the {wanted} asked for.")
        elif 0 < wanted < there:
            self._tell(f"{there - wanted} of this job's {_count(there, 'node')} stay idle.")
        keep = self._nodes[:wanted]
        for node in [node for node in self.worker_spec if node not in keep]:
            del self.worker_spec[node]
        if self.status not in (Status.closing, Status.closed):
            for node in keep:
                self.worker_spec.setdefault(node, self._spec(node))
        # The base of the base: what is asked for is settled, and is now to become so.
        return SpecCluster.scale(self, len(self.worker_spec))

    def adapt(self, *_: Any, **__: Any) -> Any:
        """Run workers on all of the job's nodes, which are there and paid for in any case."""
        return self.scale(jobs=len(self._nodes))

    def wait_for_workers(self, n_workers: int, timeout: float | str | None = None) -> Any:
        """Wait until this number of workers (processes) has arrived.

        Parameters
        ----------
        n_workers : int
            At least 1.
        timeout : number or str, optional
            Seconds, or text such as ``"2 minutes"``.

        Raises
        ------
        WorkersTimeout
            They did not arrive in time, or this job has no room for so many.
        JobsEnded
            No node has workers any more.
        """
        if (number := values.whole(n_workers)) is None or number < 1:
            raise ValueError(f"n_workers must be a whole number, 1 or more, not {n_workers!r}")
        return self.sync(self._wait, number, timeout)

    async def _wait(self, n_workers: int, timeout: float | str | None) -> None:
        limit = None if timeout is None else parse_timedelta(timeout, "s")
        deadline = None if limit is None else time.monotonic() + limit
        while (arrived := self._arrived()) < n_workers:
            most = len(self._nodes) * self._dummy_job.worker_processes
            if self._failure is not None:
                raise JobsEnded(self._failure)
            if self.status not in (Status.created, Status.starting, Status.running):
                line = f"The cluster was closed while {n_workers} workers were awaited"
                raise WorkersTimeout(line, arrived, n_workers)
            if most < n_workers:
                has = f"this job has {_count(len(self._nodes), 'node')} for {most}"
                raise WorkersTimeout(
                    f"{n_workers} workers can't come: {has}. `dask hpc run --jobs` asks for nodes.",
                    arrived,
                    n_workers,
                )
            if deadline is not None and time.monotonic() > deadline:
                line = f"{arrived} of {n_workers} workers came within {limit:g} s"
                if len(self.plan) < n_workers:
                    line += f" (the cluster is scaled to {len(self.plan)} workers only)"
                raise WorkersTimeout(f"{line}.{self._log_hint()}", arrived, n_workers)
            await asyncio.sleep(0.02)
        await until_shown(self)

    def _arrived(self) -> int:
        return sum(worker.status == Status.running for worker in self._workers_of(None))

    def _workers_of(self, node: str | None) -> list[WorkerState]:
        if self.scheduler is None:
            return []
        found = list(self.scheduler.workers.values())
        return [w for w in found if node is None or str(w.name).rpartition("-")[0] == node]

    def _spec(self, node: str) -> dict[str, Any]:
        place = (self._first, self._nodes.index(node))
        options = {**self._job_kwargs, "node": node, "place": place}
        processes = options["processes"]
        if node == self._first:
            # Beside its workers this node has the program, with Dask's scheduler in it.
            share = parse_bytes(options["memory"]) * processes // (processes + 1)
            options["memory"] = f"{share} B"
        # Names that are never those of the steps themselves: distributed would take a lost worker
        # for a lost step, and close it.
        group = [f"-{number}" for number in range(processes)]
        return {"cls": self.job_cls, "options": options, "group": group}

    @property
    def _options_are_in(self) -> str:
        return f"interface and scheduler-options in jobqueue.yaml, section jobqueue.{self._section}"

    async def _start(self) -> None:
        await super()._start()
        self._tell_dashboard()
        self._minding.spawn(self._mind_the_time())

    def _tell_dashboard(self) -> None:
        """Say where the dashboard is, since the job's node is not known beforehand."""
        address = urlsplit(self.dashboard_link)
        if "dashboard" not in self.scheduler.services or not address.port:
            return  # there is none, or the link leads through a Jupyter server
        login = os.environ.get("SLURM_SUBMIT_HOST", "the-login-node")
        tunnel = f"ssh -N -L {address.port}:{address.hostname}:{address.port} {login}"
        self._tell(
            f"Dashboard: {self.dashboard_link} (from your own computer: `{tunnel}`, then "
            f"{address.scheme}://localhost:{address.port}{address.path})"
        )

    async def _end(self, close: Callable[[], Awaitable[None]]) -> None:
        self._minding.cancel()
        await close()
        await self._minding.over()  # the event loop may be closed next

    async def _step_ended(self, step: Step, code: int, said: str) -> None:
        """Restart the workers of a node that ended unexpectedly, or go on without them."""
        node = step.node
        if self.status is not Status.running or self.workers.get(node) is not step:
            return
        if "has expired" in said:
            return  # the whole job has been ended, and this process is about to be
        # Those of a silent node are still taken for alive, their connections for open.
        for worker in self._workers_of(node):
            await give_up(self.scheduler, worker.address, f"step-ended-{node}")
        why = _words(said) or jobs.exit_words(code)
        if time.monotonic() - step.began > STEADY:
            self._restarts[node] = 0
        step.status = Status.failed
        again = self._restarts[node] < RESTARTS and not _is_lost(said)
        if again:
            pause = PAUSE * 2 ** self._restarts[node]
            self._restarts[node] += 1
            news.warn(f"The workers on {node} ended ({why}) and are started again.")
            await asyncio.sleep(pause)
        if self.status is not Status.running or self.workers.get(node) is not step:
            return
        del self.workers[node]
        if again:
            await asyncio.shield(self._correct_state())
            return
        self._nodes.remove(node)
        self.worker_spec.pop(node, None)
        if self.worker_spec:
            news.warn(
                f"The workers on {node} ended ({why}); their tasks go to the other "
                f"{_count(len(self.worker_spec), 'node')}.{_log_of(step)}"
            )
            return
        self._failure = (
            f"No node has workers any more: those on {node} ended ({why}).{_log_of(step)}"
        )
        news.warn(self._failure)
        # Whoever waits for results is told so, instead of waiting until the walltime is over.
        self.end_itself()

    async def _mind_the_time(self) -> None:
        """Warn once when little is left of the job's walltime."""
        batch, job = schedulers.get("slurm"), os.environ["SLURM_JOB_ID"]
        left, notice = math.inf, None
        while notice is None or left > notice:
            with contextlib.suppress(jobs.CommandError):
                listed = await jobs.ask(batch, [job])
                left = next((s.left for s in listed.values() if s.left is not None), math.inf)
            if notice is None and left < math.inf:
                notice = min(NOTICE_MOST, max(NOTICE_LEAST, NOTICE_SHARE * left))
            if notice is None or left > notice:
                await asyncio.sleep(min(LOOK, max(1.0, left - (notice or 0))))
        news.warn(
            f"This job's walltime is over in {left:.0f} s: what the program has not saved by then "
            "is lost."
        )

    def _log_hint(self) -> str:
        directory = self._dummy_job.log_directory
        return f" The workers' output is in {directory}." if directory else ""

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            news.say(line)


def _setting(kwargs: dict[str, Any], name: str) -> Any:
    """Return an argument, or what jobqueue.yaml says instead."""
    if kwargs.get(name) is not None:
        return kwargs[name]
    return kwargs["settings"].get(name)


def _scheduler_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the scheduler's options for a compute node."""
    options = dict(_setting(kwargs, "scheduler_options") or {})
    interface = _setting(kwargs, "interface")
    if not interface:
        return options
    # What they say of the interface is for the login node; here the workers' own is the right one.
    options["interface"] = interface
    host, _, port = str(options.get("dashboard_address") or ":8787").rpartition(":")
    if not host:
        # ":0" would be a port on every network of the node.
        with contextlib.suppress(ValueError):  # no such interface: the scheduler says so
            options["dashboard_address"] = f"{get_ip_interface(interface)}:{port}"
    return options


# The address of a node's interface, without the seconds that importing Dask takes (SIOCGIFADDR).
_ADDRESS = (
    "import fcntl, socket, struct; s = socket.socket(type=socket.SOCK_DGRAM); "
    "print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack('256s', {name!r}))[20:24]))"
)


def _workers_own_network(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that put the workers' web servers on the workers' interface, too.

    A worker without a dashboard also has a web server, for metrics. `dask worker` takes an address
    for it, which differs from node to node, but no interface; without an address it is on every
    network of the node.
    """
    interface, options = _setting(kwargs, "interface"), _setting(kwargs, "worker_extra_args") or []
    if not interface or any("dashboard-address" in option for option in options):
        return {}
    find = shlex.join(["-c", _ADDRESS.format(name=interface.encode())])
    line = f"DASK_HPC_HOST=$({_setting(kwargs, 'python')} {find})"
    return {
        "worker_extra_args": [*options, "--dashboard-address", "$DASK_HPC_HOST:0"],
        "job_script_prologue": [*(_setting(kwargs, "job_script_prologue") or []), line],
    }


def _check_size(kwargs: dict[str, Any]) -> None:
    """Raise an error for workers that are larger than the job's part of a node."""
    cores, memory = kwargs["cores"], parse_bytes(kwargs["memory"])
    given_cores = os.environ.get("SLURM_CPUS_PER_TASK")
    given_memory = os.environ.get("SLURM_MEM_PER_NODE")  # MiB
    if given_cores and cores > int(given_cores):
        what = f"{cores} cores, and this job has {given_cores}"
    elif given_memory and int(given_memory) and memory > int(given_memory) * 2**20:
        what = f"{kwargs['memory']}, and this job has {int(given_memory) / 1024:g} GiB"
    else:
        return
    raise ConfigError(
        f"The cluster asks for {what} on each node: leave it to jobqueue.yaml, or make a profile "
        "there, and name it to `dask hpc run --config-name`."
    )


def _is_lost(said: str) -> bool:
    """Return whether srun said that the node is gone, or no longer belongs to the job."""
    return bool(
        re.search(
            r"(?i)node failure|requested node configuration|unable to create step"
            r"|not in this job|nodes? .* (?:down|not responding)|invalid node",
            said,
        )
    )


def _words(said: str) -> str:
    """Return the last line that srun printed, without its name."""
    lines = [re.sub(r"^srun: (?:error: )?", "", line).strip() for line in said.splitlines()]
    lines = [
        line for line in lines if line and not line.startswith(("Job step aborted", "forcing"))
    ]
    return lines[-1].rstrip(".") if lines else ""


def _log_of(step: Step) -> str:
    return f" Their output: {step.log}" if step.log_directory is not None else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
