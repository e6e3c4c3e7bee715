"""Diagnose, from a job's log, why none of its workers connects; suggest a fix if one is known."""

import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .._output import formatting
from ..batch import output_files
from .interface import JobOutput
from .policy import Policy
from .tracked_job import TrackedJob

# Report a job without workers after this fraction of death-timeout, before its workers give up.
DEATH_TIMEOUT_FRACTION = 0.7
SHOWN_LINES = 3  # last lines of a log to show if no error is found in it
TAIL_BYTES = 20_000  # read from the end of a log
MAX_LINE_CHARS = 200  # shown of each line

_TABLE = tomllib.loads(Path(__file__).with_name("causes.toml").read_text(encoding="utf-8"))
_NOT_THERE: str = _TABLE["not-there"]
SHELL_COMPLAINTS = [form.replace("NOT_THERE", _NOT_THERE) for form in _TABLE["shell-complaints"]]
MODULES: str = _TABLE["modules"]
CAUSES: list[tuple[str, str]] = [(row["error"], row["means"]) for row in _TABLE["causes"]]

_LOGGED = re.compile(r"distributed[\w.]* - (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) - ")
# What the batch system writes when it ends a job or a step.
_NOISE = re.compile(
    r"^(?:slurmstepd|srun|slurm_script|mpirun)\b.*(?:CANCELLED|STEP|Terminated|task)"
)
_TRACEBACK = "Traceback (most recent call last):"
_CAUSED = "The above exception was the direct cause of the following exception:"
_TIMED_OUT = re.compile(
    r"dask_worker - INFO - Timed out starting worker|Timed out connecting Nanny"
)


def _exception(lines: list[str]) -> tuple[str, int]:
    """Return the root cause of the last traceback, and the number of the line after the traceback.

    In a chain of exceptions, the last one often says only that something did not start, and the
    first ones may have no message (CancelledError, where a connection timed out).
    """
    start = max((n for n, line in enumerate(lines) if line.strip() == _TRACEBACK), default=None)
    if start is None:
        return "", 0
    number = next((n for n in range(start + 1, len(lines)) if lines[n][:1].strip()), None)
    if number is None:
        return "", 0  # the traceback is cut off
    before = [line for line in lines[:start] if line.strip()]
    if before and before[-1].strip() == _CAUSED:
        caused = max(n for n, line in enumerate(lines[:start]) if line.strip() == _CAUSED)
        innermost = _exception(lines[:caused])[0]
        if ": " in innermost:
            return innermost, number + 1
    return lines[number].strip(), number + 1


def _meaningful(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip() and not _NOISE.match(line.strip())]


def error_line(log: str) -> str:
    """Return the error at the end of a job's log, as one line; empty if there is none.

    This is the root cause of the last traceback, or the message of a shell or of Python that could
    not run something, provided that no output of the workers follows.
    """
    lines = log.splitlines()
    found, after = _exception(lines)
    rest = _meaningful(lines[after:])
    if logged := [number for number, line in enumerate(rest) if _LOGGED.search(line)]:
        # The workers logged something later, so an earlier error did not stop them.
        ended = all(" - INFO - " in rest[number] for number in logged)
        if not ended or any("Registered to" in line for line in rest):
            found = ""
        rest = rest[logged[-1] + 1 :]
    if rest:
        last = rest[-1]
        if _program(last) or re.match(r"\S*python[\d.]*: (?:No module|Error while|can't)", last):
            return last
        if module := next((line for line in rest if re.match(MODULES, line)), ""):
            return module
        if re.search(r"No space left on device|Disk quota exceeded", last):
            return last
    return found


def _program(line: str) -> str:
    """Return the program that a shell could not run; empty if the line is no such message."""
    return next((m["what"] for pattern in SHELL_COMPLAINTS if (m := re.match(pattern, line))), "")


