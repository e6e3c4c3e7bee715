"""Find out from its log why a job runs whose workers never come, and what to change, if known."""

import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .._output import formatting
from ..batch import output_files
from .interface import JobOutput
from .policy import Policy
from .tracked_job import TrackedJob

# Of death-timeout, after which a worker without a scheduler gives up: when we speak of it.
DEATH_TIMEOUT_FRACTION = 0.7
SHOWN_LINES = 3  # of the log, that are shown where none of them is an error's
TAIL_BYTES = 20_000  # bytes at its end
MAX_LINE_CHARS = 200  # characters of a line that are shown

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
    """Return the error that the last traceback began with, and the number of the line after it.

    The error at the end of a chain of causes often says only that something did not start.
    """
    start = max((n for n, line in enumerate(lines) if line.strip() == _TRACEBACK), default=None)
    if start is None:
        return "", 0
    number = next((n for n in range(start + 1, len(lines)) if lines[n][:1].strip()), None)
    if number is None:
        return "", 0  # it is cut off
    before = [line for line in lines[:start] if line.strip()]
    if before and before[-1].strip() == _CAUSED:
        caused = max(n for n, line in enumerate(lines[:start]) if line.strip() == _CAUSED)
        if innermost := _exception(lines[:caused])[0]:
            return innermost, number + 1
    return lines[number].strip(), number + 1


def _meaningful(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip() and not _NOISE.match(line.strip())]


def error_line(log: str) -> str:
    """Return the error that a job's log ends with, in a line; empty if it ends otherwise.

    That is the innermost error of the last traceback, or the complaint of a shell or of Python
    about what it should run, provided that no output of the workers follows.
    """
    lines = log.splitlines()
    found, after = _exception(lines)
    rest = _meaningful(lines[after:])
    if any(map(_LOGGED.search, rest)):
        # The workers have said something since: what came before did not keep them from it.
        since = max(n for n, line in enumerate(rest) if _LOGGED.search(line))
        ended = all(" - INFO - " in line for line in rest if _LOGGED.search(line))
        if not ended or any("Registered to" in line for line in rest):
            found = ""
        rest = rest[since + 1 :]
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
    """Return the program that a shell could not run; empty if the line is no such complaint."""
    return next((m["what"] for pattern in SHELL_COMPLAINTS if (m := re.match(pattern, line))), "")


def likely_cause(log: str, address: str, python: str = "", shebang: str = "") -> str:
    """Explain what the end of a job's log means; empty if that is not known.

    Parameters
    ----------
    log : str
        The text of the log.
    address : str
        The scheduler's address.
    python : str, optional
        The workers' Python, as their command names it; empty if any Python may be it.
    shebang : str, optional
        The job script's first line.
    """
    line = error_line(log)
    if not line:
        return _without_error(log, address)
    if program := _program(line):
        if program == python or (not python and re.fullmatch(r".*\bpython[\d.]*", program)):
            return (
                "the workers' Python is not there on the compute node: it has to lie on a file "
                "system that the nodes see too (python in jobqueue.yaml)"
            )
        if program in shebang.removeprefix("#!").split():
            return f"the compute node has no {program} (shebang in jobqueue.yaml)"
        return "a line of job-script-prologue in jobqueue.yaml fails"
    if re.match(MODULES, line):
        return "a line of job-script-prologue in jobqueue.yaml fails"
    for pattern, words in CAUSES:
        if match := re.search(pattern, line):
            what = match.groupdict().get("what") or ""
            if "://" in what and what.strip("'\"") != address:
                continue  # somebody else's
            return words.format(what=what)
    return ""


def _without_error(log: str, address: str) -> str:
    """Explain a log in which the worker itself says that it gave up."""
    said = list(_TIMED_OUT.finditer(log))
    if not said:
        return ""
    if "Start Nanny at" in log or "Registered to" in log:
        return (
            "it reached the scheduler, and its workers did not start in time, as on a slow file "
            "system or a busy node (death-timeout in jobqueue.yaml)"
        )
    return CAUSES[-1][1].format(what=address)


def last_lines(text: str, number: int = SHOWN_LINES) -> str:
    """Return what matters of a log, in a line: its last error, or its last meaningful lines."""
    if line := error_line(text):
        return line[:MAX_LINE_CHARS]
    lines = _meaningful(text.splitlines())
    return " | ".join(line[:MAX_LINE_CHARS] for line in lines[-number:])


@dataclass(eq=False)
class Diagnosis(Policy):
    """Examines jobs that run although none of their workers comes.

    Parameters
    ----------
    *shared
        Those of `Policy`.
    output : JobOutput
    death_timeout : float or None
        Seconds after which a worker that finds no scheduler gives up.
    origins : callable, optional
        Takes a text, and returns where keys in it are set, if not in the lab's files.

    Attributes
    ----------
    causes : list of str
        What was found, the last time that a job had no worker.
    """

    output: JobOutput
    death_timeout: float | None
    origins: Callable[[str], str] = lambda _text: ""
    causes: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._patience = DEATH_TIMEOUT_FRACTION * (self.death_timeout or 60.0)

    def tick(self) -> None:
        """Report jobs that have run for long without a worker. To be called now and then."""
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
        words = f"{words} {formatting.format_duration(ran)} without a worker."
        self.messages.warning(f"{words} {self.examine(first)}")

    def examine(self, job: TrackedJob) -> str:
        """Return a line: what matters in a job's log, where it is, and what it means, if known."""
        output = self.output
        forms, paths = output.patterns, output.files(job.job_id)
        text, path = "", ""
        for candidate in reversed(paths):  # errors are last
            if text := output_files.tail(candidate, TAIL_BYTES):
                path = candidate
                break
        if text:
            line = f"Its log {path} ends with: {last_lines(text)}"
            address = self.pool.scheduler.address
            if cause := likely_cause(text, address, output.python, output.shebang):
                places = self.origins(cause)
                line += f" - likely, {cause}" + (f"; {places}" if places else "")
        else:
            line = _without_text(job.job_id, forms, paths)
        self.causes = [line] if line else []
        return f"{line}." if line else ""


def _without_text(job_id: str, forms: list[str], paths: list[str]) -> str:
    """Explain why nothing of a job's output is shown."""
    if not forms:
        return "Its output is kept nowhere: log-directory is not set in jobqueue.yaml"
    there = [path for path in paths if os.path.exists(path)]  # noqa: PTH110 - a str
    if output_files.NOWHERE in paths:
        where = output_files.NOWHERE
        return f"Its output goes to {where}, as job-extra-directives in jobqueue.yaml say"
    if there:
        return f"It has printed nothing ({there[-1]})"
    where = output_files.show_pattern(forms[-1], job_id)
    return f"Its output should be in {where}, but there is no such file"
