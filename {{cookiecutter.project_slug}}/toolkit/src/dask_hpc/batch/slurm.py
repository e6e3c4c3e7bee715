"""Slurm: sbatch, squeue, scancel, sacct, sinfo (22.05 and newer)."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .base import BatchSystem
from .parsing import parse_duration, parse_size, sum_of_cpus
from .slurm_environment import JOB_VARIABLES, READING_VARIABLES
from .state import JobState, JobStatus, JobUse, merged

# An array's tasks, 123_4 or 123_[5-9%2], and the parts of a heterogeneous job, 123+1.
_PART = re.compile(r"(\d+)(?:_(?:\d+|\[.*\])|\+\d+)")


def _whole(job: str) -> str:
    """Return the id under which a job was submitted."""
    part = _PART.fullmatch(job)
    return part[1] if part else job


# Options that select one of several clusters: -M east, -Meast, --clusters=east, --cluster east.
_CLUSTERS = re.compile(r"(?:^|\s)(?:-M\s*|--clusters?(?:=|\s+))(?P<names>\S+)")


def _clusters(words: Sequence[str]) -> str:
    found = _CLUSTERS.search(" ".join(map(str, words)))
    return found["names"].strip("\"'") if found else ""


# In a user's directives: nodes that a job requires, and nodes that it excludes. Long options may be
# abbreviated.
_WANTED = re.compile(r"(?:^|\s)(?:--nodel\w*|--nodef\w*|--reserv\w*|-[wF])")
_UNWANTED = re.compile(r"(?:^|\s)(?:--exclude?(?:=|\s+)|-x\s*)(?P<nodes>\S+)")


def _rows(stdout: str, most: int) -> list[list[str]]:
    """Return the fields of each job, at least six, skipping a site's banner."""
    rows = [line.strip().split("|", most - 1) for line in stdout.splitlines()]
    return [row for row in rows if len(row) >= 6 and row[0]]  # the last, a name, may contain "|"


def _with_step(use: JobUse, step: str, cpu: float, peak: float) -> JobUse:
    """Return what a job has used, given that without one of its steps; 0: not measured.

    The first step is the script. Each of the others is on a node of its own, the first of which has
    the script, too.
    """
    return replace(
        use,
        cpu=(use.cpu or 0.0) + cpu or None,
        script_peak=peak if step == "batch" else use.script_peak,
        step_peak=use.step_peak if step == "batch" else max(use.step_peak, peak),
    )


_REASON_OF_END = {JobState.TIMEOUT: "TimeLimit", JobState.OUT_OF_MEMORY: "OutOfMemory"}


