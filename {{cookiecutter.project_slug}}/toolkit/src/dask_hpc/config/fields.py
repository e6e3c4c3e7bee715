"""The keys of ``jobqueue.yaml``: what each one holds, and what else follows from that.

Arguments, files, profiles, `lint`, the JSON Schema for editors and the reference page know the keys
from here. A check returns what is wrong in words that follow the key's name, or an empty text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import batch as batch_systems
from . import validators

SECTION = "dask-hpc"


@dataclass(frozen=True)
class Kind:
    """What a key may hold.

    Attributes
    ----------
    check : callable
        What no job can have.
    schema : mapping
        The same for editors, in the words of JSON Schema.
    is_shell : bool
        Whether it holds lines of shell. Everything else becomes a part of one line of the script.
    """

    check: Callable[[Any], str]
    schema: Mapping[str, Any]
    is_shell: bool = False

    @property
    def is_text(self) -> bool:
        """Whether YAML should leave its scalars as they are typed."""
        return self.schema["type"] in ("string", "array")


@dataclass(frozen=True)
class Field:
    """A key.

    Attributes
    ----------
    key : str
    kind : Kind
    goes_to : str
        Who reads it in the end.
    doc : str
        One line for the reference page and for editors.
    default
        Ours; None for dask-jobqueue's.
    may_be_blank : bool
        Whether an empty text means null. The job script would hold the text as it is, and the line
        would be wrong.
    never_null : bool
        Whether null in a profile counts as left out, since no job can do without.
    """

    key: str
    kind: Kind
    goes_to: str
    doc: str
    default: Any = None
    may_be_blank: bool = False
    never_null: bool = False

    def problem(self, value: Any) -> str:
        """Return why no job can have this value."""
        line = self.kind.check(value)
        return line or ("" if self.kind.is_shell else validators.check_single_line(value))


def _check_batch_system(value: Any) -> str:
    try:
        batch_systems.get(value)
    except KeyError as error:
        return str(error.args[0])
    return ""


# fmt: off
# The schemas are stricter than the checks in one thing: a text is to be in quotes if YAML reads it
# as something else, even where the job script would be the same, as for `account: 123`.
_COUNT = {"type": "integer", "minimum": 1, "maximum": validators.MAX_CORES}
_MEMORY = {"type": "string", "pattern": r"^\s*[0-9.]+\s*[A-Za-z]+\s*$", "examples": ["16 GiB"]}
_SECONDS = {"type": ["number", "string"], "exclusiveMinimum": 0, "minLength": 1}
_INTERFACE = {"type": "string", "pattern": f"^({validators.INTERFACE.pattern})?$"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_WORDS = {"type": "array", "items": {"type": ["string", "number"]}}
_METHOD = {"type": "string", "enum": list(validators.START_METHODS)}
_SYSTEM = {"type": "string", "enum": list(batch_systems.BATCH_SYSTEMS)}

TEXT = Kind(validators.check_text, {"type": "string"})
COUNT = Kind(validators.check_count, _COUNT)
BYTES = Kind(validators.check_bytes, {"type": "integer", "minimum": 1})
MEMORY = Kind(validators.check_memory_amount, _MEMORY)
SECONDS = Kind(validators.check_seconds, _SECONDS)
INTERFACE = Kind(validators.check_interface, _INTERFACE)
FOLDER = Kind(validators.check_folder, {"type": "string", "minLength": 1})
TEXTS = Kind(validators.check_texts, _TEXTS)
SHELL = Kind(validators.check_texts, _TEXTS, is_shell=True)
WORDS = Kind(validators.check_words, _WORDS)
DIRECTIVES = Kind(validators.check_directives, _TEXTS)  # a mapping for HTCondor
OPTIONS = Kind(validators.check_scheduler_options, {"type": "object"})
FLAG = Kind(validators.check_flag, {"type": "boolean"})
DURATION = Kind(validators.check_duration, {"type": "string", "examples": ["30 minutes"]})
TIMES = Kind(validators.check_non_negative_int, {"type": "integer", "minimum": 0})
START_METHOD = Kind(validators.check_start_method, _METHOD)
BATCH_SYSTEM = Kind(_check_batch_system, _SYSTEM)

# Which section of `jobqueue` has which key, dask-jobqueue's own file says, and the default.
_FIELDS = (
    Field("account", TEXT, "job script", "What jobs are charged to.", may_be_blank=True),
    Field("project", TEXT, "job script", "What jobs are charged to.", may_be_blank=True),
    Field("queue", TEXT, "job script", "The queue in which jobs wait.", may_be_blank=True),
    Field("walltime", TEXT, "job script", "How long a job may run, as the batch system writes it."),
    Field("name", TEXT, "job script", "What the batch system calls the jobs.", may_be_blank=True),
    Field("cores", COUNT, "job script", "CPU cores of one job, on one node.", never_null=True),
    Field("processes", COUNT, "workers",
          "How many workers share a job's cores and memory; it has to divide cores.",
          "the largest number up to 8 that divides cores"),
    Field("memory", MEMORY, "job script", 'Memory of one job and its unit, as in "16 GiB".',
          never_null=True),
    Field("disk", MEMORY, "job script", 'Disk space of one job and its unit, as in "10 GiB".'),
    Field("job-cpu", COUNT, "job script", "Cores to ask for, if not as many as cores says."),
    Field("job-mem", TEXT, "job script",
          "Memory to ask for in Slurm's form, as in 16G, if not as much as memory says.",
          may_be_blank=True),
    Field("ncpus", COUNT, "job script", "Cores to ask for, if not as many as cores says."),
    Field("mem", BYTES, "job script", "Bytes to ask for, if not as many as memory says."),
    Field("lsf-units", TEXT, "job script", "The unit in which the site's LSF counts memory."),
    Field("resource-spec", TEXT, "job script",
          "Resources to ask for, in place of what cores and memory say.", may_be_blank=True),
    Field("memory-per-core-property-name", TEXT, "job script",
          "OAR's property for the memory of a core; not_applicable where there is none."),
    Field("interface", INTERFACE, "workers", "Network interface of the workers, such as ib0.",
          may_be_blank=True),
    Field("scheduler-options", OPTIONS, "Dask's scheduler",
          "Arguments of Dask's scheduler: dashboard_address, interface, port, and so on."),
    Field("death-timeout", SECONDS, "workers",
          "Seconds after which a worker that finds no scheduler ends."),
    Field("log-directory", FOLDER, "job script", "Shared folder for the jobs' output."),
    Field("local-directory", FOLDER, "workers", "The node's own folder for what exceeds memory."),
    Field("shared-temp-directory", FOLDER, "workers",
          "Shared folder for the keys of encrypted connections.", "the log-directory"),
    Field("shebang", TEXT, "job script", "The first line of the job script.", never_null=True),
    Field("python", TEXT, "workers", "The workers' Python.", "the Python that creates the cluster"),
    Field("worker-command", TEXT, "workers", "The Python module that starts the workers.",
          never_null=True),
    Field("worker-extra-args", WORDS, "workers", "Further options of dask worker."),
    Field("job-script-prologue", SHELL, "job script", "Lines of shell before the workers start."),
    Field("job-extra-directives", DIRECTIVES, "job script",
          "Further options for the batch system: a list, for HTCondor a mapping."),
    Field("job-directives-skip", TEXTS, "job script",
          "Lines for the batch system that contain one of these texts are left out."),
    Field("use-stdin", FLAG, "submit command", "Whether bsub reads the job script as its input."),
    Field("submit-command-extra", WORDS, "submit command", "Further options of condor_submit."),
    Field("cancel-command-extra", WORDS, "cancel command", "Further options of condor_rm."),
)
_OWN_FIELDS = (
    Field("batch-system", BATCH_SYSTEM, "get_cluster",
          "The batch system, or none for the computer where Python runs.", "none"),
    Field("idle-timeout", DURATION, "clusters",
          'How long a cluster lasts without work, as in "30 minutes"; null: as long as Python.'),
    Field("max-resubmits", TIMES, "clusters",
          "How often in a row a job that ends unexpectedly is submitted again; 0: never.", 5),
    Field("worker-start-method", START_METHOD, "workers",
          "How the workers of jobs start: forkserver, or spawn, Dask's own.", "forkserver"),
    Field("worker-dashboards", FLAG, "workers",
          "Whether each worker has web pages of its own.", False),
)
# fmt: on
FIELDS = {field.key: field for field in _FIELDS}
OWN_FIELDS = {field.key: field for field in _OWN_FIELDS}  # the section `dask-hpc`

# --- other names ----------------------------------------------------------------------------------

OWN_RENAMED = {"scheduler": "batch-system", "resubmit": "max-resubmits"}
# dask-jobqueue's old names, which it still reads. It warns about them, if it does, at every cluster
# and every job.
RENAMED = {
    "extra": "worker-extra-args",
    "env-extra": "job-script-prologue",
    "job-extra": "job-extra-directives",
    "header-skip": "job-directives-skip",
}
# What the batch systems' own options are called, where a key of another name stands for it.
BATCH_OPTION_ALIASES = {
    "partition": "queue",
    "time": "walltime",
    "mem": "memory",
    "ncpus": "cores",
    "cpus-per-task": "cores",
    "ntasks": "processes",
    "output": "log-directory",
}


def renamed(batch: batch_systems.BatchSystem | None) -> dict[str, str]:
    """Return the old names of keys, and the new ones."""
    has_account = batch is not None and batch.account_key == "account"
    return RENAMED | ({"project": "account"} if has_account else {})


def key_of(argument: str) -> str:
    """Return the key that an argument of the cluster classes stands for."""
    # A cluster has a name of its own, which no key stands for.
    names = {"job_name": "name", "name": "cluster-name"}
    return names.get(argument, argument.replace("_", "-"))


def argument_of(key: str) -> str:
    """Return the argument that stands for a key."""
    names = {"name": "job_name", "cluster-name": "name"}
    return names.get(key, key.replace("-", "_"))


def is_blank(key: str, value: Any) -> bool:
    """Return whether this is an empty text, which means the same as null."""
    field = FIELDS.get(key)
    if field is None or not field.may_be_blank or not isinstance(value, str):
        return False
    return not (value if field.kind is INTERFACE else value.strip())
