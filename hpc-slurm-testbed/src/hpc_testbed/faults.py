"""What goes wrong on a real site, done to the testbed on purpose, and put right again.

>>> with testbed.fault("kill-node", node="node2"):      # doctest: +SKIP
...     ...                                             # Slurm notices after SlurmdTimeout, 10 s

Each fault is a `Fault` in `FAULTS`: what it does, what Slurm shows and after how long, and how it
is done. `repair` does not undo a particular fault: it looks at every container and every node and
puts right whatever is wrong, after a crash, too, or what somebody did by hand.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hpc_testbed.docker_engine import TestbedError, command_hint, docker

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

    Inject: TypeAlias = Callable[[Testbed, str], None]

# The name of jobs that a fault submits: `repair` cancels them.
JOB_NAME = "testbed-fault"
REASON = "testbed fault"  # what Slurm shows of a node that an "administrator" took out
# What a short memory leaves a node: slurmd and a small job fit. Docker knows no way back to "no
# limit", so repair gives it more than any machine has.
LOW_MEMORY, UNLIMITED_MEMORY = "256m", "1t"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    name : str
        As in ``testbed.fault(name)``.
    description : str
        What is done, for people.
    symptom : str
        What Slurm then shows, and after how long.
    inject : callable
        Injects it, given the testbed and the name of a node.
    targets_node : bool
        Whether it happens to a node, or to the whole site.
    """

    name: str
    description: str
    symptom: str
    inject: Inject
    targets_node: bool = True


# --- to a node ----------------------------------------------------------------------------------


def _kill(testbed: Testbed, node: str) -> None:
    docker("kill", testbed.container(node))


def _pause(testbed: Testbed, node: str) -> None:
    docker("pause", testbed.container(node))


def _cut(testbed: Testbed, node: str) -> None:
    _on(testbed, node, "ip link set ib0 down && ip link set eth0 down", check=True)


def _cut_ib0(testbed: Testbed, node: str) -> None:
    _on(testbed, node, "ip link set ib0 down", check=True)


def _break_fabric(testbed: Testbed, node: str) -> None:
    # Packets of Slurm's two ports go on as ever. All others to login and nodes are led to lo, where
    # the kernel drops them without a word ("martians"), as a broken switch would.
    _on(
        testbed,
        node,
        "set -e; read -r network address < <(ip -4 -o route show dev ib0 scope link | "
        """sed -E 's/^([^ ]+) .*src ([^ ]+).*/\\1 \\2/'); """
        "ip route replace default dev lo src $address table 200; "
        # By number (tcp): not every image has the names.
        "ip rule add ipproto 6 dport 6817-6818 lookup main pref 100; "
        "ip rule add ipproto 6 sport 6817-6818 lookup main pref 101; "
        "ip rule add to $network lookup 200 pref 102",
        check=True,
    )


def _state(state: str) -> Inject:
    def inject(testbed: Testbed, node: str) -> None:
        update = f"scontrol update nodename={node} state={state} reason='{REASON}'"
        testbed.run(update, user="root", service="slurmctld")

    return inject


def _to_jobs(command: str) -> Inject:
    def inject(testbed: Testbed, node: str) -> None:
        jobs = testbed.run(
            f"squeue --noheader --states=running --nodelist={node} --format=%A", user="root"
        ).stdout.split()
        if not jobs:
            raise TestbedError(f"no job runs on {node}: this fault is for jobs")
        testbed.run(command.format(jobs=" ".join(jobs), commas=",".join(jobs)), user="root")

    return inject


def _preempt(testbed: Testbed, node: str) -> None:
    testbed.run(
        f"sbatch --quiet --job-name={JOB_NAME} --partition=short --nodelist={node} --exclusive "
        "--no-requeue --output=/dev/null --wrap='sleep 600'",
        user="bob",
    )


def _skew_clock(testbed: Testbed, node: str) -> None:
    # munged signs what the node says to Slurm, with the time; libfaketime makes it one hour ahead.
    library = "$(ls /usr/lib/*/faketime/libfaketime.so.1)"
    _restart_munge(testbed, node, f"env LD_PRELOAD={library} FAKETIME=+1h ")


def _shorten_memory(testbed: Testbed, node: str) -> None:
    docker(
        "update", f"--memory={LOW_MEMORY}", f"--memory-swap={LOW_MEMORY}", testbed.container(node)
    )


