"""Base class of the descriptions of batch systems.

Each batch system is one `BatchSystem` in a file of its own; no other code in the toolkit checks a
batch system's name. This uses only the standard library, so that it can be imported anywhere.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from .description import Description
from .parsing import MAX_WALLTIME_S, clock_seconds
from .state import JobStatus, JobUse


def _without(environ: Mapping[str, str], patterns: Sequence[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if not any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
    }


class BatchSystem(Description):
    """The description of a batch system; a class for each in a file of its own.

    Parameters
    ----------
    name : str
        As in the configuration, ``dask-hpc: batch-system: slurm``.
    """

    @property
    def walltime_example(self) -> str:
        """One hour in the usual format."""
        return self.format_walltime(3600) if self.walltime_key else ""

    def parse_walltime(self, text: str) -> float:
        """Return a walltime's seconds.

        Raises
        ------
        ValueError
            The walltime is invalid for this batch system, zero, or more than 68 years.
        """
        if self.walltime_key is None:
            raise ValueError(f"walltime {text!r}: jobs of {self.label} have no walltime")
        text, forms = str(text).strip(), self.walltime_forms
        match = next(filter(None, (re.fullmatch(it, text) for it in self.walltime_patterns)), None)
        # \d is a digit of any script; Python itself refuses thousands of them.
        if match is None or not text.isascii() or len(text) > 100:
            raise ValueError(f"walltime {text!r} is not valid for {self.label}: {forms}")
        if not (seconds := clock_seconds(match)):
            raise ValueError(f"walltime {text!r} must be more than 0: {forms}")
        if seconds > MAX_WALLTIME_S:
            raise ValueError(f"walltime {text!r} must be less than 68 years: {forms}")
        return seconds

    def format_walltime(self, seconds: float) -> str:
        """Return a number of seconds as a walltime in this batch system's format."""
        minutes, rest = divmod(math.ceil(seconds), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"

    def list_command(self, job_ids: Sequence[str]) -> list[str]:
        """Return the argument list of the command that lists these jobs in one call."""
        return []

    def parse_list(self, stdout: str) -> list[JobStatus]:
        """Return the jobs that this command lists."""
        return []

    def cancel_command(self, job_ids: Sequence[str]) -> list[str]:
        """Return the argument list of the command that cancels these jobs in one call."""
        return [self.cancel, *job_ids] if self.cancel else []

    def accounting_commands(self, job_ids: Sequence[str]) -> list[list[str]]:
        """Return argument lists of commands that show how jobs ended that are no longer listed.

        Empty if there is no accounting.
        """
        return []

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        """Return the jobs that one of these commands lists."""
        return []

    def usage_command(self, job_ids: Sequence[str]) -> list[str]:
        """Return the argument list of the command that shows what these jobs have used.

        Empty if there is none.
        """
        return []

    def parse_usage(self, stdout: str) -> list[JobUse]:
        """Return what the jobs have used that this command lists."""
        return []

    def list_extra(self, extra: Sequence[str]) -> list[str]:
        """Return a site's extra arguments of the cancel command that a list command also needs."""
        return []

    def where(
        self, submit: Sequence[str], directives: object, environ: Mapping[str, str]
    ) -> list[str]:
        """Return arguments that tell the cancel command which of several clusters has the jobs.

        Parameters
        ----------
        submit : sequence of str
            The submit command's words.
        directives
            The value of ``job-extra-directives``.
        environ : mapping
        """
        return []

    def exclude_args(self, nodes: Sequence[str], directives: Sequence[str]) -> list[str]:
        """Return arguments of the submit command that exclude these nodes, if possible.

        `directives` is the value of ``job-extra-directives``.
        """
        return []

    def capacity_command(self, queue: str | None) -> list[str]:
        """Return the argument list of a command that shows the size of a queue (None: default)."""
        return []

    def parse_capacity(self, stdout: str) -> int:
        """Return how many CPUs a queue has."""
        return 0

    def parse_settings(self, stdout: str) -> dict[str, str]:
        """Return the version, and the settings that affect how soon a job starts."""
        version = re.search(self.version_pattern, stdout) if self.version_pattern else None
        return {"version": version[1]} if version else {}

    def reading(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the commands that list and cancel jobs.

        It omits variables with which users change the output of these commands. It also sets the
        language, so that error messages are not translated, and Perl does not complain about a
        language that is not installed.
        """
        kept = _without(environ, (*self.reading_variables, "LANGUAGE", "LC_*"))
        return {**kept, "LC_ALL": "C"}

    def submitting(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the submit command: the user's, without that of an outer job.

        The new job may inherit it, and would then request what the outer job had requested. Nor
        does it have the `unwanted_variables`.
        """
        inside = any(environ.get(name) for name in self.inside_variables)
        return _without(environ, self.unwanted_variables + (self.job_variables if inside else ()))

    def own_names(self, words: Iterable[str], environ: Mapping[str, str]) -> list[str]:
        """Return the job names that the user sets in directives or the submit command."""
        text = " ".join(map(str, words))
        found = [environ[name] for name in self.name_variables if environ.get(name)]
        for option in self.name_options:
            end = r"(?:=|\s+)" if option.startswith("--") else r"\s*"
            found += re.findall(rf"(?:^|\s){option}{end}[\"']?([^\s\"']+)", text)
        return found

    def explain(self, reason: str) -> str:
        """Return a job's reason in plain English, followed by the batch system's own word.

        An unknown reason is returned unchanged.
        """
        # "ReqNodeNotAvail, UnavailableNodes:node[1-3]": the reason, then details.
        word, _, details = reason.partition(",")
        for pattern, words in self.reasons.items():
            if fnmatchcase(word.strip(), pattern):
                own = f"{word.strip()},{details}" if details else word.strip()
                return f"{words} ({own})"
        return reason

    def advice(self, refusal: str) -> str:
        """Return what to change after a job was rejected with this message; empty if unknown."""
        for words, advice in self.refusals.items():
            if words.lower() in refusal.lower():
                return advice
        return ""

    def means_no_such_node(self, refusal: str) -> bool:
        """Return whether this message rejects a job because no node could run it."""
        return any(part in refusal.lower() for part in self.no_node_messages)

    def means_already_gone(self, lines: Sequence[str]) -> bool:
        """Return whether a command failed only because jobs have ended: all lines say so."""
        return bool(lines) and all(
            any(part in line for part in self.gone_messages) for line in lines
        )

    def directives_problem(self, value: object) -> str:
        """Return what is wrong with a value of ``job-extra-directives``; empty if it is valid."""
        listed = self.directives_type is list and isinstance(value, tuple | set)
        if listed or isinstance(value, self.directives_type):
            return ""
        forms: dict[type, str] = {list: "a list of options", dict: "a mapping of keys to values"}
        return f"must be {forms[self.directives_type]} for {self.label}, not {value!r}"

    def unmarked(self, directives: Sequence[Any] | Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        """Return extra directives without the prefix that the job script adds to each.

        Users may copy ``#SBATCH --exclusive`` from a job script; with a second prefix, it would be
        a comment.
        """
        if self.directives_type is dict:
            return dict(directives)
        mark = re.compile(rf"\A\s*{re.escape(self.directive)}\s+")
        return [mark.sub("", it, count=1) if isinstance(it, str) else it for it in directives]

    def no_option_in(self, directives: Sequence[Any] | Mapping[str, Any]) -> str:
        """Return a warning if one of the extra directives is not an option; otherwise empty."""
        for it in self.unmarked(directives) if self.directive else []:
            if (line := str(it).lstrip()).startswith("#"):
                return f"{str(it)!r} is a comment, which {self.label} ignores"
            if line and not line.startswith("-"):
                return f"{str(it)!r} is not an option of {self.submit}: include the dashes"
        return ""
