"""Adapt a cluster's settings to the job that it runs in."""

import contextlib
import os

from dask.utils import parse_bytes
from distributed.utils import get_ip, get_ip_interface

from ..config.resolve import JobSettings
from ..errors import ConfigError
from ..security import dashboard


def on_node(settings: JobSettings) -> JobSettings:
    """Return the settings of a cluster whose scheduler is on a compute node.

    The dashboard listens on the workers' network, so that the login node can reach it.
    """
    options, interface = dict(settings.get("scheduler-options") or {}), settings.get("interface")
    host = get_ip()
    if interface:
        # The scheduler's configured interface is for the login node; here, use that of the workers.
        options["interface"] = interface
        with contextlib.suppress(ValueError):  # the scheduler reports an unknown interface
            host = get_ip_interface(interface)
    return settings.with_arguments(scheduler_options=dashboard.private(options, host))


def check_allocation_size(settings: JobSettings) -> None:
    """Raise an error if workers need more than the job has on each node."""
    cores, memory = settings.cores, parse_bytes(settings.memory)
    given_cores = os.environ.get("SLURM_CPUS_PER_TASK")
    given_memory = os.environ.get("SLURM_MEM_PER_NODE")  # MiB
    if given_cores and cores > int(given_cores):
        what = f"{cores} cores, but this job has {given_cores}"
    elif given_memory and int(given_memory) and memory > int(given_memory) * 2**20:
        what = f"{settings.memory}, but this job has {int(given_memory) / 1024:g} GiB"
    else:
        return
    raise ConfigError(
        f"The cluster requests {what} on each node: remove the argument, or put the value in a "
        "profile in jobqueue.yaml and run `dask hpc run --config-name` with it."
    )
