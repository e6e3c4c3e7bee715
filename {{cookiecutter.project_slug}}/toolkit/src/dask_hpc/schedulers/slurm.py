"""Slurm: sbatch, squeue, scancel, sinfo (22.05 and newer)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from types import MappingProxyType

from .base import JobState, JobStatus, Scheduler, read_duration, read_walltime

WALLTIME_FORMS = (
    "HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS (also MM:SS, or a number alone: minutes, or UNLIMITED)"
)

# As in sbatch's manual, --time: the meaning of the fields depends on whether there are days.
_WITH_DAYS = re.compile(r"(?P<d>\d+)-(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?")
_PLAIN = re.compile(r"(?:(?P<h>\d+):(?=\d+:\d+$))?(?P<m>\d+)(?::(?P<s>\d+))?")


def parse_walltime(text: str) -> float:
    """Seconds in a walltime as sbatch reads it; infinite for UNLIMITED.

    Raises
    ------
    ValueError
        sbatch would not read it, or it is zero (which Slurm takes for "no limit").
    """
    text = str(text).strip()
    if text.upper() in ("UNLIMITED", "INFINITE"):
        return math.inf
    return read_walltime(text, (_WITH_DAYS, _PLAIN), "Slurm", WALLTIME_FORMS)


def list_command(job_ids: Sequence[str]) -> list[str]:
    # --states=all: ended jobs stay listed for a while (MinJobAge), so that how they ended is seen.
    ids = ",".join(job_ids)
    form = "%i|%T|%r|%N|%M|%L|%j"
    return ["squeue", "--noheader", "--states=all", f"--format={form}", f"--jobs={ids}"]


def parse_list(stdout: str) -> list[JobStatus]:
    jobs = []
    for line in stdout.splitlines():
        fields = line.strip().split("|", 6)  # a name may hold anything
        if len(fields) < 6 or not fields[0]:
            continue  # a site's banner
        job, word, reason, node, elapsed, left, *name = fields
        state = STATES.get(word.split(" ")[0], JobState.UNKNOWN)
        reason = "" if reason in ("None", "(null)") else reason
        node = "" if node == "(null)" else node
        # INVALID, UNLIMITED and NOT_SET are no times.
        times = read_duration(elapsed), read_duration(left)
        jobs.append(JobStatus(job, state, reason, node, *times, *name))
    return jobs


def cancel_command(job_ids: Sequence[str]) -> list[str]:
    return ["scancel", "--quiet", *job_ids]


# Among a user's directives: nodes that a job wants, and those that it does not. Long options may be
# shortened.
_WANTED = re.compile(r"(?:^|\s)(?:--nodel\w*|--nodef\w*|--reserv\w*|-[wF])")
_UNWANTED = re.compile(r"(?:^|\s)(?:--exclude?(?:=|\s+)|-x\s*)(?P<nodes>\S+)")


def leave_out(nodes: Sequence[str], directives: Sequence[str]) -> list[str]:
    # An option of the command goes before the same one in the script.
    own = " ".join(map(str, directives))
    unwanted = [match["nodes"].strip("\"'") for match in _UNWANTED.finditer(own)]
    # With a slash it is a file of nodes.
    if not nodes or _WANTED.search(own) or any("/" in names for names in unwanted):
        return []
    return [f"--exclude={','.join([*unwanted, *nodes])}"]


def capacity_command(queue: str | None) -> list[str]:
    # %C: CPUs allocated/idle/other/total. The default partition's name ends with *.
    command = ["sinfo", "--noheader", "--format=%P|%C"]
    return [*command, f"--partition={queue}"] if queue else command


def parse_capacity(stdout: str) -> int:
    """Total number of CPUs of the partition asked for, or of the default one.

    Raises
    ------
    ValueError
        The partition is not listed.
    """
    rows = [line.strip().split("|") for line in stdout.splitlines() if line.count("|") == 1]
    if len(rows) > 1:
        rows = [row for row in rows if row[0].endswith("*")]
    totals = [cpus.split("/")[-1] for _, cpus in rows]
    if not totals or not all(total.isdigit() for total in totals):
        raise ValueError("sinfo lists no such partition")
    return sum(map(int, totals))


# What decides how soon a job starts, out of the 200 lines of `scontrol show config`.
SETTINGS = (
    "SLURM_VERSION",
    "SchedulerType",
    "SchedulerParameters",
    "SelectTypeParameters",
    "PriorityType",
    "TaskPlugin",
    "ProctrackType",
)


def parse_settings(stdout: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in stdout.splitlines() if "=" in line)
    found = {key.strip(): value.strip() for key, value in pairs}
    return {key: found[key] for key in SETTINGS if key in found}


STATES = MappingProxyType(
    {
        "PENDING": JobState.PENDING,
        "CONFIGURING": JobState.PENDING,  # its nodes are being prepared
        "REQUEUED": JobState.PENDING,
        "REQUEUE_FED": JobState.PENDING,
        "REQUEUE_HOLD": JobState.PENDING,
        "RESV_DEL_HOLD": JobState.PENDING,
        "SPECIAL_EXIT": JobState.PENDING,  # requeued and held
        "POWER_UP_NODE": JobState.PENDING,
        "RUNNING": JobState.RUNNING,
        "SUSPENDED": JobState.RUNNING,  # it keeps its nodes
        "STOPPED": JobState.RUNNING,
        "RESIZING": JobState.RUNNING,
        "SIGNALING": JobState.RUNNING,
        "EXPEDITING": JobState.PENDING,
        "COMPLETING": JobState.ENDING,
        "STAGE_OUT": JobState.ENDING,
        "UPDATE_DB": JobState.ENDING,
        "COMPLETED": JobState.DONE,
        "FAILED": JobState.FAILED,
        "BOOT_FAIL": JobState.NODE_FAIL,
        "LAUNCH_FAILED": JobState.NODE_FAIL,
        "RECONFIG_FAIL": JobState.NODE_FAIL,
        "NODE_FAIL": JobState.NODE_FAIL,
        "CANCELLED": JobState.CANCELLED,
        "REVOKED": JobState.CANCELLED,
        "TIMEOUT": JobState.TIMEOUT,
        "DEADLINE": JobState.TIMEOUT,
        "PREEMPTED": JobState.PREEMPTED,
        "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    }
)

_SMALLER = "ask for fewer cores, less memory or a shorter walltime"
_YOURS = "it starts when another of your jobs ends"

REASONS = MappingProxyType(
    {
        "Resources": "no node that fits is free yet",
        "Priority": "other jobs are before it in the line",
        "Cleaning": "its node is still clearing up after the last job",
        "Prolog": "its node is being prepared",
        "BeginTime": "its earliest start has not come",
        "SchedDefer": "Slurm puts off jobs that ask to start at once",
        "Dependency": "it waits for another job to end",
        "DependencyNeverSatisfied": "it waits for a job that will not end as asked: cancel it",
        "JobHeldUser": "you hold it: `scontrol release` lets it go",
        "JobHeldAdmin": "the site's staff hold it: ask them",
        "JobHoldMaxRequeue": "it was put back into the line too often and is held: ask the site",
        "JobArrayTaskLimit": "the array's own limit of running tasks is reached",
        "ReqNodeNotAvail": "a node it needs is reserved, drained or down, "
        "often before a maintenance: a shorter walltime may fit",
        "Reservation": "its reservation has not begun",
        "ReservationDeleted": "its reservation was deleted: cancel it",
        "NodeDown": "its node is down",
        "FrontEndDown": "the site's front-end node is down",
        "PartitionNodeLimit": "it asks for more nodes or CPUs than its partition has up: "
        "check queue and cores",
        "PartitionTimeLimit": "its walltime is longer than the partition allows: ask for less",
        "PartitionDown": "its partition takes jobs but starts none at present",
        "PartitionInactive": "its partition is switched off at present",
        "BadConstraints": "no node can give what it asks for: check cores, memory and directives",
        "Licenses": "all licences of a program it needs are in use",
        "BurstBuffer*": "it waits for the burst buffer",
        "InvalidAccount": "the account is not valid: check account",
        "AccountNotAllowed": "the account may not use this partition: check account and queue",
        "InvalidQOS": "the quality of service (QOS) is not valid: check the directives",
        "QOSNotAllowed": "this quality of service (QOS) may not use this partition",
        "QOSUsageThreshold": "the quality of service (QOS) has used up its share",
        # One job alone is too large, so waiting does not help.
        "QOSMax*PerJob*": f"it is larger than its quality of service (QOS) allows: {_SMALLER}",
        "QOSMax*PerNode*": f"it is larger than its quality of service (QOS) allows: {_SMALLER}",
        "QOSMaxWall*": "its walltime is longer than its quality of service (QOS) allows",
        "QOSTimeLimit": "its walltime is longer than its quality of service (QOS) allows",
        "QOSMin*": "it is smaller than its quality of service (QOS) allows: ask for more",
        "AssocMax*PerJob*": f"it is larger than your account allows: {_SMALLER}",
        "AssocMax*PerNode*": f"it is larger than your account allows: {_SMALLER}",
        "AssocMaxWall*": "its walltime is longer than your account allows",
        "AssociationTimeLimit": "its walltime is longer than your account allows",
        # Limits that others of your jobs use up.
        "QOSMaxJobs*": f"your limit of running jobs is reached; {_YOURS}",
        "QOSMax*PerUser*": f"your limit is reached; {_YOURS}",
        "QOSMax*PerAccount*": "your account's limit is reached; it starts when others' jobs end",
        "QOSMax*": f"your limit under its quality of service (QOS) is reached; {_YOURS}",
        "AssocMaxJobs*": f"your account's limit of running jobs is reached; {_YOURS}",
        "AssocMax*": f"your account's limit is reached; {_YOURS}",
        # Limits that a group shares.
        "QOSGrp*Minutes*": "the time granted to its quality of service (QOS) is used up",
        "QOSGrp*": "the limit of all jobs of its quality of service (QOS) together is reached",
        "QOS*Limit": "a limit of its quality of service (QOS) is reached",
        "AssocGrp*Minutes*": "the time granted to your account is used up: ask the site for more",
        "AssocGrp*": "the limit of all jobs of your account together is reached",
        "Association*Limit": "a limit of your account is reached",
        "Max*PerAccount": "your account's limit is reached; it starts when others' jobs end",
        # Why an ended job ended.
        "NonZeroExitCode": "its command failed",
        "RaisedSignal*": "a signal ended it",
        "TimeLimit": "its walltime was over",
        "OutOfMemory": "it used more memory than it asked for",
        "JobLaunchFailure": "its node could not start it",
        "SystemFailure": "Slurm or its node failed",
        "InactiveLimit": "it did nothing for too long",
    }
)

REFUSALS = MappingProxyType(
    {
        "invalid account": "Check account and queue: `sacctmgr show associations user=$USER` "
        "lists yours.",
        "invalid partition": "Check queue: `sinfo` lists the partitions.",
        "access/permission denied": "You may not use this account or partition: "
        "check account and queue.",
        "user's group not permitted": "You may not use this partition: check queue.",
        "requested time limit is invalid": "Check walltime: `sinfo` shows the partition's limit.",
        "invalid --time": "Check walltime.",
        "requested partition configuration not available": "It may be down; check queue.",
        "cpu count per node": "No node has that many cores: check cores.",
        "more processors requested": "No node has that many cores, or there are not so many nodes: "
        "check cores, and --jobs of `dask hpc run`.",
        "memory specification": "No node has that much memory: check memory.",
        "requested node configuration": "No node is like this: check cores, memory and directives.",
        "node count": "Check --nodes in job-extra-directives, and queue.",
        "policy limit": "A limit of your account is reached: fewer or smaller jobs, or wait.",
        "invalid qos": "Check the QOS in job-extra-directives.",
        "unable to contact slurm controller": "Slurm itself does not answer; try again later.",
        "socket timed out": "Slurm itself is slow to answer; try again later.",
    }
)

SLURM = Scheduler(
    name="slurm",
    label="Slurm",
    cluster_class="SLURMCluster",
    section="slurm",
    job_id_variables=("SLURM_ARRAY_JOB_ID", "SLURM_HET_JOB_ID", "SLURM_JOB_ID"),
    account_key="account",
    queue_key="queue",
    queue_word="partition",
    directive="#SBATCH",
    log_names=("{name}-{job}.out", "{name}-{job}.err"),
    submit="sbatch",
    see_jobs="squeue --me",
    see_queues="sinfo",
    cancel="scancel",
    # A site's banner may hold numbers of its own. The second form is what --parsable prints.
    job_id_pattern=r"(?:Submitted batch job |\A(?=\d+(?:;\S+)?\s*\Z))(?P<job_id>\d+)",
    walltime_key="walltime",
    walltime_forms=WALLTIME_FORMS,
    walltime_example="01:00:00",
    parse_walltime=parse_walltime,
    list_command=list_command,
    cancel_command=cancel_command,
    leave_out=leave_out,
    capacity_command=capacity_command,
    settings_command=("scontrol", "show", "config"),
    parse_list=parse_list,
    parse_capacity=parse_capacity,
    parse_settings=parse_settings,
    states=STATES,
    reasons=REASONS,
    refusals=REFUSALS,
    not_there=("Invalid job id specified", "already completing or completed"),
    nowhere=("node configuration", "node count", "invalid node name"),
)
