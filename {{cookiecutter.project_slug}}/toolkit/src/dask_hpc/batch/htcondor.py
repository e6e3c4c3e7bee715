"""HTCondor: condor_submit, condor_q, condor_rm (8.8 and newer).

Based on its manual and source, and tested with 23.9. It has no queues, no mandatory accounts, and
no walltime: a job's size decides where it may run, and anything else that a site requires goes into
the submit description (``job-extra-directives``, a mapping). An ended job leaves the list at once,
and the access point's history shows how it ended; a failed job may stay, held.
"""

from collections.abc import Sequence
from itertools import pairwise

from .base import BatchSystem
from .parsing import sum_of_cpus
from .state import JobState, JobStatus, merged

HELD = "5"


def _rows(stdout: str) -> list[list[str]]:
    """Return the four fields of each job's line, skipping a site's banner."""
    rows = [line.split(None, 3) for line in stdout.splitlines()]
    jobs = [row for row in rows if len(row) == 4 and row[0].isdigit()]
    return [["" if field == "undefined" else field.strip() for field in row] for row in jobs]


def _node(host: str) -> str:
    return host.rpartition("@")[2]  # slot1_1@node1.site.org


class HTCondorSystem(BatchSystem):
    """HTCondor."""

    directives_type = dict

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        # The reason comes last, since it may contain spaces.
        return ["condor_q", *job_ids, "-af", "ClusterId", "JobStatus", "RemoteHost", "HoldReason"]

    def accounting_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        # It reads backwards, and stops when it has found this many jobs.
        limit = ["-limit", str(len(job_ids))]
        what = ["ClusterId", "JobStatus", "ExitCode", "LastRemoteHost"]
        return [["condor_history", *job_ids, *limit, "-af", *what]]

    def list_extra(self, extra: Sequence[str]) -> list[str]:
        """Return the options in ``cancel-command-extra`` that condor_q needs to find jobs."""
        pairs = [pair for pair in pairwise(extra) if pair[0] in ("-name", "-pool")]
        return [word for pair in pairs for word in pair]

    def capacity_command(self, _queue: str | None) -> list[str]:
        # A slot's total includes the CPUs of its dynamic slots.
        return ["condor_status", "-constraint", 'SlotType =!= "Dynamic"', "-af", "TotalSlotCpus"]

    def parse_list(self, stdout: str) -> list[JobStatus]:
        jobs = []
        for job, code, host, why in _rows(stdout):
            state, reason = self.states.get(code, JobState.UNKNOWN), why if code == HELD else ""
            jobs.append(JobStatus(job, state, reason, _node(host)))
        return merged(jobs)

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        jobs = []
        for job, status, code, host in _rows(stdout):
            state = self.states.get(status, JobState.UNKNOWN)
            if state is JobState.DONE and code not in ("", "0"):
                state = JobState.FAILED
            jobs.append(JobStatus(job, state, node=_node(host)))
        return merged(jobs)

    def parse_capacity(self, stdout: str) -> int:
        """Return the number of CPUs of the whole pool.

        Raises
        ------
        ValueError
            The pool is empty.
        """
        totals = [word for word in stdout.split() if word.isdigit()]
        return sum_of_cpus(totals, "condor_status lists no slots")


HTCONDOR = HTCondorSystem("htcondor")
