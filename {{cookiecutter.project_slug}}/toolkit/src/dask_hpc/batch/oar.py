"""OAR: oarsub, oarstat, oardel (2.5).

Based on the manuals and source, and tested with 2.5.9. OAR keeps all jobs in its database, so it
knows how they ended, and schedules ahead, so it often knows when they will start. OAR itself
resubmits a job whose node failed, as another job, which this toolkit does not recognize as its own.
"""

import re
from collections.abc import Sequence

from .base import BatchSystem
from .parsing import seconds_since
from .state import JobState, JobStatus


class OARSystem(BatchSystem):
    """OAR."""

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        # As text, since JSON needs a Perl module that not every site has.
        return ["oarstat", "--full", *(word for job in job_ids for word in ("--job", job))]

    def parse_list(self, stdout: str) -> list[JobStatus]:
        _, *blocks = re.split(r"(?m)^Job_Id: (?=\d+\s*$)", stdout)
        return [self._status(block) for block in blocks]

    def _status(self, block: str) -> JobStatus:
        job, _, rest = block.partition("\n")

        def value(key: str) -> str:
            match = re.search(rf"(?m)^    {key} = (.*)$", rest)
            return match[1].strip() if match else ""

        state, reason = self.states.get(value("state"), JobState.UNKNOWN), ""
        if state is JobState.PENDING:
            start, message = value("scheduledStart"), value("message")
            if value("state") == "Hold":
                reason = "Hold"
            elif start[:1].isdigit():
                reason = f"scheduledStart {start}"
            else:  # a message that begins with R=8, for example, only repeats the request
                reason = start if re.match(r"R=\d|$", message) else message
        elif state is JobState.FAILED:
            # The events at the end, "2026-11-25 10:00:00> WALLTIME:...", show why it ended.
            events = re.findall(r"(?m)^[\d: -]+> (\w+):", rest)
            known = [event for event in events if event in self.ends]
            state, reason = (self.ends[known[0]], known[0]) if known else (state, "")
        elif state is JobState.DONE and not re.match(r"0\b|$", value("exit_code")):
            state = JobState.FAILED
        running = state in (JobState.RUNNING, JobState.ENDING)
        elapsed = seconds_since(value("startTime"), "%Y-%m-%d %H:%M:%S") if running else None
        node = value("assigned_hostnames").split("+")[0]
        return JobStatus(job.strip(), state, reason, node, elapsed, name=value("name"))


OAR = OARSystem("oar")
