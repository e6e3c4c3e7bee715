"""Names of configuration keys: ours, renamed ones, and those that people mistake."""

from collections.abc import Iterator
from typing import Any

from .files import SECTION

NO_KEYS = "holds no keys; write them as `cores: 4`, one a line, without a hyphen before"
OWN_KEYS = {
    "batch-system",
    "idle-timeout",
    "max-resubmits",
    "worker-start-method",
    "worker-dashboards",
}
# Their old names.
OWN_RENAMED = {"scheduler": "batch-system", "resubmit": "max-resubmits"}
# Sections at the top of the files in config/; those of other packages are not ours to judge.
KNOWN_SECTIONS = ["jobqueue", SECTION, "distributed", "labextension"]
# dask-jobqueue's old names. It warns about them, if it does, at every cluster and every job.
RENAMED = {
    "extra": "worker-extra-args",
    "env-extra": "job-script-prologue",
    "job-extra": "job-extra-directives",
    "header-skip": "job-directives-skip",
}
# Keys whose text is written into a line of the job script as it is: empty, the line would be wrong.
MAY_BE_BLANK = {"queue", "account", "project", "name", "resource-spec", "interface", "job-mem"}
FOLDER_KEYS = ("log-directory", "local-directory", "shared-temp-directory")
# Keys of which dask-jobqueue would take a text for a list of letters.
LIST_KEYS = ("worker-extra-args", "job-script-prologue", "job-directives-skip")
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
# Keys that dask-jobqueue reads although its own file does not list them.
UNDOCUMENTED_KEYS = {"job-extra", "header-skip", "env-extra", "extra"}


def is_blank(key: str, value: Any) -> bool:
    """Return whether this is an empty text, which means the same as null."""
    if key not in MAY_BE_BLANK or not isinstance(value, str):
        return False
    return not (value if key == "interface" else value.strip())


def sections(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections of ``jobqueue`` in a file, the names of their keys as in the docs."""
    found = content.get("jobqueue")
    for name, keys in (found if isinstance(found, dict) else {}).items():
        if isinstance(keys, dict):
            plain: dict[str, Any] = {}
            for key, value in keys.items():
                # Dask takes - and _ for the same, and of both in one file the first.
                plain.setdefault(str(key).replace("_", "-"), value)
            yield str(name), plain
