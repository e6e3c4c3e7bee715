"""What the rest of the toolkit knows about a batch system.

Each batch system is one `Scheduler` in a file of its own; nothing else in the toolkit asks for its
name. Standard library only, so that the description can be read anywhere.
"""

from __future__ import annotations

import enum
import glob
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType


class JobState(enum.StrEnum):
    """Where a job is in its life, in one vocabulary for all batch systems."""

    SUBMITTED = "submitted"  # the batch system took it; nothing else is known yet
    PENDING = "pending"
    RUNNING = "running"
    ENDING = "ending"  # how it ended shows only in the next state
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"  # its walltime was over
    NODE_FAIL = "node-fail"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out-of-memory"
    GONE = "gone"  # no longer listed: it ended, how is not known
    UNKNOWN = "unknown"  # a state that the description does not name

    @property
    def ended(self) -> bool:
        """Whether a job in this state is over."""
        return self not in _ALIVE


_ALIVE = {
    JobState.SUBMITTED,
    JobState.PENDING,
    JobState.RUNNING,
    JobState.ENDING,
    JobState.UNKNOWN,
}


@dataclass(frozen=True)
class JobStatus:
    """One job as the batch system lists it.

    Attributes
    ----------
    job : str
        Its id.
    state : JobState
    reason : str
        Why it is in that state, in the batch system's own word; empty if it gives none.
    node : str
        Where it runs or ran; empty before it starts.
    elapsed, left : float or None
        Seconds that it has run and may still run, when it was listed; None: the list does not say,
        or there is no limit.
    name : str
        The job's; empty: the list does not say. Two statuses that differ only in this or in the
        times are the same.
    """

    job: str
    state: JobState
    reason: str = ""
    node: str = ""
    elapsed: float | None = field(default=None, compare=False)
    left: float | None = field(default=None, compare=False)
    name: str = field(default="", compare=False)


# Of several states, the one that counts for a job of several parts, an array's tasks: it runs while
# one of them does, and is over when all are.
_COUNTS = (
    JobState.RUNNING,
    JobState.ENDING,
    JobState.PENDING,
    JobState.SUBMITTED,
    JobState.UNKNOWN,
    JobState.CANCELLED,
)


def merged(parts: Iterable[JobStatus]) -> list[JobStatus]:
    """One status for each job; parts of a job, such as an array's tasks, have its id.

    The times are those of the part that ends first.
    """
    jobs: dict[str, list[JobStatus]] = {}
    for part in parts:
        jobs.setdefault(part.job, []).append(part)
    return [_merged(found) if len(found) > 1 else found[0] for found in jobs.values()]


def _merged(parts: list[JobStatus]) -> JobStatus:
    def rank(part: JobStatus) -> int:
        if part.state in _COUNTS:
            return _COUNTS.index(part.state)
        return len(_COUNTS) + (part.state is JobState.DONE)  # a failure tells more

    first = min(parts, key=rank)
    same = [part for part in parts if part.state is first.state]
    nodes = dict.fromkeys(part.node for part in same if part.node)
    soonest = min(same, key=lambda part: math.inf if part.left is None else part.left)
    return replace(first, node=",".join(nodes), elapsed=soonest.elapsed, left=soonest.left)


def _no_command(*_: object) -> list[str]:
    return []


def _no_commands(*_: object) -> list[list[str]]:
    return []


def _no_jobs(_: str) -> list[JobStatus]:
    return []


def _no_limit(_: str) -> int:
    return 0


def _no_settings(_: str) -> dict[str, str]:
    return {}


def _no_walltime(text: str) -> float:
    raise ValueError(f"walltime {text!r} means nothing here: jobs have none")


# Batch systems count seconds in 32 bits; what Slurm makes of more is not what was meant.
LONGEST = 2**31 - 1


