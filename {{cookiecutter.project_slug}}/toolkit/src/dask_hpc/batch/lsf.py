"""LSF: bsub, bjobs, bkill (IBM Spectrum LSF 10.1).

Based on IBM's reference and published output: LSF is proprietary, and this was never tested on it.
Ended jobs stay listed for CLEAN_PERIOD, by default an hour. The list does not show what a job is
waiting for.
"""

import math
import re
from collections.abc import Sequence

from .base import BatchSystem
from .state import JobState, JobStatus, merged


class LSFSystem(BatchSystem):
    """IBM Spectrum LSF."""

    def format_walltime(self, seconds: float) -> str:
        """Return a number of seconds as a run limit, rounded up to full minutes."""
        return super().format_walltime(60 * math.ceil(seconds / 60)).removesuffix(":00")

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        # If given explicitly, ended jobs are listed, too.
        form = "jobid stat exec_host exit_reason delimiter='|'"
        return ["bjobs", "-noheader", "-o", form, *job_ids]

    def parse_list(self, stdout: str) -> list[JobStatus]:
        jobs = []
        for line in stdout.splitlines():
            fields = ["" if field == "-" else field for field in line.strip().split("|")]
            # Elements of an array have the array's number, or 123[4].
            match = re.fullmatch(r"(\d+)(?:\[\d+\])?", fields[0])
            if len(fields) != 4 or match is None:
                continue  # a site's banner
            job, word, hosts, why = match[1], *fields[1:]
            state, reason = self.states.get(word, JobState.UNKNOWN), ""
            if state is JobState.FAILED:
                reason = why.partition(":")[0]  # "TERM_RUNLIMIT: job killed after ..."
                state = self.ends.get(reason, state)
            elif word in self.reasons:
                reason = word
            # "8*hostA:8*hostB": slots, then the host.
            jobs.append(JobStatus(job, state, reason, hosts.split(":")[0].rpartition("*")[2]))
        return merged(jobs)


LSF = LSFSystem("lsf")
