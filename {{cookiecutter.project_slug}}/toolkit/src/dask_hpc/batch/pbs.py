"""PBS: qsub, qstat, qdel (OpenPBS 20 and newer, PBS Pro, Torque 6).

Based on OpenPBS's and Torque's sources and manuals, and tested with OpenPBS 23.06. Jobs are listed
in the format that both support; only OpenPBS knows ``-F json``. ``-x`` shows ended jobs in OpenPBS,
if the site keeps a history; in Torque it means XML, which counts as an empty list.
"""

import re
from collections.abc import Sequence

from .base import BatchSystem
from .parsing import parse_duration
from .state import JobState, JobStatus, merged


def _jobs(stdout: str) -> list[dict[str, str]]:
    """Return the attributes of each job that `qstat -f` prints; skip what precedes the first."""
    jobs: list[dict[str, str]] = []
    key = ""
    for line in stdout.splitlines():
        if line.startswith("Job Id:"):
            # 123.server: the number is enough for qstat and qdel, and the same everywhere. An array
            # is 123[].server, and one of its tasks 123[4].server.
            job = line.removeprefix("Job Id:").strip().split(".")[0]
            jobs.append({"id": re.sub(r"\[\d+\]$", "[]", job)})
        elif line.startswith("\t") and jobs and key:
            jobs[-1][key] += line[1:]  # long values continue in the next line, broken anywhere
        elif " = " in line and jobs:
            key, _, value = line.partition(" = ")
            key = key.strip()
            jobs[-1][key] = value
    return jobs


_DELETED = "91"  # OpenPBS's job.h: JOB_SUBSTATE_TERMINATED, by qdel


class PBSSystem(BatchSystem):
    """OpenPBS, PBS Pro, and Torque."""

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        return ["qstat", "-f", *job_ids]

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        return self.parse_list(stdout)

    def accounting_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        return [["qstat", "-x", "-f", *job_ids]]

    def parse_list(self, stdout: str) -> list[JobStatus]:
        return merged(self._status(job) for job in _jobs(stdout))

    def _status(self, job: dict[str, str]) -> JobStatus:
        letter = job.get("job_state", "").strip()
        state = self.states.get(letter, JobState.UNKNOWN)
        code = job.get("exit_status", job.get("Exit_status", "0")).strip()
        if state is JobState.DONE and (job.get("substate", "").strip() == _DELETED):
            state = JobState.CANCELLED
        elif state is JobState.DONE and code != "0":
            state = self.ends.get(code, JobState.FAILED)
        # A running job's comment only says when it started.
        waiting = state is JobState.PENDING
        reason = job.get("comment", "").strip() if waiting else ""
        node = job.get("exec_host", "").split("/")[0]
        reason = reason or ("H" if letter == "H" else "")
        elapsed = parse_duration(job.get("resources_used.walltime", ""))
        limit = parse_duration(job.get("Resource_List.walltime", ""))
        left = None if elapsed is None or limit is None else max(limit - elapsed, 0.0)
        return JobStatus(job["id"], state, reason, node, elapsed, left, job.get("Job_Name", ""))


PBS = PBSSystem("pbs")