# --- to the site --------------------------------------------------------------------------------


def _restart_slurmctld(testbed: Testbed, _: str) -> None:
    docker("restart", "--time=5", testbed.container("slurmctld"))
    _wait_for_slurmctld(testbed)


def _stop(service: str) -> Inject:
    def inject(testbed: Testbed, _: str) -> None:
        docker("stop", "--time=5", testbed.container(service))

    return inject


def _fill_scratch(testbed: Testbed, _: str) -> None:
    testbed.run("head --bytes=1G /dev/zero > /scratch/full", user="root", check=False)


FAULTS = {
    fault.name: fault
    for fault in [
        Fault(
            "kill-node",
            "ends the node's container at once, like a power cut",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            _kill,
        ),
        Fault(
            "pause-node",
            "stops every process of the node, like a hung kernel",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            _pause,
        ),
        Fault(
            "cut-node",
            "takes both networks from the node, whose processes go on",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            _cut,
        ),
        Fault(
            "cut-ib0",
            "takes ib0 from the node, over which Slurm runs too; eth0 stays",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            _cut_ib0,
        ),
        Fault(
            "break-fabric",
            "loses all that the node sends over ib0, but for Slurm's own messages",
            "nothing: node and jobs look well, while programs on it reach nobody",
            _break_fabric,
        ),
        Fault(
            "drain-node",
            "an administrator takes the node out of service, once its jobs have ended",
            "node DRAIN or DRAINING at once; its jobs go on",
            _state("drain"),
        ),
        Fault(
            "down-node",
            "an administrator takes the node out of service now",
            "node DOWN at once, until it next registers (ReturnToService=2); "
            "its jobs NODE_FAIL, or requeued",
            _state("down"),
        ),
        Fault(
            "requeue-jobs",
            "an administrator puts the node's jobs back into the queue",
            "jobs PENDING at once, reason BeginTime, and start again within minutes; "
            "with --no-requeue: refused",
            _to_jobs("scontrol requeue {commas}"),
        ),
        Fault(
            "cancel-jobs",
            "an administrator cancels the node's jobs",
            "jobs CANCELLED at once",
            _to_jobs("scancel {jobs}"),
        ),
        Fault(
            "end-walltime",
            "an administrator shortens the walltime of the node's jobs to a minute",
            "jobs TIMEOUT within a minute of its end; SIGTERM first, SIGKILL 3 s later (KillWait)",
            _to_jobs("for job in {jobs}; do scontrol update jobid=$job timelimit=1; done"),
        ),
        Fault(
            "exhaust-memory",
            f"leaves the node {LOW_MEMORY[:-1]} MiB: the kernel kills what grows beyond",
            "jobs FAILED, exit code 0:9 or 9:0 (OUT_OF_MEMORY where Slurm has cgroups)",
            _shorten_memory,
        ),
        Fault(
            "preempt-jobs",
            "bob's job takes the whole node from jobs of the partition spare",
            "within 15 s PREEMPTED (5 s after SIGTERM, GraceTime), or PENDING again where requeued",
            _preempt,
        ),
        Fault(
            "skew-clock",
            "the clock that signs the node's messages runs an hour ahead (libfaketime)",
            "node DOWN* after 15 to 30 s: it refuses what slurmctld says (expired credential)",
            _skew_clock,
        ),
        Fault(
            "restart-slurmctld",
            "restarts the controller, which keeps its state",
            "commands fail for some seconds; jobs go on, and the queue is as before",
            _restart_slurmctld,
            targets_node=False,
        ),
        Fault(
            "stop-slurmctld",
            "stops the controller",
            "all commands fail after a while; running jobs go on and end",
            _stop("slurmctld"),
            targets_node=False,
        ),
        Fault(
            "stop-slurmdbd",
            "stops the accounting daemon",
            "sacct fails; sbatch works, and jobs are accounted for later",
            _stop("slurmdbd"),
            targets_node=False,
        ),
        Fault(
            "stop-mariadb",
            "stops the accounting database",
            "sacct fails or hangs; sbatch works, and jobs are accounted for later",
            _stop("mariadb"),
            targets_node=False,
        ),
        Fault(
            "fill-scratch",
            "fills /scratch, which login and nodes share, to the last byte",
            "nothing of its own: what jobs write there is lost, those that check it fail",
            _fill_scratch,
            targets_node=False,
        ),
    ]
}


