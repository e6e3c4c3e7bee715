"""Fakes of batch systems' commands: they run job scripts as processes of this machine.

They serve the tests of what happens around jobs; no results are measured with them. Each batch
system is a `FakeCommands`: how its commands are asked and what they answer, in the shapes of the
real ones' documentation or source. Run as ``main(FOLDER, NAME, COMMAND, ARGUMENTS...)``.

Clusters ask for their jobs twice a second, so this module imports what only some calls need there:
a call takes 0.03 s then, and 0.1 s otherwise.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import ClassVar


class Job:
    """A job as the fake knows it.

    Attributes
    ----------
    state : {"pending", "running", "done", "cancelled"}
    row : str
        What the test wants to be listed, in the command's own words.
    began : bool
    """

    def __init__(self, job: str, state: str, row: str, began: bool) -> None:
        self.id, self.state, self.row, self.began = job, state, row, began


class FakeCommands:
    """The commands of a batch system.

    Attributes
    ----------
    commands : tuple of str
        The names of those that submit, list and cancel.
    accounting : str
        That of the one that knows ended jobs; empty: there is none.
    variable : str
        Holds a job's id in the environment of its processes.
    rows : dict of str
        A job's state → what the list says of it; one that is left out is not listed.
    """

    commands: ClassVar[tuple[str, str, str]]
    accounting: ClassVar[str] = ""
    variable: ClassVar[str]
    rows: ClassVar[dict[str, str]]

    def script(self, arguments: list[str]) -> str:
        """Return the script that was submitted."""
        from pathlib import Path

        return Path(arguments[-1]).read_text()

    def run(self, script: Path) -> list[str]:
        """Return the command that runs it."""
        mark, _, shell = script.read_text().partition("\n")[0].partition("#!")
        return [*(shell if not mark and shell else "bash").split(), str(script)]

    def known(self, jobs: list[Job]) -> list[Job]:
        return [job for job in jobs if job.row or job.state in self.rows]

    def row(self, job: Job) -> str:
        return job.row or self.rows[job.state]

    def submitted(self, job: str) -> str:
        raise NotImplementedError

    def ids(self, arguments: list[str]) -> list[str]:
        """Return the jobs that were asked about, or are to be cancelled."""
        return [a for a in arguments if a.isdigit()]

    def listed(self, jobs: list[Job]) -> str:
        raise NotImplementedError

    def accounted(self, jobs: list[Job]) -> str:
        """Return what the accounting says of ended jobs."""
        raise NotImplementedError

    def unknown(self, job: str) -> str:
        """Return what is said, on stderr, of a job that is over and forgotten."""
        return ""


class Slurm(FakeCommands):
    commands: ClassVar = ("sbatch", "squeue", "scancel")
    variable: ClassVar = "SLURM_JOB_ID"
    rows: ClassVar = {
        "pending": "PENDING|Priority|",
        "running": "RUNNING|None|node1",
        "done": "COMPLETED|None|node1",
        "cancelled": "CANCELLED|None|node1",
    }

    def submitted(self, job):
        return f"Submitted batch job {job}"

    def ids(self, arguments):
        asked = [a.split("=")[1].split(",") for a in arguments if a.startswith("--jobs=")]
        return asked[0] if asked else super().ids(arguments)

    def row(self, job):
        if job.state == "cancelled" and not job.began and not job.row:
            return "CANCELLED|None||0:00|10:00"
        return super().row(job)

    def listed(self, jobs):
        rows = {job.id: self.row(job) for job in jobs}
        # A test that does not care for the times leaves them out.
        rows = {
            job: row if row.count("|") == 4 else f"{row}|0:05|9:55" for job, row in rows.items()
        }
        return "".join(f"{job}|{row}\n" for job, row in rows.items())


class Pbs(FakeCommands):
    """OpenPBS 23.06, as it answered in a container."""

    commands: ClassVar = ("qsub", "qstat", "qdel")
    variable: ClassVar = "PBS_JOBID"
    rows: ClassVar = {
        # Long values go on in the next line.
        "pending": "    job_state = Q\n"
        "    comment = Not Running: Job would conflict with reservatio\n\tn or top job\n",
        "running": "    job_state = R\n    exec_host = node1/0*2\n    comment = Job run at Wed\n",
    }

    head = "Job Id: {}.pbs.site.org\n    Job_Name = dask-worker\n"

    def submitted(self, job):
        return f"{job}.pbs.site.org"

    def accounted(self, jobs):  # of qstat -x
        substate = {"done": 92, "cancelled": 91}
        end = "    job_state = F\n    substate = {}\n    Exit_status = 1\n"
        return "".join(self.head.format(j.id) + end.format(substate[j.state]) for j in jobs)

    def listed(self, jobs):
        head = self.head
        return "".join(head.format(job.id) + self.row(job) for job in self.known(jobs))

    def unknown(self, job):
        return f"qstat: Unknown Job Id {job}.pbs.site.org"


class Sge(FakeCommands):
    """Son of Grid Engine 8.1.9, as it answered in a container."""

    commands: ClassVar = ("qsub", "qstat", "qdel")
    accounting: ClassVar = "qacct"
    variable: ClassVar = "JOB_ID"
    rows: ClassVar = {"pending": "qw|", "running": "r|all.q@node1"}

    def accounted(self, jobs):
        line = "=" * 60
        form = "{}\nhostname     node1\njobnumber    {}\nfailed       0\nexit_status  1\n"
        return "".join(form.format(line, job.id) for job in jobs)

    def submitted(self, job):
        return f'Your job {job} ("dask-worker") has been submitted'

    def listed(self, jobs):
        entries = ""
        for job in self.known(jobs):
            state, queue = self.row(job).split("|")
            entries += (
                f"<job_list><JB_job_number>{job.id}</JB_job_number><state>{state}</state>"
                f"<queue_name>{queue}</queue_name></job_list>\n"
            )
        return f"<?xml version='1.0'?>\n<job_info><job_info>\n{entries}</job_info></job_info>"


class Oar(FakeCommands):
    """OAR 2.5.9, as it answered in a container."""

    commands: ClassVar = ("oarsub", "oarstat", "oardel")
    variable: ClassVar = "OAR_JOB_ID"
    rows: ClassVar = {
        "pending": "    state = Waiting\n    scheduledStart = 2026-11-25 10:00:00\n    events = \n",
        "running": "    state = Running\n    assigned_hostnames = node1\n    events = \n",
        "done": "    state = Terminated\n    exit_code = 0 (0,0,0)\n    events = \n",
        "cancelled": "    state = Error\n    assigned_hostnames = node1\n    events = \n"
        "2026-11-25 10:00:00> FRAG_JOB_REQUEST:User alice requested to frag the job\n",
    }

    def script(self, arguments):
        return arguments[-1]  # the script itself, not a file

    def submitted(self, job):
        rules = "[ADMISSION RULE] Modify resource description with type constraints"
        return f"{rules}\nOAR_JOB_ID={job}"

    def listed(self, jobs):
        return "".join(f"Job_Id: {job.id}\n{self.row(job)}\n" for job in jobs)


class Lsf(FakeCommands):
    """IBM's reference of bsub and bjobs; AiiDA's tests have bjobs's rows."""

    commands: ClassVar = ("bsub", "bjobs", "bkill")
    variable: ClassVar = "LSB_JOBID"
    rows: ClassVar = {
        "pending": "PEND|-|-",
        "running": "RUN|2*node1|-",
        "done": "DONE|2*node1|-",
        "cancelled": "EXIT|2*node1|TERM_OWNER: job killed by owner",
    }

    def script(self, arguments):
        return sys.stdin.read()

    def submitted(self, job):
        return f"Job <{job}> is submitted to default queue <normal>."

    def listed(self, jobs):
        return "".join(f"{job.id}|{self.row(job)}\n" for job in jobs)


