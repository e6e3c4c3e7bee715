"""Read a job's allocation from its environment."""

import os
import subprocess

from ..errors import ConfigError

# The job script sets this to the job's id. A job submitted from inside inherits the variable, but
# has another id.
ENV_JOB_ID = "DASK_HPC_ALLOCATION"
ENV_PROFILE = "DASK_HPC_ALLOCATION_PROFILE"


def in_allocation() -> bool:
    """Return whether this process runs in a job of `dask hpc run`."""
    mark = os.environ.get(ENV_JOB_ID)
    return bool(mark) and mark == os.environ.get("SLURM_JOB_ID")


def profile() -> str | None:
    """Return the profile that the job was submitted with; None for the batch system's section."""
    return os.environ.get(ENV_PROFILE) or None


def nodes() -> list[str]:
    """Return the job's nodes, starting with the node of this process.

    Raises
    ------
    ConfigError
        This process is not on one of the job's nodes, or they are unknown.
    """
    here = os.environ.get("SLURMD_NODENAME")
    command = ["scontrol", "show", "hostnames", os.environ.get("SLURM_JOB_NODELIST", "")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ConfigError(f"Cannot list the job's nodes: {' '.join(said.split())}") from None
    found = done.stdout.split()
    if here is None or here not in found:
        raise ConfigError(
            "This program is not running on a node of its job: submit it with `dask hpc run`."
        )
    return [here, *(node for node in found if node != here)]