def likely_cause(log: str, address: str, python: str = "", shebang: str = "") -> str:
    """Return the likely cause of a failure, given the end of the job's log; empty if unknown.

    Parameters
    ----------
    log : str
        The text of the log.
    address : str
        The scheduler's address.
    python : str, optional
        The workers' Python, as in their command; empty if unknown.
    shebang : str, optional
        The job script's first line.
    """
    line = error_line(log)
    if not line:
        return _without_error(log, address)
    if program := _program(line):
        if program == python or (not python and re.fullmatch(r".*\bpython[\d.]*", program)):
            return (
                "the workers' Python does not exist on the compute node: set python in "
                "jobqueue.yaml to one on a shared file system"
            )
        if program in shebang.removeprefix("#!").split():
            return f"the compute node has no {program}: check shebang in jobqueue.yaml"
    if program or re.match(MODULES, line):
        return "a line of job-script-prologue in jobqueue.yaml failed"
    for pattern, words in CAUSES:
        if match := re.search(pattern, line):
            what = match.groupdict().get("what") or ""
            if "://" in what and what.strip("'\"") != address:
                continue  # not our scheduler
            return words.format(what=what)
    return ""


def _without_error(log: str, address: str) -> str:
    """Return the likely cause if a worker logged that it gave up; empty otherwise."""
    if not _TIMED_OUT.search(log):
        return ""
    if "Start Nanny at" in log or "Registered to" in log:
        return (
            "the node reached the scheduler, but its workers did not start in time: the node or "
            "the file system is slow (increase death-timeout in jobqueue.yaml)"
        )
    return CAUSES[-1][1].format(what=address)


def last_lines(text: str) -> str:
    """Return a log's last error, or else its last meaningful lines, joined into one line."""
    if line := error_line(text):
        return line[:MAX_LINE_CHARS]
    lines = _meaningful(text.splitlines())
    return " | ".join(line[:MAX_LINE_CHARS] for line in lines[-SHOWN_LINES:])


@dataclass(eq=False)
class Diagnosis(Policy):
    """Examine jobs that are running although none of their workers has connected.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    output : JobOutput
    death_timeout : float or None
        Seconds after which a worker that cannot reach the scheduler gives up.
    origins : callable, optional
        Takes a text, and returns where keys in it are set, if not in the lab's files.

    Attributes
    ----------
    finding : str
        About the last job without a worker; empty if there was none.
    """

    output: JobOutput
    death_timeout: float | None
    origins: Callable[[str], str] = lambda _text: ""
    finding = ""

    def __post_init__(self) -> None:
        self._patience = DEATH_TIMEOUT_FRACTION * (self.death_timeout or 60.0)

    def tick(self) -> None:
        """Report jobs that have been running for long without a worker. Call this periodically."""
        now = self.clock.monotonic()
        late = []
        for job in self.tracker:
            begun = job.running_since
            if job.first_worker_at is not None or begun is None or job.is_examined:
                continue
            if now - begun > self._patience:
                job.is_examined = True
                late.append((job, now - begun))
        if not late:
            return
        first, ran = late[0]
        ids = formatting.format_job_ids([job.job_id for job, _ in late])
        on = f" on {first.node}" if first.node else ""
        has = "has" if len(late) == 1 else "have"
        words = f"{ids[0].upper()}{ids[1:]} {has} been running{on} for"
        words = f"{words} {formatting.format_duration(ran)}, but no worker has connected."
        self.messages.warning(f"{words} {self.examine(first)}")

    def examine(self, job: TrackedJob) -> str:
        """Return one line: where a job's log is, how it ends, and the likely cause, if known."""
        output = self.output
        forms, paths = output.patterns, output.files(job.job_id)
        for path in reversed(paths):  # stderr is last
            if text := output_files.tail(path, TAIL_BYTES):
                line = f"The log {path} ends with: {last_lines(text)}"
                address = self.pool.scheduler.address
                if cause := likely_cause(text, address, output.python, output.shebang):
                    places = self.origins(cause)
                    line += f" - likely cause: {cause}" + (f"; {places}" if places else "")
                break
        else:
            line = _without_text(job.job_id, forms, paths)
        self.finding = line
        return f"{line}."


def _without_text(job_id: str, forms: list[str], paths: list[str]) -> str:
    """Explain why none of a job's output is shown."""
    if not forms:
        return "There is no log: set log-directory in jobqueue.yaml to keep one"
    if (nowhere := output_files.NOWHERE) in paths:
        return f"There is no log: job-extra-directives in jobqueue.yaml send output to {nowhere}"
    if there := [path for path in paths if os.path.exists(path)]:  # noqa: PTH110 - a str
        return f"The log {there[-1]} is empty"
    return f"There is no log at {output_files.show_pattern(forms[-1], job_id)}"
