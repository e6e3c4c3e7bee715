"""The faults: what each does, and what Slurm shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpc_testbed.faults import injection

if TYPE_CHECKING:
    from hpc_testbed.faults.injection import Inject


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


FAULTS = {
    fault.name: fault
    for fault in [
        Fault(
            "kill-node",
            "ends the node's container at once, like a power cut",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            injection.kill,
        ),
        Fault(
            "pause-node",
            "stops every process of the node, like a hung kernel",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            injection.pause,
        ),
        Fault(
            "cut-node",
            "takes both networks from the node, whose processes go on",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            injection.cut,
        ),
        Fault(
            "cut-ib0",
            "takes ib0 from the node, over which Slurm runs too; eth0 stays",
            "node DOWN* after 15 to 30 s; its jobs NODE_FAIL, or requeued",
            injection.cut_ib0,
        ),
        Fault(
            "break-fabric",
            "loses all that the node sends over ib0, but for Slurm's own messages",
            "nothing: node and jobs look well, while programs on it reach nobody",
            injection.break_fabric,
        ),
        Fault(
            "drain-node",
            "an administrator takes the node out of service, once its jobs have ended",
            "node DRAIN or DRAINING at once; its jobs go on",
            injection.set_node_state("drain"),
        ),
        Fault(
            "down-node",
            "an administrator takes the node out of service now",
            "node DOWN at once, until it next registers (ReturnToService=2); "
            "its jobs NODE_FAIL, or requeued",
            injection.set_node_state("down"),
        ),
        Fault(
            "requeue-jobs",
            "an administrator puts the node's jobs back into the queue",
            "jobs PENDING at once, reason BeginTime, and start again within minutes; "
            "with --no-requeue: refused",
            injection.to_running_jobs("scontrol requeue {commas}"),
        ),
        Fault(
            "cancel-jobs",
            "an administrator cancels the node's jobs",
            "jobs CANCELLED at once",
            injection.to_running_jobs("scancel {jobs}"),
        ),
        Fault(
            "end-walltime",
            "an administrator shortens the walltime of the node's jobs to a minute",
            "jobs TIMEOUT within a minute of its end; SIGTERM first, SIGKILL 3 s later (KillWait)",
            injection.to_running_jobs(
                "for job in {jobs}; do scontrol update jobid=$job timelimit=1; done"
            ),
        ),
        Fault(
            "exhaust-memory",
            f"leaves the node {injection.LOW_MEMORY[:-1]} MiB: the kernel kills what grows beyond",
            "jobs FAILED, exit code 0:9 or 9:0 (OUT_OF_MEMORY where Slurm has cgroups)",
            injection.limit_memory,
        ),
        Fault(
            "preempt-jobs",
            "bob's job takes the whole node from jobs of the partition spare",
            "within 15 s PREEMPTED (5 s after SIGTERM, GraceTime), or PENDING again where requeued",
            injection.preempt,
        ),
        Fault(
            "skew-clock",
            "the clock that signs the node's messages runs an hour ahead (libfaketime)",
            "node DOWN* after 15 to 30 s: it refuses what slurmctld says (expired credential)",
            injection.skew_clock,
        ),
        Fault(
            "restart-slurmctld",
            "restarts the controller, which keeps its state",
            "commands fail for some seconds; jobs go on, and the queue is as before",
            injection.restart_slurmctld,
            targets_node=False,
        ),
        Fault(
            "stop-slurmctld",
            "stops the controller",
            "all commands fail after a while; running jobs go on and end",
            injection.stop("slurmctld"),
            targets_node=False,
        ),
        Fault(
            "stop-slurmdbd",
            "stops the accounting daemon",
            "sacct fails; sbatch works, and jobs are accounted for later",
            injection.stop("slurmdbd"),
            targets_node=False,
        ),
        Fault(
            "stop-mariadb",
            "stops the accounting database",
            "sacct fails or hangs; sbatch works, and jobs are accounted for later",
            injection.stop("mariadb"),
            targets_node=False,
        ),
        Fault(
            "fill-scratch",
            "fills /scratch, which login and nodes share, to the last byte",
            "nothing of its own: what jobs write there is lost, those that check it fail",
            injection.fill_scratch,
            targets_node=False,
        ),
    ]
}
