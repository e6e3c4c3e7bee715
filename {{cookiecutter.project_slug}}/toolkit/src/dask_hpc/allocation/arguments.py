"""Make the arguments of a cluster inside one job, of which the job itself decides a part."""

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
    # What they say of the interface is for the login node; here the workers' own is the right one.
    options["interface"] = interface
    host, _, port = str(options.get("dashboard_address") or ":8787").rpartition(":")
    if not host:
        # ":0" would be a port on every network of the node.
        with contextlib.suppress(ValueError):  # no such interface: the scheduler says so
            options["dashboard_address"] = f"{get_ip_interface(interface)}:{port}"
    if not any("dashboard-address" in word for word in words):
        changed |= _workers_network(settings)
    return settings.with_arguments(**changed)


# The address of a node's interface, without the seconds that importing Dask takes (SIOCGIFADDR).
_ADDRESS = (
    "import fcntl, socket, struct; s = socket.socket(type=socket.SOCK_DGRAM); "
    "print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack('256s', {name!r}))[20:24]))"
)


def _workers_network(settings: JobSettings) -> dict[str, Any]:
    """Return arguments that put the workers' web servers on the workers' interface, too.

    A worker without a dashboard also has a web server, for metrics. `dask worker` takes an address
    for it, which differs from node to node, but no interface; without an address it is on every
    network of the node.
    """
    address = _ADDRESS.format(name=settings.get("interface").encode())
    line = f"DASK_HPC_HOST=$({settings.get('python')} {shlex.join(['-c', address])})"
    words, prologue = settings.get("worker-extra-args"), settings.get("job-script-prologue")
    return {
        "worker_extra_args": [*(words or []), "--dashboard-address", "$DASK_HPC_HOST:0"],
        "job_script_prologue": [*(prologue or []), line],
    }


def check_allocation_size(settings: JobSettings) -> None:
    """Raise an error for workers that are larger than the job's part of a node."""
    cores, memory = settings.cores, parse_bytes(settings.memory)
    given_cores = os.environ.get("SLURM_CPUS_PER_TASK")
    given_memory = os.environ.get("SLURM_MEM_PER_NODE")  # MiB
    if given_cores and cores > int(given_cores):
        what = f"{cores} cores, and this job has {given_cores}"
    elif given_memory and int(given_memory) and memory > int(given_memory) * 2**20:
        what = f"{settings.memory}, and this job has {int(given_memory) / 1024:g} GiB"
    else:
        return
    raise ConfigError(
        f"The cluster asks for {what} on each node: leave it to jobqueue.yaml, or make a profile "
        "there, and name it to `dask hpc run --config-name`."
    )
