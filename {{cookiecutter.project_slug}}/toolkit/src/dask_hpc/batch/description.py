"""The data of a batch system's description, from ``systems.toml`` and ``words/NAME.toml``.

Standard library only, so that the description can be read anywhere.
"""

import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .state import JobState

WORDS = Path(__file__).with_name("words")
_SYSTEMS = tomllib.loads(Path(__file__).with_name("systems.toml").read_text(encoding="utf-8"))


class Description:
    """What is plain data in the description of a batch system.

    Parameters
    ----------
    name : str
        As in the configuration, ``dask-hpc: batch-system: slurm``.

    Attributes
    ----------
    label : str
        As people write it.
    cluster_class : str or None
        Name of the class in `dask_hpc` (the same as in dask-jobqueue); None if workers run here.
    account_key, queue_key : str or None
        The keys there for who pays and where jobs wait.
    queue_word : str
        What its users call a queue.
    required : tuple of str
        Keys of that section, beside cores and memory, that a job can't do without.
    not_requested : mapping
        What each job needs and dask-jobqueue does not request by itself: the key that requests it
        → "cores" or "memory", a comma, and how the key is written.
    directive : str
        What a line of the job script for the batch system begins with; empty if there are no such
        lines and the script is a list of ``key = value``.
    variables_before_script : str
        How the names of variables begin that go before the job script's own options.
    directives_type : type
        What the key ``job-extra-directives`` holds: list, or dict.
    log_key : str or None
        The key there for the folder where jobs' output goes; None if dask-jobqueue has none.
    log_names : tuple of str
        Names of a job's files there, as dask-jobqueue has the batch system write them, with
        ``{name}`` (the job's) and ``{job}`` (its id). A ``*`` is what can't be known beforehand.
    log_user : str
        What stands for the user's name in paths of a job's output; empty if nothing does.
    submit, jobs_command_hint, queues_command_hint, reason_command_hint, cancel : str
        What people type to submit a job script, to see their jobs, the queues (empty if there is no
        such command) and what a job waits for (empty if the list says it), and to cancel a job. The
        last two take a job's id.
    cores_in_script : tuple of str
        Regular expressions, each with a group that is a number; a job's cores are the product of
        the numbers that its script has.
    job_id_pattern : str
        Regular expression with a group ``job_id`` that finds the id in what `submit` prints.
    job_id_variables : tuple of str
        Variables that hold the job's id in the environment of each of its processes; the first that
        is set counts.
    job_id_line : str
        What the job's shell has to run so that one of them is set; empty if the batch system itself
        sets it.
    walltime_key : str or None
        The key there for how long a job may run; None if jobs have no such limit.
    walltime_forms : str
        How a walltime is written, in one line.
    walltime_patterns : tuple of str
        The same as regular expressions with groups out of ``d``, ``h``, ``m`` and ``s``: whole
        days, hours, minutes and seconds.
    reading_variables : tuple of str
        Patterns of environment variables that change what the commands that list and cancel jobs
        say or do. The commands that are run here do not get them.
    job_variables : tuple of str
        Patterns of those that a job has, and that change jobs submitted from within it.
    unwanted_variables : tuple of str
        Those that the submit command runs without: they would send a job's output elsewhere than
        the job script says, or keep the command waiting for the job's end.
    inside_variables : tuple of str
        Those that are set if a process is in a job.
    name_options, name_variables : tuple of str
        Options and environment variables of the submit command that give a job another name than
        dask-jobqueue does.
    settings_command : tuple of str
        Shows how the site has set it up; empty if there is no such command.
    version_pattern : str
        Regular expression with a group that is the version, in what that command prints.
    gone_messages : tuple of str
        Parts of the messages which say that a job is over or forgotten, and are not failures.
    no_node_messages : tuple of str
        Parts of the messages which refuse a job that could not run on any node.
    """

    label: str
    cluster_class: str | None = None
    account_key: str | None = None
    queue_key: str | None = None
    queue_word: str = "queue"
    required: tuple[str, ...] = ()
    not_requested: Mapping[str, str] = MappingProxyType({})
    log_key: str | None = None
    log_names: tuple[str, ...] = ()
    log_user: str = ""
    directive: str = ""
    directives_type: type = list
    variables_before_script: str = ""
    submit: str = ""
    jobs_command_hint: str = ""
    queues_command_hint: str = ""
    reason_command_hint: str = ""
    cancel: str = ""
    cores_in_script: tuple[str, ...] = ()
    job_id_pattern: str = r"(?P<job_id>\d+)"
    job_id_variables: tuple[str, ...] = ()
    job_id_line: str = ""
    walltime_key: str | None = None
    walltime_forms: str = ""
    walltime_patterns: tuple[str, ...] = ()
    reading_variables: tuple[str, ...] = ()
    job_variables: tuple[str, ...] = ()
    unwanted_variables: tuple[str, ...] = ()
    inside_variables: tuple[str, ...] = ()
    name_options: tuple[str, ...] = ()
    name_variables: tuple[str, ...] = ()
    settings_command: tuple[str, ...] = ()
    version_pattern: str = ""
    gone_messages: tuple[str, ...] = ()
    no_node_messages: tuple[str, ...] = ()

    def __init__(self, name: str):
        self.name = name
        for attribute, value in _SYSTEMS[name].items():
            setattr(self, attribute, tuple(value) if isinstance(value, list) else value)

    @cached_property
    def _words(self) -> dict[str, dict[str, Any]]:
        file = WORDS / f"{self.name}.toml"
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    @cached_property
    def states(self) -> Mapping[str, JobState]:
        """Its words for states → `JobState`, from ``words/NAME.toml``."""
        return self._states("states")

    @cached_property
    def ends(self) -> Mapping[str, JobState]:
        """Its words for why a job failed → `JobState`, from the same file."""
        return self._states("ends")

    def _states(self, table: str) -> dict[str, JobState]:
        return {word: JobState(state) for word, state in self._words.get(table, {}).items()}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Its words for reasons → plain ones, from the same file.

        A key may be a pattern (``QOS*Limit``); the first match counts.
        """
        return self._words.get("reasons", {})

    @property
    def refusals(self) -> Mapping[str, str]:
        """Part of what it says when it refuses a job → what to change, from the same file."""
        return self._words.get("refusals", {})

    @property
    def output(self) -> Mapping[str, Any]:
        """How its directives say where output goes (`output_files`), from the same file."""
        return self._words.get("output", {})

    @property
    def section(self) -> str | None:
        """Its section of ``jobqueue.yaml``, which has its name; None without jobs."""
        return self.name if self.cluster_class else None