def inject(testbed: Testbed, name: str, node: str = "node1") -> Fault:
    """Inject one fault into a testbed, and leave it there.

    Parameters
    ----------
    testbed : Testbed
    name : str
        One of `FAULTS`.
    node : str
        Which node it happens to; ignored where the fault concerns the whole site.

    Raises
    ------
    TestbedError
        There is no such fault or node, the testbed is not up, or the fault needs a job.
    """
    if name not in FAULTS:
        raise TestbedError(f"no fault is called {name!r}; there are: {', '.join(FAULTS)}")
    if FAULTS[name].targets_node:
        if not re.fullmatch(r"node\d+", node):
            raise TestbedError(f"{node!r} is not a node: {', '.join(testbed.node_names())}")
        testbed.container(node)  # it is there, or an error says so
    FAULTS[name].inject(testbed, node)
    return FAULTS[name]


@contextlib.contextmanager
def injected(testbed: Testbed, name: str, node: str = "node1") -> Iterator[Fault]:
    """Inject one fault into a testbed, and repair everything at the end of the block.

    Raises
    ------
    TestbedError
        As by `inject` and `repair`.
    """
    try:
        yield inject(testbed, name, node)
    finally:
        repair(testbed)


def repair(testbed: Testbed, timeout: float = 90) -> None:
    """Put right whatever is wrong; return when every node is in service again.

    Jobs of the faults themselves are cancelled; others are left alone.

    Raises
    ------
    TestbedError
        The testbed is not up, or is not well after `timeout` seconds.
    """
    restarted = _start_containers(testbed)
    _lift_memory_limits(testbed)
    _wait_for_slurmctld(testbed)
    for node in restarted:
        _wait_for_slurmd(testbed, node)
    for node in testbed.node_names():
        _on(
            testbed,
            node,
            "for pref in 100 101 102; do ip rule del pref $pref 2> /dev/null; done; "
            "ip link set eth0 up; ip link set ib0 up",
        )
        if abs(_munge_offset(testbed, node)) > 2:
            _restart_munge(testbed, node)
    testbed.run("rm -f /scratch/full", user="root")
    testbed.run(f"scancel --quiet --name={JOB_NAME}", user="root")
    deadline = time.monotonic() + timeout
    while wrong := status_problems(testbed) + _accounting(testbed):
        _start_containers(testbed)  # slurmdbd ends when its database does not answer
        for node, state in _not_in_service(testbed).items():
            if state.rstrip("*") in ("down", "drain", "drng", "fail"):
                update = f"scontrol update nodename={node} state=resume"
                testbed.run(update, user="root", service="slurmctld", check=False)
        if time.monotonic() > deadline:
            raise TestbedError(
                f"testbed {testbed.name} is not well {timeout:.0f} s after repair: "
                f"{', '.join(wrong)} ({command_hint('down')}, and up again)"
            )
        time.sleep(0.2)


def check_health(testbed: Testbed) -> list[str]:
    """Say what is wrong with a testbed; return an empty list if it is as `up` left it.

    A job is run on every node, so all nodes have to be free.
    """
    if found := status_problems(testbed) + _accounting(testbed):
        return found
    nodes = testbed.node_names()
    ask = (
        f"srun --immediate=20 --nodes={len(nodes)} "
        "sh -c 'echo $(hostname) $(date +%s) $(ip -br link | grep -c \"^\\(ib0\\|eth0\\).* UP\")'"
    )
    told = testbed.run(ask, check=False)
    if told.returncode != 0:
        return [f"srun on all nodes fails: {' '.join(told.stderr.split())}"]
    rows = [line.split() for line in told.stdout.splitlines()]
    found += [f"{row[0]} has not both interfaces up" for row in rows if row[2] != "2"]
    times = [int(row[1]) for row in rows]
    if max(times) - min(times) > 60:
        found.append("the nodes' clocks differ by more than a minute")
    if len(rows) != len(nodes):
        found.append(f"{len(rows)} of {len(nodes)} nodes ran a job")
    return found


