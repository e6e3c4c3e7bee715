"""Add and remove compute nodes of a running testbed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from hpc_testbed.compose import MAX_NODES
from hpc_testbed.docker_engine import TEXT, docker_errors, require_docker
from hpc_testbed.errors import TestbedError, command_hint, last_lines, not_up
from hpc_testbed.lock import exclusive

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

DEFAULT_NODES = 4  # of a new testbed
READY_STATES = {"idle", "mix", "alloc", "comp"}


def checked_nodes(nodes: int) -> int:
    """Return a number of nodes; raise an error if Slurm's configuration does not allow it."""
    if not 1 <= nodes <= MAX_NODES:
        raise TestbedError(f"nodes must be 1 to {MAX_NODES}, not {nodes}")
    return nodes


def scale(testbed: Testbed, nodes: int) -> None:
    """Add or remove nodes; return when Slurm has exactly these, and all of them accept jobs."""
    nodes = checked_nodes(nodes)
    require_docker()
    project = testbed.project
    with exclusive(testbed.name):
        image = project.node_image()
        if not (image and project.nodes()):
            raise not_up(testbed.name)
        testbed.nodes = nodes
        remove_nodes_beyond(testbed, nodes)
        project.start(nodes, image)
        wait_for_nodes(testbed)


def wait_for_nodes(testbed: Testbed, timeout: float = 120) -> None:
    """Wait until Slurm has exactly our nodes, and all of them accept jobs."""
    deadline = time.monotonic() + timeout
    while True:
        states = testbed.node_states()
        if len(states) == testbed.nodes and set(states.values()) <= READY_STATES:
            return
        _raise_if_ended(testbed)
        if time.monotonic() > deadline:
            known = ", ".join(f"{node} {state}" for node, state in states.items()) or "none"
            raise TestbedError(
                f"Slurm did not have {testbed.nodes} usable nodes after {timeout:.0f} s; "
                f"it had: {known} (see {command_hint('logs')})"
            )
        time.sleep(0.1)


@docker_errors()
def _raise_if_ended(testbed: Testbed) -> None:
    containers = testbed.project.containers(ended=True)
    ended = {name: each for name, each in containers.items() if each.status == "exited"}
    if ended:
        names = ", ".join(f"{testbed.name}-{name}" for name in ended)
        words = last_lines(next(iter(ended.values())).logs(tail=3).decode(**TEXT))
        raise TestbedError(f"{names} exited (see {command_hint('logs')}): {words}")


def _running_jobs(testbed: Testbed, nodes: str) -> list[str]:
    """Return the jobs that are running on nodes: ``["job 7 (alice)", …]``."""
    ask = f"squeue --noheader --states=running --nodelist={nodes} --format='job %i (%u)'"
    # Slurm may not know a node yet; remove it anyway.
    listing = testbed.run(ask, user="root", service="slurmctld", check=False)
    return listing.stdout.splitlines()


@docker_errors()
def remove_nodes_beyond(testbed: Testbed, last: int) -> None:
    """Remove nodes with higher numbers from Docker and Slurm; print a note about jobs on them."""
    nodes = testbed.project.nodes(ended=True)
    going = {f"node{number}": node for number, node in nodes.items() if number > last}
    if not going:
        return
    names = ",".join(going)
    if jobs := _running_jobs(testbed, names):
        print(
            f"Removing {', '.join(going)} ends or requeues running jobs: {', '.join(jobs)}.",
            file=sys.stderr,
        )
    # Set them down first, so that Slurm ends their jobs now instead of at SlurmdTimeout.
    down = f"scontrol update nodename={names} state=down reason='testbed scaled down'"
    testbed.run(down, user="root", service="slurmctld")
    for node in going.values():  # one by one, as in `down`
        node.remove(force=True)
    # A node with a completing job cannot be deleted yet.
    deadline = time.monotonic() + 60
    while True:
        deleted = testbed.run(
            f"scontrol delete nodename={names}", user="root", service="slurmctld", check=False
        )
        if not going.keys() & testbed.node_states().keys():
            return
        if time.monotonic() > deadline:
            raise TestbedError(f"Slurm did not delete {names}: {last_lines(deleted.stderr)}")
        time.sleep(0.2)
