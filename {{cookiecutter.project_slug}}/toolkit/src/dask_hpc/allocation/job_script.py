"""Write the script of a job that runs a program, Dask's scheduler, and its workers.

`dask hpc run` is for sites where the login node may not run a scheduler, and for programs that run
unattended. `script` creates it from ``jobqueue.yaml``; `cluster` is what runs in the job.
"""

import re
import shlex
from collections.abc import Sequence

from .._compat.jobqueue_import import dask_jobqueue
from ..batch import slurm_environment
from ..config import options, profiles
from ..config.packed_environment import python_of_programs
from ..config.resolve import resolve
from ..errors import ConfigError
from .environment import ENV_JOB_ID, ENV_PROFILE

# Directives that only make sense for a job on a single node.
_SINGLE_NODE_DIRECTIVES = re.compile(
    r"#SBATCH\s+(?:--nodes|--ntasks|--ntasks-per-node|--no-kill|-[Nnk])(?:[ =\d].*)?\s*"
)
# Arguments of a cluster that a job does not have.
_CLUSTER_ONLY_ARGUMENTS = ("scheduler_options", "shared_temp_directory", "config_name")


def script(program: Sequence[str], nodes: int, config_name: str | None = None) -> str:
    """Return the job script.

    Parameters
    ----------
    program : sequence of str
        A Python file and its arguments.
    nodes : int
        Number of nodes, each with the cores and memory of a job in ``jobqueue.yaml``.
    config_name : str, optional
        The profile to use.

    Raises
    ------
    ConfigError
        The lab's batch system is not Slurm, or its configuration is invalid.
    """
    batch = options.batch_system()
    if batch.name != "slurm":
        what = batch.label if batch.cluster_class else "no batch system"
        raise ConfigError(f"`dask hpc run` requires Slurm, but the configuration names {what}.")
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
    # --no-kill: if a node fails, the job continues on the others.
    directives += [f"#SBATCH --{it}" for it in (f"nodes={nodes}", "ntasks-per-node=1", "no-kill")]
    lines = [
        job.shebang,
        "",
        *directives,
        # A user may submit it from within another job, whose variables it inherits.
        f"unset {' '.join(slurm_environment.leftovers(directives))}",
        *settings.get("job-script-prologue"),
        f"export {ENV_JOB_ID}=$SLURM_JOB_ID",
    ]
    if config_name is not None and config_name != batch.section:
        lines.append(f"export {ENV_PROFILE}={shlex.quote(config_name)}")
    # exec: signals reach the program, and its exit code becomes the job's. -u: no output is lost in
    # a buffer when the job is killed.
    lines.append(f"exec {python_of_programs(settings)} -u {shlex.join(program)}")
    return "\n".join(lines) + "\n"
