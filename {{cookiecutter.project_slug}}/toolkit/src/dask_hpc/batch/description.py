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
    """The plain data in the description of a batch system.

    Parameters
    ----------
    name : str
        As in the configuration, ``dask-hpc: batch-system: slurm``.

    Attributes
    ----------
    label : str
        The name as shown to users.
    cluster_class : str or None
        Name of the class in `dask_hpc` (the same as in dask-jobqueue); None if workers run here.
    account_key, queue_key : str or None
        Keys of its section of ``jobqueue.yaml`` for the account and the queue.
    queue_word : str
        The batch system's word for a queue.
    required : tuple of str
        Keys of its section that each job needs in addition to cores and memory.
    not_requested : mapping
        Resources that dask-jobqueue does not request by itself: the key that requests one → "cores"
        or "memory", a comma, and how to write the key.
    directive : str
        The beginning of a directive in the job script; empty if the script has no directives, but
        is a list of ``key = value``.
    variables_before_script : str
        Prefix of environment variables that override the job script's own options.
    directives_type : type
        Type of the key ``job-extra-directives``: list, or dict.
    log_key : str or None
        Key of its section for the folder of jobs' output; None if dask-jobqueue has none.
    log_names : tuple of str
        Names of a job's output files in that folder, as set by dask-jobqueue, with ``{name}`` for
        the job's name, ``{job}`` for its id, and ``*`` for what is not known in advance.
    log_user : str
        Placeholder for the user's name in paths of a job's output; empty if there is none.
    submit, jobs_command_hint, queues_command_hint, reason_command_hint, cancel : str
        Commands for users: to submit a job script, list their jobs, list the queues (empty if there
        is no such command), show what a job is waiting for (empty if the list shows it), and cancel
        a job. The last two take a job id.
    cores_in_script : tuple of str
        Regular expressions, each with a group that is a number; a job's cores are the product of
        the numbers found in its script.
    job_id_pattern : str
        Regular expression with a group ``job_id`` that finds the id in the output of `submit`.
    job_id_variables : tuple of str
        Environment variables with the job's id in each of its processes; the first one that is set
        applies.
    job_id_line : str
        A line of shell code that sets one of them; empty if the batch system does so.
    walltime_key : str or None
        Key of its section for the walltime; None if jobs have no such limit.
    walltime_forms : str
        A one-line description of the format of a walltime.
    walltime_patterns : tuple of str
        The same as regular expressions with groups from ``d``, ``h``, ``m``, and ``s``: days,
        hours, minutes, and seconds.
    reading_variables : tuple of str
        Patterns of environment variables that change the output or behavior of commands that list
        and cancel jobs. We remove them when running these commands.
    job_variables : tuple of str
        Patterns of environment variables of a job that affect jobs submitted from within it.
    unwanted_variables : tuple of str
        Environment variables to remove for the submit command: they would override the job
        script's output files, or make the command wait for the job's end.
    inside_variables : tuple of str
        Environment variables that are set inside a job.
    name_options, name_variables : tuple of str
        Options and environment variables of the submit command that override the job name set by
        dask-jobqueue.
    settings_command : tuple of str
        Command that shows the site's settings; empty if there is none.
    version_pattern : str
        Regular expression with a group for the version, in the output of that command.
    gone_messages : tuple of str
        Substrings of messages that a job has ended or is forgotten, which are not failures.
    no_node_messages : tuple of str
        Substrings of messages that reject a job because no node could run it.
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
        """The batch system's names of states → `JobState`, from ``words/NAME.toml``."""
        return self._states("states")

    @cached_property
    def ends(self) -> Mapping[str, JobState]:
        """The batch system's reasons for failed jobs → `JobState`, from the same file."""
        return self._states("ends")

    def _states(self, table: str) -> dict[str, JobState]:
        return {word: JobState(state) for word, state in self._words.get(table, {}).items()}

    @property
    def reasons(self) -> Mapping[str, str]:
        """The batch system's reasons → plain English, from the same file.

        A key may be a pattern (``QOS*Limit``); the first match applies.
        """
        return self._words.get("reasons", {})

    @property
    def refusals(self) -> Mapping[str, str]:
        """Substrings of messages that reject a job → what to change, from the same file."""
        return self._words.get("refusals", {})

    @property
    def output(self) -> Mapping[str, Any]:
        """The directives that set a job's output files (`output_files`), from the same file."""
        return self._words.get("output", {})

    @property
    def section(self) -> str | None:
        """Its section of ``jobqueue.yaml``, which has the same name; None without jobs."""
        return self.name if self.cluster_class else None
