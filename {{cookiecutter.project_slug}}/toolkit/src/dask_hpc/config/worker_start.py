"""How the workers of batch jobs start: start method, dashboards, and environment.

Two keys in the section ``dask-hpc`` of the configuration apply to the workers of batch jobs only::

    dask-hpc:
      worker-start-method: forkserver   # or spawn, Dask's default
      worker-dashboards: false

They become lines of the job script and options of `dask worker`. They are not set in Dask's own
configuration, since laptops use that, too, and Windows has no forkserver.
"""

import re
import shlex
from typing import Any

import dask.config

from . import options, sources
from .resolve import JobSettings
from .shell import is_c_shell

# Dask's own key for the start method.
DASKS_OWN = "distributed.worker.multiprocessing-method"
METHOD_VARIABLE = "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD"
# The command that has these options; others, such as Dask-CUDA's, differ.
DASK_WORKER = "distributed.cli.dask_worker"

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PLAIN = re.compile(r"[\w.,:/+-]*", re.ASCII)


def add_worker_start(settings: JobSettings) -> JobSettings:
    """Add to a cluster's settings those that decide how its workers start.

    The user's own choices take precedence: options in `worker_extra_args`, variables that the
    prologue or the submitting shell sets, and a start method in Dask's own configuration.

    Raises
    ------
    ConfigError
        One of our keys has an invalid value.
    """
    method, dashboards = options.get("worker-start-method"), options.get("worker-dashboards")
    words = list(settings.get("worker-extra-args") or [])
    names = {word.partition("=")[0] for option in words for word in str(option).split()}
    prologue = list(settings.get("job-script-prologue") or [])
    is_dask_worker = settings.get("worker-command") == DASK_WORKER
    has_nanny = settings.arguments.get("nanny") is not False and "--no-nanny" not in names
    if is_dask_worker and not dashboards and not any("-dashboard" in name for name in names):
        words = ["--no-dashboard", *words]
    lines = []
    if not is_c_shell(settings.get("shebang")):
        # Otherwise Python buffers its output, and loses the buffer when the job is cancelled.
        lines.append(_export("PYTHONUNBUFFERED", 1))
        chosen = is_chosen_elsewhere() or any(METHOD_VARIABLE in line for line in prologue)
        if is_dask_worker and has_nanny and method == "forkserver" and not chosen:
            lines.append(f"export {METHOD_VARIABLE}={method}")
            lines += [_export(name, value) for name, value in nanny_variables().items()]
    return settings.with_arguments(worker_extra_args=words, job_script_prologue=[*prologue, *lines])


def is_chosen_elsewhere() -> bool:
    """Return whether the user has set Dask's own key for the start method."""
    default = dask.config.get(DASKS_OWN, None, config=dask.config.merge(*dask.config.defaults))
    value = dask.config.get(DASKS_OWN, default)
    written = value is not None and bool(sources.origin(*DASKS_OWN.split(".")))
    return written or bool(value != default)


def nanny_variables() -> dict[str, Any]:
    """Return the variables that Dask's configuration has nannies set for their workers.

    A forkserver imports NumPy before the nanny sets ``nanny.environ``, which would be too late for
    variables such as ``OMP_NUM_THREADS``.
    """
    found: dict[str, Any] = {}
    for key in ("pre-spawn-environ", "environ"):
        found |= dask.config.get(f"distributed.nanny.{key}", None) or {}
    return {
        name: value for name, value in found.items() if value is not None and _fits(name, value)
    }


def _fits(name: Any, value: Any) -> bool:
    """Return whether a line of shell code can set a variable."""
    return bool(_NAME.fullmatch(str(name))) and str(value).isprintable()


def _export(name: str, value: Any) -> str:
    """Return a line of shell code that sets a variable unless it is set (even to empty text)."""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return f"export {name}=${{{name}-{text}}}"
    return f'[ -n "${{{name}+set}}" ] || export {name}={shlex.quote(text)}'