def read_walltime(text: str, patterns: Sequence[re.Pattern], label: str, forms: str) -> float:
    """Seconds in a walltime that one of the patterns matches as a whole.

    Parameters
    ----------
    text : str
    patterns : sequence of re.Pattern
        With groups out of ``d``, ``h``, ``m`` and ``s``: whole days, hours, minutes and seconds.
    label, forms : str
        Whose walltime it is and how one is written, for the message.

    Raises
    ------
    ValueError
        None of them matches, or it is no time at all, or more than 68 years; one line.
    """
    text = str(text).strip()
    match = next(filter(None, (pattern.fullmatch(text) for pattern in patterns)), None)
    # \d is a digit of any script; Python itself refuses thousands of them.
    if match is None or not text.isascii() or len(text) > 100:
        raise ValueError(f"walltime {text!r} is not one that {label} reads: {forms}")
    part = {name: int(value) for name, value in match.groupdict().items() if value}
    hours = 24 * part.get("d", 0) + part.get("h", 0)
    seconds = 3600 * hours + 60 * part.get("m", 0) + part.get("s", 0)
    if not seconds:
        raise ValueError(f"walltime {text!r} is no time at all: {forms}")
    if seconds > LONGEST:
        raise ValueError(f"walltime {text!r} is more than 68 years: {forms}")
    return seconds


_DURATION = re.compile(r"(?:(?:(?P<d>\d+)-)?(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+)", re.ASCII)


