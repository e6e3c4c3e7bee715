"""The faults: what each does, and what Slurm shows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hpc_testbed.faults import injection

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    description : str
        What is done, for people.
    symptom : str
        What Slurm then shows, and after how long.
    inject : callable
        Injects it, given the testbed and the name of a node.
    targets_node : bool
        Whether it happens to a node, or to the whole site.
    """

    description: str
    symptom: str
    inject: Callable[[Testbed, str], None]
    targets_node: bool = True


_NODE_DOWN = "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued"

FAULTS = {
    "kill-node": Fault(
        "ends the node's container at once, like a power cut", _NODE_DOWN, injection.kill
    ),
    "pause-node": Fault(
        "stops every process of the node, like a hung kernel", _NODE_DOWN, injection.pause
    ),
    "cut-node": Fault(
        "takes both networks from the node, whose processes go on", _NODE_DOWN, injection.cut
    ),
    "cut-ib0": Fault(
        "takes ib0 from the node, over which Slurm runs too; eth0 stays",
        _NODE_DOWN,
        injection.cut_ib0,
    ),
    "break-fabric": Fault(
        "loses all that the node sends over ib0, but for Slurm's own messages",
        "nothing: node and jobs look well, while programs on it reach nobody",
        injection.break_fabric,
    ),
    "drain-node": Fault(
        "an administrator takes the node out of service, once its jobs have ended",
        "node DRAIN or DRAINING at once; its jobs go on",
        partial(injection.set_node_state, state="drain"),
    ),
    "down-node": Fault(
        "an administrator takes the node out of service now",
        "node DOWN at once, until it next registers (ReturnToService=2); "
        "its jobs NODE_FAIL, or requeued",
        partial(injection.set_node_state, state="down"),
    ),
    "requeue-jobs": Fault(
        "an administrator puts the node's jobs back into the queue",
        "jobs PENDING at once, reason BeginTime, and start again within minutes; "
        "with --no-requeue: refused",
        partial(injection.for_each_job, command="scontrol requeue $job"),
    ),
    "cancel-jobs": Fault(
        "an administrator cancels the node's jobs",
        "jobs CANCELLED at once",
        partial(injection.for_each_job, command="scancel $job"),
    ),
    "end-walltime": Fault(
        "an administrator shortens the walltime of the node's jobs to a minute",
        "jobs TIMEOUT within a minute of its end; SIGTERM first, SIGKILL 3 s later (KillWait)",
        partial(injection.for_each_job, command="scontrol update jobid=$job timelimit=1"),
    ),
    "exhaust-memory": Fault(
        f"leaves the node {injection.LOW_MEMORY[:-1]} MiB: the kernel kills what grows beyond",
        "jobs FAILED, exit code 0:9 or 9:0 (OUT_OF_MEMORY where Slurm has cgroups)",
        injection.limit_memory,
    ),
    "preempt-jobs": Fault(
        "bob's job takes the whole node from jobs of the partition spare",
        "within 15 s PREEMPTED (5 s after SIGTERM, GraceTime), or PENDING again where requeued",
        injection.preempt,
    ),
    "skew-clock": Fault(
        "the clock that signs the node's messages runs an hour ahead (libfaketime)",
        "node DOWN* after 15 to 30 s: it refuses what slurmctld says (expired credential)",
        injection.skew_clock,
    ),
    "restart-slurmctld": Fault(
        "restarts the controller, which keeps its state",
        "commands fail for some seconds; jobs go on, and the queue is as before",
        injection.restart_slurmctld,
        targets_node=False,
    ),
    "stop-slurmctld": Fault(
        "stops the controller",
        "all commands fail after a while; running jobs go on and end",
        partial(injection.stop, service="slurmctld"),
        targets_node=False,
    ),
    "stop-slurmdbd": Fault(
        "stops the accounting daemon",
        "sacct fails; sbatch works, and jobs are accounted for later",
        partial(injection.stop, service="slurmdbd"),
        targets_node=False,
    ),
    "stop-mariadb": Fault(
        "stops the accounting database",
        "sacct fails or hangs; sbatch works, and jobs are accounted for later",
        partial(injection.stop, service="mariadb"),
        targets_node=False,
    ),
    "fill-scratch": Fault(
        "fills /scratch, which login and nodes share, to the last byte",
        "nothing of its own: what jobs write there is lost, those that check it fail",
        injection.fill_scratch,
        targets_node=False,
    ),
}
