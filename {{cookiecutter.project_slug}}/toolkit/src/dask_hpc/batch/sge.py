"""Grid Engine: qsub, qstat, qdel (SGE 6.2 and what came of it: Son of Grid Engine, UGE, OCS).

Held against the manuals and the answers of Son of Grid Engine 8.1.9. It forgets an ended job at
once: how it ended is known from `qacct` alone, where the site keeps it, and only of jobs that had
begun. Its list does not say what a job waits for.
"""

import getpass
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from .base import BatchSystem
from .parsing import seconds_since, sum_of_cpus
from .state import JobState, JobStatus, merged


class SGESystem(BatchSystem):
    """Grid Engine."""

    def list_command(self, _job_ids: Sequence[str]) -> list[str]:
        # All of the user's jobs: there is no list of some of them (-j prints everything about
        # each). As XML, since the table cuts names short. A user's ~/.sge_qstat may name other
        # states (-s).
        return ["qstat", "-xml", "-s", "psr", "-u", getpass.getuser()]

    def accounting_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        # It takes one job at a time, and reads through a file that may be long.
        return [["qacct", "-j", job] for job in job_ids]

    def capacity_command(self, queue: str | None) -> list[str]:
        # Without a queue Grid Engine takes any that the job may use, so there is nothing to count.
        return ["qstat", "-g", "c", "-q", queue] if queue else []

    def parse_list(self, stdout: str) -> list[JobStatus]:
        start = stdout.find("<?xml")  # a site's banner may be before it
        try:
            root = ElementTree.fromstring(stdout[max(start, 0) :])
        except ElementTree.ParseError:
            return []
        jobs = []
        for entry in root.iter("job_list"):
            word = entry.findtext("state", "")
            node = entry.findtext("queue_name", "").partition("@")[2]  # all.q@node1
            state = self.states.get(word, JobState.UNKNOWN)
            reason = word if state is JobState.PENDING and word != "qw" else ""
            # What is left it does not say.
            elapsed = seconds_since(entry.findtext("JAT_start_time", ""), "%Y-%m-%dT%H:%M:%S")
            job, name = entry.findtext("JB_job_number", ""), entry.findtext("JB_name", "")
            jobs.append(JobStatus(job, state, reason, node, elapsed, name=name))
        return merged(jobs)  # an array's tasks are listed each

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        jobs = []
        for block in re.split(r"(?m)^=+\s*$", stdout):
            pairs = (line.split(None, 1) for line in block.splitlines())
            value = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
            if "jobnumber" not in value:
                continue
            failed = value.get("failed", "0").split()[0]
            state = JobState.DONE if value.get("exit_status", "0") == "0" else JobState.FAILED
            if failed in self.ends:
                state = self.ends[failed]
            elif value.get("deleted_by", "NONE") != "NONE":
                state = JobState.CANCELLED
            elif failed != "0":
                state = JobState.FAILED
            node, name = value.get("hostname", ""), value.get("jobname", "")
            jobs.append(JobStatus(value["jobnumber"], state, node=node, name=name))
        return merged(jobs)

    def parse_capacity(self, stdout: str) -> int:
        """Return the number of slots of the requested queue, whether they are up or not.

        Raises
        ------
        ValueError
            The queue is not listed.
        """
        # CLUSTER QUEUE  CQLOAD  USED  RES  AVAIL  TOTAL  aoACDS  cdsuE
        rows = [line.split() for line in stdout.splitlines()]
        totals = [row[5] for row in rows if len(row) == 8]
        return sum_of_cpus(totals, "qstat lists no such queue")


SGE = SGESystem("sge")
