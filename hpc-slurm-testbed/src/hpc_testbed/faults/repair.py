"""Check the health of a testbed, and repair it, whatever the cause."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from hpc_testbed.docker_engine import docker_errors
from hpc_testbed.errors import TestbedError, command_hint

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

FIRST_USER_ID, NOBODY_ID = 2000, 65534  # see the Dockerfile
JOB_NAME = "testbed-fault"  # of jobs that a fault submits, which repair cancels
# Docker cannot remove a limit; this is more than any machine has.
UNLIMITED_MEMORY = "1024g"


def repair(testbed: Testbed, timeout: float = 90) -> None:
    """Repair whatever is wrong; return when all nodes are in service again.

    This cancels jobs that faults have submitted, but no others.

    Raises
    ------
    TestbedError
        The testbed is not up, or is not healthy after `timeout` seconds.
    """
    restarted = _start_containers(testbed)
    _lift_memory_limits(testbed)
    wait_for_slurmctld(testbed)
    for node in restarted:
        _wait_for_slurmd(testbed, node)
    for node in testbed.node_names():
        on_node(
            testbed,
            node,
            "for pref in 100 101 102; do ip rule del pref $pref 2> /dev/null; done; "
            "ip link set eth0 up; ip link set ib0 up",
        )
        if abs(_munge_offset(testbed, node)) > 2:
            restart_munge(testbed, node)
    testbed.run("rm -f /scratch/full", user="root")
    testbed.run(f"scancel --quiet --name={JOB_NAME}", user="root")
    deadline = time.monotonic() + timeout
    while wrong := status_problems(testbed) + _accounting_problems(testbed):
        _start_containers(testbed)  # slurmdbd ends when its database does not answer
        for node, state in _nodes_out_of_service(testbed).items():
            if state.rstrip("*") in ("down", "drain", "drng", "fail"):
                update = f"scontrol update nodename={node} state=resume"
                testbed.run(update, user="root", service="slurmctld", check=False)
        if time.monotonic() > deadline:
            raise TestbedError(
                f"testbed {testbed.name} is not healthy {timeout:.0f} s after repair: "
                f"{', '.join(wrong)}; restart it with {command_hint('down')} and up"
            )
        time.sleep(0.2)


def _start_containers(testbed: Testbed) -> list[str]:
    """Start containers that are not running; return the nodes among them that had exited."""
    ended = []
    for name, container in testbed.project.containers(ended=True).items():
        if container.status == "paused":
            container.unpause()
        elif container.status != "running":
            container.start()
            if name.startswith("node-"):
                ended.append(name.replace("-", ""))
    return ended


def _lift_memory_limits(testbed: Testbed) -> None:
    for node in testbed.project.nodes().values():
        node.reload()
        if 0 < node.attrs["HostConfig"]["Memory"] < 2**40:
            node.update(memswap_limit=-1)
            node.update(mem_limit=UNLIMITED_MEMORY, memswap_limit=UNLIMITED_MEMORY)


def status_problems(testbed: Testbed) -> list[str]:
    """Return what Docker and Slurm report as wrong with a testbed, without running a job."""
    states = testbed.container_states()
    found = [f"{name} is {state}" for name, state in states.items() if state != "running"]
    return found + [f"{node} is {state}" for node, state in _nodes_out_of_service(testbed).items()]


@docker_errors()
def is_idle(testbed: Testbed) -> bool:
    """Return whether all nodes are idle, no job is there, and users run nothing on the nodes."""
    there, nodes = testbed.project.containers(ended=True), testbed.project.nodes()
    if any(each.status != "running" for each in there.values()):
        return False
    ask = "sinfo --noheader --Node --partition=short --format='%N %t'; squeue --noheader"
    told = testbed.run(ask, user="root", check=False).stdout.splitlines()
    if sorted(told) != sorted(f"node{number} idle" for number in nodes):
        return False
    # Faster than `list_processes`, which looks inside the containers. An engine that maps ids to
    # higher ones shows users everywhere.
    listed = [node.top(ps_args="-eo uid,pid")["Processes"] for node in nodes.values()]
    return max({int(row[0]) for rows in listed for row in rows} - {NOBODY_ID}) < FIRST_USER_ID


def check_health(testbed: Testbed) -> list[str]:
    """Return what is wrong with a testbed; empty if it is as healthy as after `up`.

    This runs a job on all nodes, so they have to be free.
    """
    if found := status_problems(testbed) + _accounting_problems(testbed):
        return found
    nodes = testbed.node_names()
    ask = (
        f"srun --immediate=20 --nodes={len(nodes)} "
        "sh -c 'echo $(hostname) $(date +%s) $(ip -br link | grep -c \"^\\(ib0\\|eth0\\).* UP\")'"
    )
    told = testbed.run(ask, check=False)
    if told.returncode != 0:
        return [f"srun on all nodes failed: {' '.join(told.stderr.split())}"]
    rows = [line.split() for line in told.stdout.splitlines()]
    found += [f"{row[0]} does not have both interfaces up" for row in rows if row[2] != "2"]
    times = [int(row[1]) for row in rows]
    if max(times) - min(times) > 60:
        found.append("the nodes' clocks differ by more than a minute")
    if len(rows) != len(nodes):
        found.append(f"{len(rows)} of {len(nodes)} nodes ran a job")
    return found


def _accounting_problems(testbed: Testbed) -> list[str]:
    asked = testbed.run("timeout 5 sacctmgr --noheader show cluster", user="root", check=False)
    return [] if asked.returncode == 0 else ["accounting does not answer"]


def _nodes_out_of_service(testbed: Testbed) -> dict[str, str]:
    states = testbed.node_states()
    missing = {node: "unknown to Slurm" for node in testbed.node_names() if node not in states}
    bad = {
        node: state
        for node, state in states.items()
        # A minus sign means that backfill has plans for the node.
        if state.rstrip("-") not in ("idle", "mix", "alloc", "comp", "plnd")
    }
    return {**missing, **bad}


def wait_for_slurmctld(testbed: Testbed, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while testbed.run("scontrol ping", user="root", check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise TestbedError(f"slurmctld did not respond within {timeout:.0f} s")
        time.sleep(0.2)


def _wait_for_slurmd(testbed: Testbed, node: str, timeout: float = 60) -> None:
    """Wait until a just started slurmd has registered with slurmctld.

    Until then, slurmctld may still consider the node idle, and send it jobs.
    """
    show = f"scontrol --oneliner show node {node} | grep -o 'SlurmdStartTime=[^ ]*' | cut -d= -f2"
    begun = 'date --date="$(ps -o lstart= -p $(pgrep -o -x slurmd))" +%s'
    deadline = time.monotonic() + timeout
    while True:
        there = on_node(testbed, node, begun).stdout.strip()
        known = testbed.run(f"date --date=$({show}) +%s", user="root", check=False).stdout.strip()
        # On a busy machine, slurmd records its start time a few seconds late; the previous slurmd's
        # is earlier.
        if there and known and int(known) >= int(there) - 1:
            return
        if time.monotonic() > deadline:
            raise TestbedError(f"{node} did not register with slurmctld within {timeout:.0f} s")
        time.sleep(0.2)


def restart_munge(testbed: Testbed, node: str, before: str = "") -> None:
    origin = "$(ip -4 -o addr show ib0 | awk '{split($4, a, \"/\"); print a[1]}')"
    start = f"{before}/usr/sbin/munged --force --num-threads 10 --origin {origin}"
    done = on_node(
        testbed,
        node,
        "pkill munged; while pgrep munged > /dev/null; do sleep 0.1; done; "
        f"runuser -u munge -- {start}",
    )
    if done.returncode != 0:
        raise TestbedError(f"cannot restart munge on {node}: {done.stderr.strip()}")


def _munge_offset(testbed: Testbed, node: str) -> int:
    """Return by how many seconds the clock that signs a node's messages is ahead."""
    signed = r"munge -n | unmunge | sed -nE 's/^ENCODE_TIME:.*\(([0-9]+)\)/\1/p'"
    told = on_node(testbed, node, f"{signed}; date +%s").stdout.split()
    return int(told[0]) - int(told[1]) if len(told) == 2 else 0


def on_node(
    testbed: Testbed, node: str, command: str, check: bool = False
) -> subprocess.CompletedProcess[str]:
    return testbed.run(command, user="root", service=node, check=check, timeout=30)
