"""A program, Dask's scheduler and its workers in one job of the batch system.

For sites where the login node may run no scheduler, or where a program should be left alone for
the night: `script` makes the job script out of ``jobqueue.yaml``, `submit` hands it over. What
happens inside is in `allocation`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import batch as batch_systems
from .._compat.jobqueue_import import dask_jobqueue
from ..batch import commands, slurm_environment
from ..cluster.submit_errors import submit_error
from ..config import options, profiles, resolve
from ..errors import ConfigError
from .environment import ENV_JOB_ID, ENV_PROFILE

# Directives for a job in one piece; this one has several.
_SINGLE_NODE_DIRECTIVES = re.compile(
    r"#SBATCH\s+(?:--nodes|--ntasks|--ntasks-per-node|--no-kill|-[Nnk])(?:[ =\d].*)?\s*"
)
# What a cluster takes and a job does not.
_CLUSTER_ONLY_ARGUMENTS = (
    "scheduler_options",
    "shared_temp_directory",
    "config_name",
    "memory_limit",
)


def script(program: Sequence[str], nodes: int, config_name: str | None = None) -> str:
    """Return the job script.

    Parameters
    ----------
    program : sequence of str
        A Python file and its arguments.
    nodes : int
        How many nodes; each has what ``jobqueue.yaml`` says of one job.
    config_name : str, optional
        A profile.

    Raises
    ------
    ConfigError
        The lab's batch system is not Slurm, or its configuration says something impossible.
    """
    batch = options.batch_system()
    if batch.name != "slurm":
        what = f"jobs of {batch.label}" if batch.cluster_class else "no batch system"
        raise ConfigError(f"`dask hpc run` is for Slurm, and the configuration names {what}.")
    arguments = resolve.resolve_arguments(batch, {"config_name": config_name})
    settings = arguments.pop("settings")

    def setting(name: str) -> Any:
        return settings.get(name) if arguments.get(name) is None else arguments[name]

    with profiles.read_as(settings.all()) as section:
        job = dask_jobqueue.slurm.SLURMJob(
            "tcp://none",
            name="none",
            config_name=section,
            **{
                key: value for key, value in arguments.items() if key not in _CLUSTER_ONLY_ARGUMENTS
            },
        )
    directives = [
        line for line in job.job_header.splitlines() if not _SINGLE_NODE_DIRECTIVES.fullmatch(line)
    ]
    # --no-kill: where a node fails, the job goes on with the others.
    directives += [f"#SBATCH --{it}" for it in (f"nodes={nodes}", "ntasks-per-node=1", "no-kill")]
    lines = [
        job.shebang,
        "",
        *directives,
        # It may be submitted by hand from within another job, whose variables it inherits.
        f"unset {' '.join(slurm_environment.leftovers(directives))}",
        *(setting("job_script_prologue") or []),
        f"export {ENV_JOB_ID}=$SLURM_JOB_ID",
    ]
    if config_name is not None and config_name != batch.section:
        lines.append(f"export {ENV_PROFILE}={shlex.quote(config_name)}")
    # In the shell's place: signals reach the program, and its exit code is the job's. -u: what it
    # has printed is in the file when the job is ended.
    lines.append(f"exec {setting('python')} -u {shlex.join(program)}")
    return "\n".join(lines) + "\n"


def check_program(path: str) -> None:
    """Raise an error for what Python can't run, before it waits in the queue.

    Raises
    ------
    ConfigError
        It is not there, or is not a Python program. The message is one line with what to do.
    """
    program = Path(path)
    if program.is_dir():
        if (program / "__main__.py").is_file():
            return
        raise ConfigError(f"{path} is a folder: name the Python file in it.")
    if not program.exists():
        similar = program.with_name(f"{program.name}.py")
        meant = f"; did you mean {similar}?" if similar.exists() else "."
        raise ConfigError(f"There is no file {path}{meant}")
    if program.suffix == ".ipynb":
        made = program.with_suffix(".py")
        raise ConfigError(
            f"{path} is a notebook, and a program is needed. To make one: "
            f"{shlex.join(['jupyter', 'nbconvert', '--to', 'script', path])}; "
            f"then {shlex.join(['dask', 'hpc', 'run', str(made)])}"
        )
    with program.open("rb") as file:
        head = file.read(100_000)
    if zipfile.is_zipfile(program):
        return
    first = head.partition(b"\n")[0].decode(errors="replace").strip()
    if first.startswith("#!") and "python" not in first:
        raise ConfigError(
            f"{path} begins with {first} and is no Python program. `sbatch {shlex.quote(path)}` "
            "submits a script; here, name the Python file that it runs."
        )
    try:
        # What is cut off may not compile, though all of it does.
        if program.stat().st_size <= len(head):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(head, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        number = getattr(error, "lineno", None)
        line = f", line {number}" if number else ""
        what = getattr(error, "msg", None) or str(error)
        raise ConfigError(f"{path}{line}: Python can't read it as a program ({what}).") from None


def is_local_disk(folder: Path) -> bool:
    """Return whether a folder is probably on a local disk, which the nodes do not see.

    That is so if ``/tmp`` or the system is on the same file system, and the home directory, which
    is shared at most sites, is not.
    """
    own = {_device(Path(name)) for name in ("/", "/tmp", "/dev/shm")}
    return _device(folder) in own and _device(Path.home()) not in own


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def submit(text: str) -> str:
    """Submit a job script; return the job's id.

    Raises
    ------
    SubmitError
        Slurm refused it, or there is no sbatch here.
    """
    batch = batch_systems.get("slurm")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.sh"
        path.write_text(text)
        try:
            said = asyncio.run(
                commands.run([batch.submit, str(path)], env=batch.submitting(os.environ))
            )
        except commands.CommandError as error:
            raise submit_error(batch, error) from error
    match = re.search(batch.job_id_pattern, said)
    if match is None:
        raise submit_error(batch, ValueError(f"there is no job id in its answer, {said.strip()!r}"))
    return match["job_id"]
