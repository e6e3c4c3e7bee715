"""What the rest of the toolkit knows about a batch system.

Each batch system is one `BatchSystem` in a file of its own; nothing else in the toolkit asks for
its name. Standard library only, so that the description can be read anywhere.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from .description import Description
from .parsing import MAX_WALLTIME_S, clock_seconds
from .state import JobStatus


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
        """One hour as most people write it."""
        return self.format_walltime(3600) if self.walltime_key else ""

    def parse_walltime(self, text: str) -> float:
        """Return a walltime's seconds.

        Raises
        ------
        ValueError
            This batch system can't read it, or it is zero or more than 68 years; the text is one
            line.
        """
        if self.walltime_key is None:
            raise ValueError(f"walltime {text!r} means nothing here: jobs have none")
        text, forms = str(text).strip(), self.walltime_forms
        match = next(filter(None, (re.fullmatch(it, text) for it in self.walltime_patterns)), None)
        # \d is a digit of any script; Python itself refuses thousands of them.
        if match is None or not text.isascii() or len(text) > 100:
            raise ValueError(f"walltime {text!r} is not one that {self.label} reads: {forms}")
        if not (seconds := clock_seconds(match)):
            raise ValueError(f"walltime {text!r} is no time at all: {forms}")
        if seconds > MAX_WALLTIME_S:
            raise ValueError(f"walltime {text!r} is more than 68 years: {forms}")
        return seconds

    def format_walltime(self, seconds: float) -> str:
        """Return a number of seconds as a walltime that this batch system reads."""
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
        """Return argument lists of commands that know how jobs ended which the list has forgotten.

        There are none if there is no accounting.
        """
        return []

    def parse_accounting(self, stdout: str) -> list[JobStatus]:
        """Return the jobs that one of these commands lists."""
        return []

    def list_extra(self, extra: Sequence[str]) -> list[str]:
        """Return those arguments which a site adds to the cancel command that a list needs, too."""
        return []

    def where(
        self, submit: Sequence[str], directives: object, environ: Mapping[str, str]
    ) -> list[str]:
        """Return arguments that tell the cancel command to which of several clusters jobs go.

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
        """Return arguments of the submit command that keep a job off these nodes, if there are any.

        `directives` is the value of ``job-extra-directives``.
        """
        return []

    def capacity_command(self, queue: str | None) -> list[str]:
        """Return the argument list of the command that shows a queue's size; None: the default."""
        return []

    def parse_capacity(self, stdout: str) -> int:
        """Return how many CPUs a queue has."""
        return 0

    def parse_settings(self, stdout: str) -> dict[str, str]:
        """Return the version, and those settings that decide how soon a job starts."""
        version = re.search(self.version_pattern, stdout) if self.version_pattern else None
        return {"version": version[1]} if version else {}

    def reading(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the commands that list and cancel jobs.

        It lacks the variables by which users change what these commands print. Their language is
        fixed as well: error messages are translated into it, and Perl complains about a language
        that the computer does not have.
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
        """Return the names that a user gives to jobs in directives or in the submit command."""
        text = " ".join(map(str, words))
        found = [environ[name] for name in self.name_variables if environ.get(name)]
        for option in self.name_options:
            end = r"(?:=|\s+)" if option.startswith("--") else r"\s*"
            found += re.findall(rf"(?:^|\s){option}{end}[\"']?([^\s\"']+)", text)
        return found

    def explain(self, reason: str) -> str:
        """Return a job's reason in plain words, followed by the batch system's own word.

        A reason that the description does not know is returned as it is.
        """
        # "ReqNodeNotAvail, UnavailableNodes:node[1-3]": the word, then details.
        word, _, details = reason.partition(",")
        for pattern, words in self.reasons.items():
            if fnmatchcase(word.strip(), pattern):
                own = f"{word.strip()},{details}" if details else word.strip()
                return f"{words} ({own})"
        return reason

    def advice(self, refusal: str) -> str:
        """Return what to change when a job was refused with these words; empty if not known."""
        for words, advice in self.refusals.items():
            if words.lower() in refusal.lower():
                return advice
        return ""

    def means_no_such_node(self, refusal: str) -> bool:
        """Return whether these words refuse a job because no node could run it."""
        return any(part in refusal.lower() for part in self.no_node_messages)

    def means_already_gone(self, lines: Sequence[str]) -> bool:
        """Return whether a command failed only because jobs are over: each line says so."""
        return bool(lines) and all(
            any(part in line for part in self.gone_messages) for line in lines
        )

    def directives_problem(self, value: object) -> str:
        """Return what is wrong with a value of ``job-extra-directives``, or an empty text."""
        listed = self.directives_type is list and isinstance(value, tuple | set)
        if listed or isinstance(value, self.directives_type):
            return ""
        forms: dict[type, str] = {list: "a list of options", dict: "a mapping of keys to values"}
        return f"must be {forms[self.directives_type]} for {self.label}, not {value!r}"

    def unmarked(self, directives: Sequence[Any] | Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        """Return extra directives without the mark that the job script puts before each.

        ``#SBATCH --exclusive`` is a line of a job script; after another mark it would be a comment.
        """
        if self.directives_type is dict:
            return dict(directives)
        mark = re.compile(rf"\A\s*{re.escape(self.directive)}\s+")
        return [mark.sub("", it, count=1) if isinstance(it, str) else it for it in directives]

    def no_option_in(self, directives: Sequence[Any] | Mapping[str, Any]) -> str:
        """Return a warning if one of the extra directives is no option, or an empty text."""
        for it in self.unmarked(directives) if self.directive else []:
            if (line := str(it).lstrip()).startswith("#"):
                return f"{str(it)!r} is a comment to {self.label}, which does not read it"
            if line and not line.startswith("-"):
                return f"{str(it)!r} is no option of {self.submit}: write its dashes, too"
        return ""