class SlurmSystem(BatchSystem):
    """Slurm, with `sbatch`."""

    reading_variables = READING_VARIABLES
    job_variables = JOB_VARIABLES

    def parse_walltime(self, text: str) -> float:
        """Return a walltime in seconds, as sbatch interprets it; infinite for UNLIMITED.

        Raises
        ------
        ValueError
            The walltime is invalid for sbatch, or zero (which means "no limit" in Slurm).
        """
        text = str(text).strip()
        if text.upper() in ("UNLIMITED", "INFINITE"):
            return math.inf
        return super().parse_walltime(text)

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        # --states=all: ended jobs stay listed for a while (MinJobAge), and show how they ended.
        # --all: include hidden partitions.
        options = ["--all", "--noheader", "--states=all", "--format=%i|%T|%r|%N|%M|%L|%j"]
        return ["squeue", *options, f"--jobs={','.join(job_ids)}"]

    def cancel_command(self, job_ids: Sequence[str]) -> list[str]:
        return ["scancel", "--quiet", *job_ids]

    def accounting_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        form = "JobID,State,ExitCode,NodeList,Elapsed,JobName"
        options = ["--allocations", "--noheader", "--parsable2", f"--format={form}"]
        return [["sacct", *options, f"--jobs={','.join(job_ids)}"]]

    def usage_command(self, job_ids: Sequence[str]) -> list[str]:
        # With the steps, which have the memory. Not TotalCPU: that omits processes which have ended
        # without being waited for, such as workers that are cancelled with their job.
        form = "JobID,State,Elapsed,AllocCPUS,NNodes,AllocTRES,NTasks,AveCPU,MaxRSS"
        options = ["--noheader", "--parsable2", f"--format={form}"]
        return ["sacct", *options, f"--jobs={','.join(job_ids)}"]

    def list_extra(self, extra: Sequence[str]) -> list[str]:
        names = _clusters(extra)
        return [f"--clusters={names}"] if names else []

    def where(
        self, submit: Sequence[str], directives: object, environ: Mapping[str, str]
    ) -> list[str]:
        # In sbatch's order of precedence: arguments, environment, script. SLURM_CLUSTERS overrides
        # SBATCH_CLUSTERS there, and is the only one that squeue and scancel read.
        names = (
            _clusters(submit[1:])
            or environ.get("SLURM_CLUSTERS")
            or environ.get("SBATCH_CLUSTERS")
            or _clusters(directives if isinstance(directives, (list, tuple)) else ())
        )
        return [f"--clusters={names}"] if names else []

    def exclude_args(self, nodes: Sequence[str], directives: Sequence[str]) -> list[str]:
        # An option of the command overrides the same one in the script.
        own = " ".join(map(str, directives))
        unwanted = [match["nodes"].strip("\"'") for match in _UNWANTED.finditer(own)]
        # With a slash, it is a file with a list of nodes.
        if not nodes or _WANTED.search(own) or any("/" in names for names in unwanted):
            return []
        return [f"--exclude={','.join([*unwanted, *nodes])}"]

    def capacity_command(self, queue: str | None) -> list[str]:
        # %C: CPUs allocated/idle/other/total. The default partition's name ends with *.
        command = ["sinfo", "--noheader", "--format=%P|%C"]
        # It lists a hidden partition if it is named; --all as well is refused.
        return [*command, f"--partition={queue}"] if queue else command

    def parse_list(self, stdout: str) -> list[JobStatus]:
        jobs = []
        for job, word, reason, node, elapsed, left, *name in _rows(stdout, 7):
            state = self.states.get(word.split(" ")[0], JobState.UNKNOWN)
            reason = "" if reason in ("None", "(null)") else reason
            node = "" if node == "(null)" else node
            # INVALID, UNLIMITED, and NOT_SET are not times.
            times = parse_duration(elapsed), parse_duration(left)
            jobs.append(JobStatus(_whole(job), state, reason, node, *times, *name))
        return merged(jobs)

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        # A job that has lost a node has one line for each of its sizes, in order.
        jobs: dict[str, JobStatus] = {}
        for job, word, code, node, elapsed, name in _rows(stdout, 6):
            state = self.states.get(word.split(" ")[0], JobState.UNKNOWN)  # "CANCELLED by 1000"
            node = "" if node == "None assigned" else node
            reason = _REASON_OF_END.get(state, "")
            if state is JobState.FAILED:  # as in squeue; the code is "exit code:signal"
                signal = code.partition(":")[2]
                reason = f"RaisedSignal:{signal}" if signal not in ("", "0") else "NonZeroExitCode"
            ran = parse_duration(elapsed)
            jobs[job] = JobStatus(_whole(job), state, reason, node, ran, name=name)
        return merged(jobs.values())

    def parse_usage(self, stdout: str) -> list[JobUse]:
        jobs: dict[str, JobUse] = {}
        for line in stdout.splitlines():
            if len(fields := line.split("|")) != 9:
                continue
            whole, word, elapsed, cpus, nodes, tres, tasks, cpu, rss = fields
            job, _, step = whole.partition(".")
            if not step:
                asked = re.search(r"(?:^|,)mem=([^,]+)", tres)
                memory = parse_size(asked[1]) if asked else None
                jobs[job] = JobUse(
                    job,
                    self.states.get(word.split(" ")[0], JobState.UNKNOWN),
                    parse_duration(elapsed),
                    int(cpus) if cpus.isdigit() else None,
                    memory / int(nodes) if memory and nodes.isdigit() and int(nodes) else None,
                )
            elif step != "extern" and job in jobs and tasks.isdigit():
                seconds = int(tasks) * (parse_duration(cpu.partition(".")[0]) or 0.0)
                jobs[job] = _with_step(jobs[job], step, seconds, parse_size(rss) or 0.0)
        return list(jobs.values())

    def parse_capacity(self, stdout: str) -> int:
        """Return the total number of CPUs of the requested partition, or of the default one.

        Raises
        ------
        ValueError
            The partition is not listed.
        """
        rows = [line.strip().split("|") for line in stdout.splitlines() if line.count("|") == 1]
        if len(rows) > 1:
            rows = [row for row in rows if row[0].endswith("*")]
        totals = [cpus.split("/")[-1] for _, cpus in rows]
        return sum_of_cpus(totals, "sinfo lists no such partition")

    def parse_settings(self, stdout: str) -> dict[str, str]:
        pairs = (line.split("=", 1) for line in stdout.splitlines() if "=" in line)
        found = {key.strip(): value.strip() for key, value in pairs}
        return {key: found[key] for key in self._words["settings"]["shown"] if key in found}


SLURM = SlurmSystem("slurm")