class HTCondor(FakeCommands):
    """HTCondor 23.9, as it answered in a container."""

    commands: ClassVar = ("condor_submit", "condor_q", "condor_rm")
    accounting: ClassVar = "condor_history"
    variable: ClassVar = "CONDOR_NOTHING"
    rows: ClassVar = {"pending": "1 undefined undefined", "running": "2 slot1_1@node1 undefined"}

    def run(self, script):
        import re

        keys = dict(re.findall(r"(?m)^(\w+) = (.*)$", script.read_text()))
        # Its own quoting: "..." around all, in it '...' around an argument, quotes doubled.
        inner = keys["Arguments"][1:-1].replace('""', '"')
        words = re.findall(r"(?:'(?:[^']|'')*'|[^\s'])+", inner)
        words = [word.replace("$(ClusterId)", script.stem) for word in words]
        bare = [re.sub(r"'((?:[^']|'')*)'", lambda m: m[1].replace("''", "'"), w) for w in words]
        return [keys["Executable"], *bare]

    def accounted(self, jobs):
        codes = {"done": "4 1", "cancelled": "3 undefined"}
        return "".join(f"{job.id} {codes[job.state]} slot1_1@node1\n" for job in jobs)

    def submitted(self, job):
        return f"Submitting job(s).\n1 job(s) submitted to cluster {job}."

    def listed(self, jobs):
        return "".join(f"{job.id} {self.row(job)}\n" for job in self.known(jobs))


