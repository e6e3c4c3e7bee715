"""The script of a job that holds a program, Dask's scheduler, and its workers: `dask hpc run`.

For sites where the login node may run no scheduler, or where a program should be left alone for
the night. `script` makes it out of ``jobqueue.yaml``; what happens inside is in `cluster`.
"""

import re
import shlex
from collections.abc import Sequence

from .._compat.jobqueue_import import dask_jobqueue
from ..batch import slurm_environment
from ..config import options, profiles
from ..config.resolve import resolve
from ..errors import ConfigError
from .environment import ENV_JOB_ID, ENV_PROFILE

# Directives for a job in one piece; this one has several.
_SINGLE_NODE_DIRECTIVES = re.compile(
    r"#SBATCH\s+(?:--nodes|--ntasks|--ntasks-per-node|--no-kill|-[Nnk])(?:[ =\d].*)?\s*"
)
# What a cluster takes and a job does not.
_CLUSTER_ONLY_ARGUMENTS = ("scheduler_options", "shared_temp_directory", "config_name")


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
    settings = resolve(batch, {"config_name": config_name})
    arguments = {
        name: value
        for name, value in settings.arguments.items()
        if name not in _CLUSTER_ONLY_ARGUMENTS
    }
    with profiles.read_as(settings.section.all()) as section:
        job = dask_jobqueue.slurm.SLURMJob(
            "tcp://none", name="none", config_name=section, **arguments
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
        *settings.get("job-script-prologue"),
        f"export {ENV_JOB_ID}=$SLURM_JOB_ID",
    ]
    if config_name is not None and config_name != batch.section:
        lines.append(f"export {ENV_PROFILE}={shlex.quote(config_name)}")
    # In the shell's place: signals reach the program, and its exit code is the job's. -u: what it
    # has printed is in the file when the job is ended.
    lines.append(f"exec {settings.get('python')} -u {shlex.join(program)}")
    return "\n".join(lines) + "\n"
