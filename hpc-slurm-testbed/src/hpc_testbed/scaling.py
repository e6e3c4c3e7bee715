"""Add compute nodes to a running testbed, and remove them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hpc_testbed.compose import MAX_NODES
from hpc_testbed.docker_engine import docker_command, require_docker
from hpc_testbed.errors import TestbedError, command_hint, last_lines
from hpc_testbed.lock import exclusive

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

CONTAINER_CHECK_S = 5.0  # whether one has ended is asked more rarely than Slurm: it costs more


def checked_nodes(nodes: int) -> int:
    """Return a number of nodes, or raise where Slurm's configuration does not allow it."""
    if not 1 <= nodes <= MAX_NODES:
        raise TestbedError(f"{nodes} nodes asked for: choose 1 to {MAX_NODES}")
    return nodes


def scale(testbed: Testbed, nodes: int) -> None:
    """Add or remove nodes; return when Slurm has exactly those and all of them can take jobs."""
    nodes = checked_nodes(nodes)
    require_docker()
    project = testbed.project
    with exclusive(testbed.name):
        running = project.running_image()
        if not (running and project.containers("node")):
            raise TestbedError(
                f"testbed {testbed.name} is not up: start it first ({command_hint('up')})"
            )
        testbed.nodes = nodes
        remove_nodes_beyond(testbed, nodes)
        project.start(nodes, project.usable_image(*running))
        wait_for_nodes(testbed)


def wait_for_nodes(testbed: Testbed, timeout: float = 120) -> None:
    """Wait until Slurm has exactly our nodes and all of them can take jobs."""
    begin = time.monotonic()
    look = CONTAINER_CHECK_S
    while True:
        states = testbed.node_states()
        if len(states) == testbed.nodes and all(
            state in ("idle", "mix", "alloc", "comp") for state in states.values()
        ):
            return
        waited = time.monotonic() - begin
        if waited > look:
            look = waited + CONTAINER_CHECK_S
            if ended := testbed.project.ended():
                said = docker_command("logs", "--tail", "3", ended[0])
                words = last_lines(said.stdout + said.stderr)
                raise TestbedError(
                    f"{', '.join(ended)} ended (see {command_hint('logs')}): {words}"
                )
        if waited > timeout:
            known = ", ".join(f"{node} {state}" for node, state in states.items()) or "none"
            raise TestbedError(
                f"after {timeout:.0f} s Slurm has not {testbed.nodes} nodes that can work, "
                f"but: {known} (see {command_hint('logs')})"
            )
        time.sleep(0.1)


def remove_nodes_beyond(testbed: Testbed, last: int) -> None:
    """Remove the nodes with higher numbers, from Docker and from Slurm; their jobs are lost."""
    containers = testbed.project.containers("node", ended=True)
    going = [number for number in sorted(containers) if number > last]
    if not going:
        return
    names = ",".join(f"node{number}" for number in going)
    # Down first, so that Slurm ends their jobs now and not at SlurmdTimeout.
    down = f"scontrol update nodename={names} state=down reason='testbed scaled down'"
    testbed.run(down, user="root", service="slurmctld")
    for number in going:  # one after another, as in `down`
        docker_command("rm", "--force", containers[number])
    # A node whose job is still being closed cannot be deleted yet.
    deadline = time.monotonic() + 60
    while True:
        deleted = testbed.run(
            f"scontrol delete nodename={names}", user="root", service="slurmctld", check=False
        )
        if not set(names.split(",")) & set(testbed.node_states()):
            return
        if time.monotonic() > deadline:
            raise TestbedError(f"Slurm keeps {names}: {last_lines(deleted.stderr)}")
        time.sleep(0.2)
