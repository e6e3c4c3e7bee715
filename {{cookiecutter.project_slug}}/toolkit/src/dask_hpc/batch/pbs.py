"""PBS: qsub, qstat, qdel (OpenPBS 20 and newer, PBS Pro, Torque 6).

Held against OpenPBS's and Torque's sources and manuals, and the answers of OpenPBS 23.06. Jobs are
listed with what both read: only OpenPBS knows ``-F json``. ``-x``, by which OpenPBS shows ended
jobs, where the site keeps a history, means XML to Torque; that is read as knowing nothing.
"""

import re
from collections.abc import Sequence

from .base import BatchSystem
from .parsing import parse_duration, walltime_seconds
from .state import JobState, JobStatus, merged

WALLTIME_FORMS = "HH:MM:SS (also MM:SS, or a number alone: seconds)"

# Of OpenPBS's manual, pbs_server_attributes: "[[hours:]minutes:]seconds[.milliseconds]". Left out
# are the milliseconds, and days, as in D:HH:MM:SS, which Torque alone reads.
_DURATION = re.compile(r"(?:(?:(?P<h>\d+):)?(?P<m>\d+):)?(?P<s>\d+)")


def _jobs(stdout: str) -> list[dict[str, str]]:
    """Return the attributes of each job that `qstat -f` prints; skip what precedes the first."""
    jobs: list[dict[str, str]] = []
    key = ""
    for line in stdout.splitlines():
        if line.startswith("Job Id:"):
            # 123.server: the number is enough for qstat and qdel, and the same everywhere.
            # An array's is 123[].server, and of one of its tasks 123[4].server.
            job = line.removeprefix("Job Id:").strip().split(".")[0]
            jobs.append({"id": re.sub(r"\[\d+\]$", "[]", job)})
        elif line.startswith("\t") and jobs and key:
            jobs[-1][key] += line[1:]  # long values go on in the next line, cut anywhere
        elif " = " in line and jobs:
            key, _, value = line.partition(" = ")
            key = key.strip()
            jobs[-1][key] = value
    return jobs


def _status(job: dict[str, str]) -> JobStatus:
    letter = job.get("job_state", "").strip()
    state = STATES.get(letter, JobState.UNKNOWN)
    code = job.get("exit_status", job.get("Exit_status", "0")).strip()
    if state is JobState.DONE and (job.get("substate", "").strip() == _DELETED):
        state = JobState.CANCELLED
    elif state is JobState.DONE and code != "0":
        state = _EXIT_CODES.get(code, JobState.FAILED)
    # A running job's comment only tells when it started.
    waiting = state is JobState.PENDING
    reason = job.get("comment", "").strip() if waiting else ""
    node = job.get("exec_host", "").split("/")[0]
    reason = reason or ("H" if letter == "H" else "")
    elapsed = parse_duration(job.get("resources_used.walltime", ""))
    limit = parse_duration(job.get("Resource_List.walltime", ""))
    left = None if elapsed is None or limit is None else max(limit - elapsed, 0.0)
    return JobStatus(job["id"], state, reason, node, elapsed, left, job.get("Job_Name", ""))


STATES = {
    "Q": JobState.PENDING,
    "H": JobState.PENDING,  # held
    "W": JobState.PENDING,  # until a time
    "T": JobState.PENDING,  # on its way to another server
    "M": JobState.PENDING,  # moved there
    "R": JobState.RUNNING,
    "E": JobState.ENDING,  # how shows only in the next state, if at all
    "S": JobState.RUNNING,  # suspended: it keeps its nodes
    "U": JobState.RUNNING,  # suspended, since the node's owner came back
    "B": JobState.RUNNING,  # an array that has begun
    "F": JobState.DONE,  # OpenPBS lists it only when asked with -x
    "X": JobState.DONE,  # an array's ended part
    "C": JobState.DONE,  # Torque lists it for keep_completed seconds
}
# Torque's pbs_job.h: JOB_EXEC_OVERLIMIT_MEM, JOB_EXEC_OVERLIMIT_WT. OpenPBS's job.h:
# JOB_EXEC_KILL_VMEM, JOB_EXEC_KILL_MEM, JOB_EXEC_KILL_WALLTIME.
_EXIT_CODES = {
    "-10": JobState.OUT_OF_MEMORY,
    "-11": JobState.TIMEOUT,
    "-26": JobState.OUT_OF_MEMORY,
    "-27": JobState.OUT_OF_MEMORY,
    "-29": JobState.TIMEOUT,
}
_DELETED = "91"  # OpenPBS's job.h: JOB_SUBSTATE_TERMINATED, by qdel

_YOURS = "your limit is reached; it starts when another of your jobs ends"
_GROUPS = "your group's limit is reached; it starts when others' jobs end"