def read_duration(text: str) -> float | None:
    """Seconds in a time that a list shows, ``D-HH:MM:SS`` or its end; None if it is no time."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(value or 0) for value in match.groups())
    return float(86400 * days + 3600 * hours + 60 * minutes + seconds)


def since(text: str, form: str) -> float | None:
    """Seconds since a moment that a list shows; None if it is no time, or not yet.

    The list has no time zone: it is this computer's, as people read it.
    """
    try:
        passed = time.time() - time.mktime(time.strptime(text.strip(), form))
    except (ValueError, OverflowError):
        return None
    return passed if passed >= 0 else None


def _without(environ: Mapping[str, str], patterns: Sequence[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if not any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
    }


@dataclass(frozen=True)
class Scheduler:
    """The description of a batch system.

    Attributes
    ----------
    name : str
        As in the configuration, ``dask-hpc: scheduler: slurm``.
    label : str
        As people write it.
    cluster_class : str or None
        Name of the class in `dask_hpc` (the same as in dask-jobqueue); None: workers run here.
    section : str or None
        Its section of ``jobqueue.yaml``.
    account_key, queue_key : str or None
        The keys there for who pays and where jobs wait.
    queue_word : str
        What its users call a queue.
    required : tuple of str
        Keys of that section, beside cores and memory, that a job can't do without.
    unasked : mapping
        What dask-jobqueue does not ask for by itself and each job needs: key that asks → "cores" or
        "memory", a comma, and how it is written.
    directive : str
        What a line of the job script for the batch system begins with. Empty: there are no such
        lines; the script is a list of ``key = value``.
    variables_before_script : str
        How the names of variables begin that go before the job script's own options.
    directives_type : type
        What the key ``job-extra-directives`` holds: list, or dict.
    log_key : str or None
        The key there for the folder where jobs' output goes; None: dask-jobqueue uses none.
    log_names : tuple of str
        Names of a job's files there, as dask-jobqueue has the batch system write them, with
        ``{name}`` (the job's) and ``{job}`` (its id). A ``*`` is what can't be known before.
    log_user : str
        What stands for the user's name in paths of a job's output; empty: nothing does.
    submit, see_jobs, see_queues, see_reason, cancel : str
        What people type to submit a job script, see their jobs, the queues (empty: there is no such
        command) and what a job waits for (empty: the list says it), and to cancel a job. The last
        two want a job's id after them.
    cores_in_script : tuple of str
        Regular expressions, each with a group that is a number; the job's cores are their product,
        of those that are in its script.
    job_id_pattern : str
        Regular expression with a group ``job_id`` that finds the id in what `submit` prints.
    job_id_variables : tuple of str
        Variables that hold the job's id in the environment of each of its processes; the first that
        is set counts.
    job_id_line : str
        What the job has to run so that one of them is set, in its shell; empty: the batch system
        itself sets it.
    walltime_key : str or None
        The key there for how long a job may run; None: jobs have no such limit.
    walltime_forms, walltime_example : str
        How one is written, in one line, and one hour as most people write it.
    parse_walltime : callable
        Text → seconds; ValueError, one line, for what this batch system can't read.
    list_command, cancel_command : callable
        Job ids → the command's argument list, for all of them in one call.
    accounting_commands : callable
        Job ids → argument lists of commands that know how ended jobs ended, which `list_command`
        may have forgotten; empty: there are none.
    list_extra : callable
        Arguments that a site adds to the cancel command → those that the list command needs, too.
    where : callable
        The submit command's words, the value of ``job-extra-directives`` and the environment →
        arguments that tell the cancel command, and by `list_extra` the others, to which of several
        clusters jobs are submitted.
    reading_variables : tuple of str
        Patterns of environment variables that change what the commands that list and cancel say or
        do. They are not for the commands that are run here.
    job_variables : tuple of str
        Patterns of those that a job has, and that change jobs submitted from within it.
    inside_variables : tuple of str
        Those that tell that a process is in a job.
    name_options, name_variables : tuple of str
        Options and environment variables of the submit command that name a job otherwise than
        dask-jobqueue does.
    leave_out : callable
        Nodes' names, and the value of ``job-extra-directives`` → arguments of the submit command
        with which a job runs on none of the nodes; empty: there is no such thing.
    capacity_command : callable
        Queue's name, or None for the default one → argument list.
    settings_command : tuple of str
        Shows how the site has set it up; empty: there is no such command.
    parse_list, parse_accounting, parse_capacity, parse_settings : callable
        What these commands print → list of `JobStatus` (twice), number of CPUs of the queue, and
        the version, with those settings that decide how soon a job starts.
    states : mapping
        The batch system's words for states → `JobState`.
    reasons : mapping
        Its words for reasons → plain ones. A key may be a pattern (``QOS*Limit``); the first match
        counts.
    refusals : mapping
        Part of what it says when it refuses a job → what to change.
    not_there : tuple of str
        Parts of the messages by which it says that a job is over or forgotten; no failure.
    nowhere : tuple of str
        Parts of those by which it refuses a job that would not run on any node.
    """

    name: str
    label: str
    cluster_class: str | None = None
    section: str | None = None
    account_key: str | None = None
    queue_key: str | None = None
    queue_word: str = "queue"
    required: tuple[str, ...] = ()
    unasked: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    log_key: str | None = "log-directory"
    log_names: tuple[str, ...] = ()
    log_user: str = ""
    directive: str = ""
    directives_type: type = list
    variables_before_script: str = ""
    submit: str = ""
    see_jobs: str = ""
    see_queues: str = ""
    see_reason: str = ""
    cancel: str = ""
    cores_in_script: tuple[str, ...] = ()
    job_id_pattern: str = r"(?P<job_id>\d+)"
    job_id_variables: tuple[str, ...] = ()
    job_id_line: str = ""
    walltime_key: str | None = None
    walltime_forms: str = ""
    walltime_example: str = ""
    parse_walltime: Callable[[str], float] = _no_walltime
    list_command: Callable[[Sequence[str]], list[str]] = _no_command
    cancel_command: Callable[[Sequence[str]], list[str]] = _no_command
    accounting_commands: Callable[[Sequence[str]], list[list[str]]] = _no_commands
    list_extra: Callable[[Sequence[str]], list[str]] = _no_command
    where: Callable[[Sequence[str], object, Mapping[str, str]], list[str]] = _no_command
    reading_variables: tuple[str, ...] = ()
    job_variables: tuple[str, ...] = ()
    inside_variables: tuple[str, ...] = ()
    name_options: tuple[str, ...] = ()
    name_variables: tuple[str, ...] = ()
    leave_out: Callable[[Sequence[str], Sequence[str]], list[str]] = _no_command
    capacity_command: Callable[[str | None], list[str]] = _no_command
    settings_command: tuple[str, ...] = ()
    parse_list: Callable[[str], list[JobStatus]] = _no_jobs
    parse_accounting: Callable[[str], list[JobStatus]] = _no_jobs
    parse_capacity: Callable[[str], int] = _no_limit
    parse_settings: Callable[[str], dict[str, str]] = _no_settings
    states: Mapping[str, JobState] = field(default_factory=lambda: MappingProxyType({}))
    reasons: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refusals: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    not_there: tuple[str, ...] = ()
    nowhere: tuple[str, ...] = ()

    def reading(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of commands that list and cancel: what they say is not the user's choice.

        Nor is their language, in which errors are told, and of which Perl complains where the
        computer does not have it.
        """
        kept = _without(environ, (*self.reading_variables, "LANGUAGE", "LC_*"))
        return {**kept, "LC_ALL": "C"}

    def submitting(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of the submit command: the user's, without what an outer job has set.

        It may become the job's own, and what the outer job has asked for would be asked for there.
        """
        if not any(environ.get(name) for name in self.inside_variables):
            return dict(environ)
        return _without(environ, self.job_variables)

    def own_names(self, words: Iterable[str], environ: Mapping[str, str]) -> list[str]:
        """Names that a user gives to jobs, among the words of directives and submit command."""
        text = " ".join(map(str, words))
        found = [environ[name] for name in self.name_variables if environ.get(name)]
        for option in self.name_options:
            end = r"(?:=|\s+)" if option.startswith("--") else r"\s*"
            found += re.findall(rf"(?:^|\s){option}{end}[\"']?([^\s\"']+)", text)
        return found

    def explain(self, reason: str) -> str:
        """A job's reason in plain words, the batch system's own word after them.

        Words that the description does not know are returned as they are.
        """
        # "ReqNodeNotAvail, UnavailableNodes:node[1-3]": the word, then details.
        word, _, details = reason.partition(",")
        for pattern, words in self.reasons.items():
            if fnmatchcase(word.strip(), pattern):
                own = f"{word.strip()},{details}" if details else word.strip()
                return f"{words} ({own})"
        return reason

    def advice(self, refusal: str) -> str:
        """What to change when a job was refused with these words; empty if not known."""
        for words, advice in self.refusals.items():
            if words.lower() in refusal.lower():
                return advice
        return ""

    def says_nowhere(self, refusal: str) -> bool:
        """Whether it refuses a job since there is no node for it."""
        return any(part in refusal.lower() for part in self.nowhere)

    def says_over(self, lines: Sequence[str]) -> bool:
        """Whether a command failed only because jobs are over: each line says so."""
        return bool(lines) and all(any(part in line for part in self.not_there) for line in lines)

    def log_files(self, directory: str | None, job_name: str | None, job_id: str) -> list[str]:
        """Paths of the files that hold what a job prints, errors last; empty if not known.

        Parameters
        ----------
        directory : str or None
            The value of `log_key`.
        job_name : str or None
            As the batch system knows it.
        job_id : str
        """
        if not directory:
            return []
        name = job_name or "worker"
        if not any("*" in form for form in self.log_names):
            return [f"{directory}/{form.format(name=name, job=job_id)}" for form in self.log_names]
        # It can't be known before.
        name, job = glob.escape(name), glob.escape(job_id)
        patterns = [form.format(name=name, job=job) for form in self.log_names]
        found = [sorted(glob.glob(p, root_dir=directory)) for p in patterns]  # noqa: PTH207
        return [f"{directory}/{file}" for files in found for file in files]

    def directives_problem(self, value: object) -> str:
        """What is wrong with a value of the key ``job-extra-directives``; empty if nothing is."""
        listed = self.directives_type is list and isinstance(value, tuple | set)
        if listed or isinstance(value, self.directives_type):
            return ""
        form = (
            "a mapping of keys to values" if self.directives_type is dict else "a list of options"
        )
        return f"must be {form} for {self.label}, not {value!r}"

    def unmarked(self, directives: Sequence | Mapping) -> list | dict:
        """Further directives without the mark that the job script puts before each.

        ``#SBATCH --exclusive`` is a line of a job script; after another mark it would be a comment.
        """
        if self.directives_type is dict:
            return dict(directives)
        mark = re.compile(rf"\A\s*{re.escape(self.directive)}\s+")
        return [mark.sub("", it, count=1) if isinstance(it, str) else it for it in directives]

    def comment_in(self, directives: Sequence | Mapping) -> str:
        """What is doubtful about further directives of which one is a comment; empty: none is."""
        for it in self.unmarked(directives) if self.directive else []:
            if str(it).lstrip().startswith("#"):
                return f"{str(it)!r} is a comment to {self.label}, which does not read it"
        return ""