FAKE_COMMANDS = {
    "slurm": Slurm(),
    "pbs": Pbs(),
    "sge": Sge(),
    "oar": Oar(),
    "lsf": Lsf(),
    "htcondor": HTCondor(),
}


def read(path: str) -> str:
    """Return the text of a file; nothing if there is none."""
    try:
        with open(path) as file:  # noqa: PTH123 - pathlib takes long to import
            return file.read()
    except FileNotFoundError:
        return ""


def submitted_jobs(here: str) -> list[str]:
    """Return the ids of all jobs."""
    names = sorted(os.listdir(here))  # noqa: PTH208
    return [name.removesuffix(".script") for name in names if name.endswith(".script")]


def look(here: str, job: str) -> Job:
    """Return what is known of a job."""
    base = f"{here}/{job}"
    pid = read(f"{base}.pid")
    if os.access(f"{base}.cancelled", os.F_OK):
        state = "cancelled"
    elif not pid:
        state = "pending"
    else:
        state = "running" if os.access(f"/proc/{pid}", os.F_OK) else "done"
    return Job(job, state, read(f"{base}.state"), bool(pid))


def submit(folder: str, commands: FakeCommands, arguments: list[str]) -> None:
    """Start a job, if none is held."""
    import fcntl
    import subprocess
    from pathlib import Path

    here = Path(folder)
    with (here / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        job = str(100 + len(submitted_jobs(folder)))
        script = here / f"{job}.script"
        script.write_text(commands.script(arguments))
    if not (here / "hold").exists():
        with (here / f"{job}.log").open("w") as log:
            process = subprocess.Popen(
                commands.run(script),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, commands.variable: job},
            )
        (here / f"{job}.pid").write_text(str(process.pid))
    print(commands.submitted(job))


def show(here: str, commands: FakeCommands, arguments: list[str]) -> None:
    """List jobs, with the accounting where that is an option."""
    asked = commands.ids(arguments) or submitted_jobs(here)
    jobs = [look(here, job) for job in asked]
    if "-x" in arguments:
        account(here, commands, arguments)
        return
    print(commands.listed(jobs), end="")
    said = [commands.unknown(job.id) for job in jobs if job not in commands.known(jobs)]
    if any(said):
        sys.exit("\n".join(said))


def account(here: str, commands: FakeCommands, arguments: list[str]) -> None:
    """List jobs that are over."""
    asked = [job for job in submitted_jobs(here) if job in arguments]
    jobs = [look(here, job) for job in asked]
    print(commands.accounted([job for job in jobs if job not in commands.known(jobs)]), end="")


def cancel(here: str, commands: FakeCommands, arguments: list[str]) -> None:
    """End jobs."""
    from contextlib import suppress

    for job in commands.ids(arguments):
        base = f"{here}/{job}"
        with open(f"{base}.cancelled", "w"):  # noqa: PTH123
            pass
        with suppress(FileNotFoundError):
            os.unlink(f"{base}.state")  # noqa: PTH108
        if pid := read(f"{base}.pid"):
            with suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGTERM)


def main(here: str, name: str, command: str, *arguments: str) -> None:
    """Do what a command does."""
    commands = FAKE_COMMANDS[name]
    with open(f"{here}/calls", "a") as calls:  # noqa: PTH123
        calls.write(f"{[command, *arguments]!r}\n")
    if os.access(f"{here}/{command}.says", os.F_OK):
        sys.exit(read(f"{here}/{command}.says"))  # to stderr, exit code 1
    names = (*commands.commands, commands.accounting)
    verb = dict(zip(names, (submit, show, cancel, account), strict=True))[command]
    verb(here, commands, list(arguments))
