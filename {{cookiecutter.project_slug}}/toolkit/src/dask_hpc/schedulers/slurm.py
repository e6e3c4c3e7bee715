"""Slurm: sbatch, squeue, scancel, sacct, sinfo (22.05 and newer)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .base import JobState, JobStatus, Scheduler, merged, read_duration, read_walltime

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
    # --all: jobs of hidden partitions, too.
    ids = ",".join(job_ids)
    form = "%i|%T|%r|%N|%M|%L|%j"
    return ["squeue", "--all", "--noheader", "--states=all", f"--format={form}", f"--jobs={ids}"]


# An array's tasks, 123_4 or 123_[5-9%2], and the parts of a heterogeneous job, 123+1.
_PART = re.compile(r"(\d+)(?:_(?:\d+|\[.*\])|\+\d+)")


def _whole(job: str) -> str:
    """The id that a job was submitted under."""
    part = _PART.fullmatch(job)
    return part[1] if part else job


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
        jobs.append(JobStatus(_whole(job), state, reason, node, *times, *name))
    return merged(jobs)


def accounting_commands(job_ids: Sequence[str]) -> list[list[str]]:
    form = "JobID,State,ExitCode,NodeList,Elapsed,JobName"
    options = ["--allocations", "--noheader", "--parsable2", f"--format={form}"]
    return [["sacct", *options, f"--jobs={','.join(job_ids)}"]]


def parse_accounting(stdout: str) -> list[JobStatus]:
    # A job that has lost a node has a line for each of its sizes, the last one last.
    jobs: dict[str, JobStatus] = {}
    for line in stdout.splitlines():
        fields = line.strip().split("|", 5)
        if len(fields) < 6 or not fields[0]:
            continue
        job, word, code, node, elapsed, name = fields
        state = STATES.get(word.split(" ")[0], JobState.UNKNOWN)  # "CANCELLED by 1000"
        node = "" if node == "None assigned" else node
        reason = _REASON_OF_END.get(state, "")
        if state is JobState.FAILED:  # as squeue has it; the code is "exit code:signal"
            signal = code.partition(":")[2]
            reason = f"RaisedSignal:{signal}" if signal not in ("", "0") else "NonZeroExitCode"
        ran = read_duration(elapsed)
        jobs[job] = JobStatus(_whole(job), state, reason, node, ran, name=name)
    return merged(jobs.values())


def cancel_command(job_ids: Sequence[str]) -> list[str]:
    return ["scancel", "--quiet", *job_ids]


# Where there are several clusters: -M east, -Meast, --clusters=east, --cluster east.
_CLUSTERS = re.compile(r"(?:^|\s)(?:-M\s*|--clusters?(?:=|\s+))(?P<names>\S+)")


def _clusters(words: Sequence[str]) -> str:
    found = _CLUSTERS.search(" ".join(map(str, words)))
    return found["names"].strip("\"'") if found else ""


def where(submit: Sequence[str], directives: object, environ: Mapping[str, str]) -> list[str]:
    # As sbatch decides: its arguments, the environment, the script. Of the variables it reads
    # SLURM_CLUSTERS last, and squeue and scancel read that one alone.
    names = (
        _clusters(submit[1:])
        or environ.get("SLURM_CLUSTERS")
        or environ.get("SBATCH_CLUSTERS")
        or _clusters(directives if isinstance(directives, (list, tuple)) else ())
    )
    return [f"--clusters={names}"] if names else []


def list_extra(extra: Sequence[str]) -> list[str]:
    names = _clusters(extra)
    return [f"--clusters={names}"] if names else []


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
    # --all: it may be a hidden one.
    return [*command, "--all", f"--partition={queue}"] if queue else command


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

_REASON_OF_END = {JobState.TIMEOUT: "TimeLimit", JobState.OUT_OF_MEMORY: "OutOfMemory"}

# Of the manuals of squeue, scancel, sinfo, sacct and scontrol. SLURM_CLUSTERS and SLURM_CONF say
# where to ask, and stay.
READING_VARIABLES = (
    "SQUEUE_*",
    "SCANCEL_*",
    "SINFO_*",
    "SACCT_*",
    "SCONTROL_*",
    "SLURM_TIME_FORMAT",
    "SLURM_BITSTR_LEN",
    "SLURM_DEBUG_FLAGS",
    "SLURM_JSON",
    "SLURM_YAML",
)

# What sbatch, salloc and srun set for those in a job and that srun takes for its own options: of
# their manuals, "Output environment variables", and Slurm's env.c. By variable the option of sbatch
# that sets it.
OPTION_VARIABLES = MappingProxyType(
    {
        "SLURM_ARBITRARY_NODELIST": "--distribution",
        "SLURM_CPUS_PER_GPU": "--cpus-per-gpu",
        "SLURM_CPUS_PER_TASK": "--cpus-per-task",
        "SLURM_CPU_BIND": "",  # of srun alone
        "SLURM_CPU_BIND_LIST": "",
        "SLURM_CPU_BIND_TYPE": "",
        "SLURM_CPU_BIND_VERBOSE": "",
        "SLURM_CPU_FREQ_REQ": "--cpu-freq",
        "SLURM_DISTRIBUTION": "--distribution",
        "SLURM_DIST_PLANESIZE": "--distribution",
        "SLURM_EXCLUSIVE": "",
        "SLURM_EXPORT_ENV": "--export",
        "SLURM_GPUS": "--gpus",
        "SLURM_GPUS_PER_NODE": "--gpus-per-node",
        "SLURM_GPUS_PER_SOCKET": "--gpus-per-socket",
        "SLURM_GPUS_PER_TASK": "--gpus-per-task",
        "SLURM_GPU_BIND": "--gpu-bind",
        "SLURM_GPU_FREQ": "--gpu-freq",
        "SLURM_GRES": "--gres",
        "SLURM_HINT": "--hint",
        "SLURM_MEM_BIND": "--mem-bind",
        "SLURM_MEM_BIND_LIST": "--mem-bind",
        "SLURM_MEM_BIND_PREFER": "--mem-bind",
        "SLURM_MEM_BIND_SORT": "--mem-bind",
        "SLURM_MEM_BIND_TYPE": "--mem-bind",
        "SLURM_MEM_BIND_VERBOSE": "--mem-bind",
        "SLURM_MEM_PER_CPU": "--mem-per-cpu",
        "SLURM_MEM_PER_GPU": "--mem-per-gpu",
        "SLURM_MEM_PER_NODE": "--mem",
        "SLURM_NETWORK": "--network",
        "SLURM_NPROCS": "--ntasks",
        "SLURM_NTASKS": "--ntasks",
        "SLURM_NTASKS_PER_CORE": "--ntasks-per-core",
        "SLURM_NTASKS_PER_GPU": "--ntasks-per-gpu",
        "SLURM_NTASKS_PER_NODE": "--ntasks-per-node",
        "SLURM_NTASKS_PER_SOCKET": "--ntasks-per-socket",
        "SLURM_NTASKS_PER_TRES": "--ntasks-per-gpu",
        "SLURM_OVERCOMMIT": "--overcommit",
        "SLURM_STEP_GRES": "",
        "SLURM_THREADS_PER_CORE": "--threads-per-core",
        "SLURM_TRES_BIND": "--tres-bind",
        "SLURM_TRES_PER_TASK": "--tres-per-task",
    }
)
JOB_VARIABLES = (
    *OPTION_VARIABLES,
    "SLURM_ARRAY_*",
    "SLURM_CLUSTER_NAME",
    "SLURM_CPUS_ON_NODE",
    "SLURM_DEPENDENCY",
    "SLURM_GET_USER_ENV",
    "SLURM_GPUS_ON_NODE",
    "SLURM_GTIDS",
    "SLURM_HET_*",
    "SLURM_JOBID",
    "SLURM_JOB_*",
    "SLURM_LABELIO",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_LOCALID",
    "SLURM_MPI_TYPE",
    "SLURM_NNODES",
    "SLURM_NODEID",
    "SLURM_NODELIST",
    "SLURM_NODE_ALIASES",
    "SLURM_OOM_KILL_STEP",
    "SLURM_PACK_*",
    "SLURM_PRIO_PROCESS",
    "SLURM_PROCID",
    "SLURM_PROFILE",
    "SLURM_PTY_*",
    "SLURM_RESTART_COUNT",
    "SLURM_SCRIPT_CONTEXT",
    "SLURM_SHARDS_ON_NODE",
    "SLURM_SRUN_COMM_*",
    "SLURM_STEP*",
    "SLURM_SUBMIT_*",
    "SLURM_TASKS_PER_NODE",
    "SLURM_TASK_PID",
    "SLURM_TOPOLOGY_*",
    "SLURM_UMASK",
    "SLURMD_*",
    "SBATCH_CPU_BIND*",
    "SBATCH_MEM_BIND_*",
    "SRUN_DEBUG",
)
# Short forms, and options that set a variable beside their own.
_SHORT = {"-n": "--ntasks", "-c": "--cpus-per-task", "-G": "--gpus", "-m": "--distribution"}
_ALSO = {"--cpus-per-task": "--tres-per-task", "--ntasks-per-node": "--ntasks"}


def leftovers(directives: Sequence[str]) -> list[str]:
    """Variables that srun reads in a job and that none of its directives has set.

    Whatever they hold is another job's, from within which this one was submitted.

    Parameters
    ----------
    directives : sequence of str
        Lines of the job script that begin with ``#SBATCH``.
    """
    # More than one option may be in a line; what is none of them does no harm.
    words = [word for line in directives for word in line.split()[1:] if word.startswith("-")]
    asked = {_SHORT.get(word[:2], word.partition("=")[0]) for word in words}
    known = set(OPTION_VARIABLES.values()) - {""}
    # Options may be shortened.
    shortened = {word for word in asked - known if word.startswith("--") and len(word) > 2}
    asked |= {option for option in known for word in shortened if option.startswith(word)}
    asked |= {_ALSO[option] for option in asked & _ALSO.keys()}
    return [variable for variable, option in OPTION_VARIABLES.items() if option not in asked]


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

# What dask-jobqueue writes beside a user's own directive.
_SKIP = (
    "Two directives ask for {0}: to keep that of job-extra-directives, leave out the other, with "
    'job-directives-skip: ["{1}"].'
)

REFUSALS = MappingProxyType(
    {
        "--mem-per-gpu are mutually exclusive": _SKIP.format("memory", "--mem"),
        "--cpus-per-gpu are mutually exclusive": _SKIP.format("cores", "--cpus-per-task"),
        "--tres-per-task=cpu= and --cpus-per-task": _SKIP.format("cores", "--cpus-per-task"),
        "invalid directive found": "It is no option of sbatch's: a value in jobqueue.yaml, such as "
        "account or queue, has a blank, or job-extra-directives a slip.",
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
    variables_before_script="SBATCH_",
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
    log_user="%u",
    submit="sbatch",
    see_jobs="squeue --me",
    see_queues="sinfo",
    cancel="scancel",
    # A site's banner may hold numbers of its own. The second form is what --parsable prints.
    cores_in_script=(
        r"(?:--cpus-per-task[= ]|\s-c[= ]?)(\d+)",
        r"(?:--ntasks[= ]|\s-n[= ]?)(\d+)",
    ),
    job_id_pattern=r"(?:Submitted batch job |\A(?=\d+(?:;\S+)?\s*\Z))(?P<job_id>\d+)",
    walltime_key="walltime",
    walltime_forms=WALLTIME_FORMS,
    walltime_example="01:00:00",
    parse_walltime=parse_walltime,
    list_command=list_command,
    cancel_command=cancel_command,
    accounting_commands=accounting_commands,
    list_extra=list_extra,
    where=where,
    reading_variables=READING_VARIABLES,
    job_variables=JOB_VARIABLES,
    name_options=("-J", "--job-name"),
    name_variables=("SBATCH_JOB_NAME",),
    inside_variables=("SLURM_JOB_ID", "SLURM_JOBID"),
    leave_out=leave_out,
    capacity_command=capacity_command,
    settings_command=("scontrol", "show", "config"),
    parse_list=parse_list,
    parse_accounting=parse_accounting,
    parse_capacity=parse_capacity,
    parse_settings=parse_settings,
    states=STATES,
    reasons=REASONS,
    refusals=REFUSALS,
    not_there=("Invalid job id specified", "already completing or completed"),
    nowhere=("node configuration", "node count", "invalid node name"),
)
