"""Inject each fault, given the testbed and the name of a node."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hpc_testbed.errors import TestbedError
from hpc_testbed.faults.repair import JOB_NAME, on_node, restart_munge, wait_for_slurmctld

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed

REASON = "testbed fault"  # shown by Slurm for a node that an "administrator" took out of service
LOW_MEMORY = "256m"  # enough for slurmd and a small job

# --- to a node ----------------------------------------------------------------------------------


def kill(testbed: Testbed, node: str) -> None:
    testbed.container(node).kill()


def pause(testbed: Testbed, node: str) -> None:
    testbed.container(node).pause()


def cut(testbed: Testbed, node: str) -> None:
    on_node(testbed, node, "ip link set ib0 down && ip link set eth0 down", check=True)


def cut_ib0(testbed: Testbed, node: str) -> None:
    on_node(testbed, node, "ip link set ib0 down", check=True)


def break_fabric(testbed: Testbed, node: str) -> None:
    # Packets of Slurm's two ports pass as before. All others to login and compute nodes are routed
    # to lo, where the kernel silently drops them ("martians"), as a broken switch would.
    on_node(
        testbed,
        node,
        "set -e; read -r network address < <(ip -4 -o route show dev ib0 scope link | "
        """sed -E 's/^([^ ]+) .*src ([^ ]+).*/\\1 \\2/'); """
        "ip route replace default dev lo src $address table 200; "
        # TCP by number, since not every image has the names.
        "ip rule add ipproto 6 dport 6817-6818 lookup main pref 100; "
        "ip rule add ipproto 6 sport 6817-6818 lookup main pref 101; "
        "ip rule add to $network lookup 200 pref 102",
        check=True,
    )


def set_node_state(testbed: Testbed, node: str, state: str) -> None:
    update = f"scontrol update nodename={node} state={state} reason='{REASON}'"
    testbed.run(update, user="root", service="slurmctld")


def for_each_job(testbed: Testbed, node: str, command: str) -> None:
    jobs = testbed.run(
        f"squeue --noheader --states=running --nodelist={node} --format=%A", user="root"
    ).stdout.split()
    if not jobs:
        raise TestbedError(f"no job is running on {node}, and this fault needs one")
    testbed.run(f"for job in {' '.join(jobs)}; do {command} || exit; done", user="root")


def preempt(testbed: Testbed, node: str) -> None:
    testbed.run(
        f"sbatch --quiet --job-name={JOB_NAME} --partition=short --nodelist={node} --exclusive "
        "--no-requeue --output=/dev/null --wrap='sleep 600'",
        user="bob",
    )


def skew_clock(testbed: Testbed, node: str) -> None:
    # munged signs the node's messages to Slurm with the time, which libfaketime sets an hour ahead.
    library = "$(ls /usr/lib/*/faketime/libfaketime.so.1)"
    restart_munge(testbed, node, f"env LD_PRELOAD={library} FAKETIME=+1h ")


def limit_memory(testbed: Testbed, node: str) -> None:
    testbed.container(node).update(mem_limit=LOW_MEMORY, memswap_limit=LOW_MEMORY)


# --- to the site --------------------------------------------------------------------------------


def restart_slurmctld(testbed: Testbed, _: str) -> None:
    testbed.container("slurmctld").restart(timeout=5)
    wait_for_slurmctld(testbed)


def stop(testbed: Testbed, _: str, service: str) -> None:
    testbed.container(service).stop(timeout=5)


def fill_scratch(testbed: Testbed, _: str) -> None:
    testbed.run("head --bytes=1G /dev/zero > /scratch/full", user="root", check=False)


INJECTIONS: dict[str, Callable[[Testbed, str], None]] = {
    "kill-node": kill,
    "pause-node": pause,
    "cut-node": cut,
    "cut-ib0": cut_ib0,
    "break-fabric": break_fabric,
    "drain-node": partial(set_node_state, state="drain"),
    "down-node": partial(set_node_state, state="down"),
    "requeue-jobs": partial(for_each_job, command="scontrol requeue $job"),
    "cancel-jobs": partial(for_each_job, command="scancel $job"),
    "end-walltime": partial(for_each_job, command="scontrol update jobid=$job timelimit=1"),
    "exhaust-memory": limit_memory,
    "preempt-jobs": preempt,
    "skew-clock": skew_clock,
    "restart-slurmctld": restart_slurmctld,
    "stop-slurmctld": partial(stop, service="slurmctld"),
    "stop-slurmdbd": partial(stop, service="slurmdbd"),
    "stop-mariadb": partial(stop, service="mariadb"),
    "fill-scratch": fill_scratch,
}