# As OpenPBS's scheduler writes them into the job's comment, after "Not Running: " or
# "Can Never Run: " (job_info.cpp, fctr_code).
REASONS = {
    "H": "it is held: `qrls` lets it go",
    "Can Never Run: Insufficient amount of resource*": "no node has that much: "
    "ask for fewer cores or less memory",
    "Can Never Run: Not enough total nodes*": "the site has no such nodes: "
    "check cores, memory and directives",
    "Can Never Run*": "it will never run as it is: cancel it and ask for something else",
    "*Insufficient amount of server resource*": "a limit of the whole site is reached",
    "*Insufficient amount of queue resource*": "a limit of its queue is reached",
    "*Insufficient amount of resource*": "no node that fits is free yet",
    "*Not enough free nodes*": "no node that fits is free yet",
    "*Not enough of the right type of nodes*": "no node that fits is free yet",
    "*No available resources on nodes*": "no node that fits is free yet",
    "*has too few free resources*": "no node that fits is free yet",
    "*top job*": "other jobs are before it in the line",
    "*strict sorted order*": "other jobs are before it in the line",
    "*interfere with a confirmed reservation*": "nodes are reserved soon: "
    "a shorter walltime may fit",
    "*dedicated time*": "the site has put the time aside, often for maintenance: "
    "a shorter walltime may fit",
    "*Dedicated time*": "the site has put the time aside, often for maintenance",
    "*in primetime only*": "its queue starts jobs at certain hours only",
    "*in nonprimetime only*": "its queue starts jobs at certain hours only",
    "*User has reached*": _YOURS,
    "*per-user limit*": _YOURS,
    "*exceed user*": _YOURS,
    "*job limit reached for user*": _YOURS,
    "*Group has reached*": _GROUPS,
    "*per-group limit*": _GROUPS,
    "*exceed group*": _GROUPS,
    "*Project has reached*": _GROUPS,
    "*per-project limit*": _GROUPS,
    "*exceed project*": _GROUPS,
    "*job limit has been reached*": "the limit of all jobs together is reached",
    "*exceed overall limit*": "the limit of all jobs together is reached",
    "*Queue not started*": "its queue takes jobs but starts none at present",
    "*zero shares*": "you have no share of this site: ask its staff",
    "Job held by*": "it is held: `qrls` lets it go",
}

# As qsub says it (OpenPBS's pbs_messages.c, Torque's pbs_error_db.h).
REFUSALS = {
    "unknown queue": "Check queue: `qstat -Q` lists them.",
    "access to queue is denied": "You may not use this queue: check queue.",
    "queue is not enabled": "This queue takes no jobs at present; check queue.",
    "no default queue": "Name a queue: `qstat -Q` lists them.",
    "invalid account": "Check account.",
    "violates queue and/or server resource limits": "Check walltime, cores and memory: "
    "`qstat -Qf` shows the queue's limits.",
    "exceeds queue resource limits": "Check walltime, cores and memory: "
    "`qstat -Qf` shows the queue's limits.",
    "resource limit exceeds allowable": "Check walltime, cores and memory.",
    "maximum number of jobs": "Your limit of jobs is reached: fewer jobs, or wait.",
    "would exceed": "A limit of yours is reached: fewer or smaller jobs, or wait.",
    "illegal attribute or resource value": "Check walltime and resource-spec.",
    "unknown resource": "Check resource-spec: Torque wants nodes=1:ppn=..., not select=...",
    "bad uid for job execution": "PBS does not let you submit from this computer.",
    "cannot connect to server": "PBS itself does not answer; try again later.",
}


class PBSSystem(BatchSystem):
    """OpenPBS, PBS Pro, and Torque."""

    name = "pbs"
    label = "PBS"
    cluster_class = "PBSCluster"
    section = "pbs"
    job_id_variables = ("PBS_JOBID",)
    account_key = "account"
    queue_key = "queue"
    directive = "#PBS"
    # OpenPBS calls them 123.server.OU, Torque dask-worker.o123.
    log_names = ("{job}.*.OU", "{name}.o{job}", "{job}.*.ER", "{name}.e{job}")
    submit = "qsub"
    jobs_command_hint = "qstat -u $USER"
    queues_command_hint = "qstat -Q"
    cancel = "qdel"
    # 123.server, or an array's 123[].server, alone on its line. qstat and qdel take what is before
    # the server, too.
    job_id_pattern = r"(?m)^(?P<job_id>\d+(?:\[\])?)(?:\.[\w.-]+)?[ \t\r]*$"
    cores_in_script = (r"(?:ncpus|ppn)=(\d+)", r"(?:select|nodes)=(\d+)")
    walltime_key = "walltime"
    walltime_forms = WALLTIME_FORMS
    walltime_example = "01:00:00"
    reading_variables = ("PBS_QSTAT_*", "PBSDEBUG")
    settings_command = ("qstat", "--version")
    name_options = ("-N",)
    states = STATES
    reasons = REASONS
    refusals = REFUSALS
    gone_messages = (
        "Unknown Job Id",
        "Job has finished",
        "Job already in exit state",
        "Request invalid for state of job",
    )

    def parse_walltime(self, text: str) -> float:
        """Return the seconds in a walltime as PBS reads it.

        Raises
        ------
        ValueError
            PBS would not accept it, or it is zero.
        """
        return walltime_seconds(text, (_DURATION,), "PBS", WALLTIME_FORMS)

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        return ["qstat", "-f", *job_ids]

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        return self.parse_list(stdout)

    def cancel_command(self, job_ids: Sequence[str]) -> list[str]:
        return ["qdel", *job_ids]

    def accounting_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        return [["qstat", "-x", "-f", *job_ids]]

    def parse_list(self, stdout: str) -> list[JobStatus]:
        return merged(_status(job) for job in _jobs(stdout))

    def parse_settings(self, stdout: str) -> dict[str, str]:
        # OpenPBS: "pbs_version = 23.06.06". Torque says "Version: 6.1.3", and that to stderr.
        version = re.search(r"(?:pbs_version = |Version: )(\S+)", stdout)
        return {"version": version[1]} if version else {}


PBS = PBSSystem()