def _start_containers(testbed: Testbed) -> list[str]:
    """Start the containers that do not run; return the nodes among them that had ended."""
    ids = list(testbed.container_states(ids=True))
    ended = []
    for container, (name, state) in zip(ids, testbed.container_states().items(), strict=True):
        if state == "paused":
            docker("unpause", container)
        elif state != "running":
            docker("start", container)
            if name.startswith("node-"):
                ended.append(name.replace("-", ""))
    return ended


def _lift_memory_limits(testbed: Testbed) -> None:
    for node in testbed.node_names():
        container = testbed.container(node)
        limit = docker("inspect", "--format={{.HostConfig.Memory}}", container).stdout.strip()
        if 0 < int(limit) < 2**40:
            docker("update", "--memory-swap=-1", container)
            docker(
                "update",
                f"--memory={UNLIMITED_MEMORY}",
                f"--memory-swap={UNLIMITED_MEMORY}",
                container,
            )


def _wait_for_slurmd(testbed: Testbed, node: str, timeout: float = 60) -> None:
    """Wait until slurmctld has heard from a node's slurmd since it was started just now.

    Until then slurmctld may still take the node for idle, as it was, and send it jobs.
    """
    show = f"scontrol --oneliner show node {node} | grep -o 'SlurmdStartTime=[^ ]*' | cut -d= -f2"
    begun = 'date --date="$(ps -o lstart= -p $(pgrep -o -x slurmd))" +%s'
    deadline = time.monotonic() + timeout
    while True:
        there = _on(testbed, node, begun).stdout.strip()
        known = testbed.run(f"date --date=$({show}) +%s", user="root", check=False).stdout.strip()
        # It notes the time some seconds after it was started, on a busy machine; the one before it
        # noted an earlier one.
        if there and known and int(known) >= int(there) - 1:
            return
        if time.monotonic() > deadline:
            raise TestbedError(f"slurmctld has not heard from {node} within {timeout:.0f} s")
        time.sleep(0.2)


def _wait_for_slurmctld(testbed: Testbed, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while testbed.run("scontrol ping", user="root", check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise TestbedError(f"slurmctld does not answer within {timeout:.0f} s")
        time.sleep(0.2)


def _restart_munge(testbed: Testbed, node: str, before: str = "") -> None:
    origin = "$(ip -4 -o addr show ib0 | awk '{split($4, a, \"/\"); print a[1]}')"
    start = f"{before}/usr/sbin/munged --force --num-threads 10 --origin {origin}"
    done = _on(
        testbed,
        node,
        "pkill munged; while pgrep munged > /dev/null; do sleep 0.1; done; "
        f"runuser -u munge -- {start}",
    )
    if done.returncode != 0:
        raise TestbedError(f"munge on {node}: {done.stderr.strip()}")


def _munge_offset(testbed: Testbed, node: str) -> int:
    """Return how many seconds the clock that signs a node's messages is ahead."""
    signed = r"munge -n | unmunge | sed -nE 's/^ENCODE_TIME:.*\(([0-9]+)\)/\1/p'"
    told = _on(testbed, node, f"{signed}; date +%s").stdout.split()
    return int(told[0]) - int(told[1]) if len(told) == 2 else 0


def status_problems(testbed: Testbed) -> list[str]:
    """Say what is wrong with a testbed as Docker and Slurm see it, without running a job."""
    states = testbed.container_states()
    found = [f"{name} is {state}" for name, state in states.items() if state != "running"]
    return found + [f"{node} is {state}" for node, state in _not_in_service(testbed).items()]


def _accounting(testbed: Testbed) -> list[str]:
    asked = testbed.run("timeout 5 sacctmgr --noheader show cluster", user="root", check=False)
    return [] if asked.returncode == 0 else ["accounting does not answer"]


def _not_in_service(testbed: Testbed) -> dict[str, str]:
    states = testbed.node_states()
    missing = {node: "unknown to Slurm" for node in testbed.node_names() if node not in states}
    bad = {
        node: state
        for node, state in states.items()
        # A minus sign: backfill has plans for the node.
        if state.rstrip("-") not in ("idle", "mix", "alloc", "comp", "plnd")
    }
    return {**missing, **bad}


def _on(
    testbed: Testbed, node: str, command: str, check: bool = False
) -> subprocess.CompletedProcess[str]:
    return testbed.run(command, user="root", service=node, check=check, timeout=30)
