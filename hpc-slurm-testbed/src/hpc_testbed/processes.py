"""List and kill users' processes on the compute nodes, whether Slurm knows them or not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpc_testbed.docker_engine import docker_command
from hpc_testbed.errors import shortened

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

# User ids start at 2000 (see the Dockerfile); 65534 is nobody. A process without a command has
# ended or is just being created; any process may end meanwhile.
_LIST = r"""
for p in $(find /proc -maxdepth 1 -uid +1999 -not -uid 65534 -name '[0-9]*' -printf '%f\n'); do
  command=$(tr '\0\n' '  ' < /proc/$p/cmdline) && [ "$command" ] &&
    user=$(stat -c %U /proc/$p) && echo "$user $p $command"
done 2> /dev/null
"""


@dataclass(frozen=True)
class Process:
    """A user's process on a compute node."""

    user: str
    node: str
    pid: int  # in the node's container
    command: str

    def __str__(self) -> str:
        return f"{self.user} on {self.node}: `{shortened(self.command)}` (pid {self.pid})"


def list_processes(containers: dict[str, str]) -> list[Process]:
    """Return the users' processes on nodes, given as ``{name: container}``."""
    with ThreadPoolExecutor(len(containers) or 1) as pool:
        found = pool.map(_on, containers, containers.values())
    return [process for processes in found for process in processes]


def leftover_processes(testbed: Testbed, timeout: float) -> list[Process]:
    """Wait until no user processes run on the nodes; return those left after `timeout` seconds."""
    end = time.monotonic() + timeout
    while (found := testbed.processes()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def kill(testbed: Testbed, processes: list[Process]) -> None:
    """Kill processes, ignoring those that have already ended."""
    for node in sorted({process.node for process in processes}):
        pids = " ".join(str(process.pid) for process in processes if process.node == node)
        testbed.run(f"kill -KILL {pids}", user="root", service=node, check=False)


def _on(node: str, container: str) -> list[Process]:
    # On a node that is gone or frozen, there are no processes to list.
    argv = ["exec", container, "timeout", "10", "sh", "-c", _LIST]
    listed = docker_command(*argv, check=False)
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [Process(user, node, int(pid), command.strip()) for user, pid, command in rows]
