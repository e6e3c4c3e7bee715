"""Adapt a cluster's settings to the job that it runs in."""

import contextlib
import os
import shlex
from typing import Any

from dask.utils import parse_bytes
from distributed.utils import get_ip_interface

from ..config.resolve import JobSettings
from ..errors import ConfigError


def on_node(settings: JobSettings) -> JobSettings:
    """Return the settings of a cluster whose scheduler is on a compute node."""
    options = dict(settings.get("scheduler-options") or {})
    interface, words = settings.get("interface"), settings.get("worker-extra-args") or []
    changed: dict[str, Any] = {"scheduler_options": options}
    if not interface:
        return settings.with_arguments(**changed)
    # The scheduler's configured interface is for the login node; here, use that of the workers.
    options["interface"] = interface
    host, _, port = str(options.get("dashboard_address") or ":8787").rpartition(":")
    if not host:
        # ":0" would listen on every network of the node.
        with contextlib.suppress(ValueError):  # the scheduler reports an unknown interface
            options["dashboard_address"] = f"{get_ip_interface(interface)}:{port}"
    if not any("dashboard-address" in word for word in words):
        changed |= _workers_network(settings)
    return settings.with_arguments(**changed)


# Prints an interface's address (SIOCGIFADDR), without the seconds that importing Dask would take.
_ADDRESS = (
    "import fcntl, socket, struct; s = socket.socket(type=socket.SOCK_DGRAM); "
    "print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack('256s', {name!r}))[20:24]))"
)


def _workers_network(settings: JobSettings) -> dict[str, Any]:
    """Return arguments that bind the workers' web servers to the workers' interface, too.

    Even a worker without a dashboard has a web server, for metrics. `dask worker` accepts an
    address for it, which differs between nodes, but no interface; without an address, the server
    listens on every network of the node.
    """
    address = _ADDRESS.format(name=settings.get("interface").encode())
    line = f"DASK_HPC_HOST=$({settings.get('python')} {shlex.join(['-P', '-c', address])})"
    words, prologue = settings.get("worker-extra-args"), settings.get("job-script-prologue")
    return {
        "worker_extra_args": [*(words or []), "--dashboard-address", "$DASK_HPC_HOST:0"],
        "job_script_prologue": [*(prologue or []), line],
    }


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
