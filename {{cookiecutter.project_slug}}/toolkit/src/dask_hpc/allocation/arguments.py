"""Make the arguments of a cluster inside one job, of which the job itself decides a part."""

import contextlib
import os
import shlex
from typing import Any

from dask.utils import parse_bytes
from distributed.utils import get_ip_interface

from ..errors import ConfigError


def _setting(kwargs: dict[str, Any], name: str) -> Any:
    """Return an argument, or what jobqueue.yaml says instead."""
    if kwargs.get(name) is not None:
        return kwargs[name]
    return kwargs["settings"].get(name)


def scheduler_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the scheduler's options for a compute node."""
    options = dict(_setting(kwargs, "scheduler_options") or {})
    interface = _setting(kwargs, "interface")
    if not interface:
        return options
    # What they say of the interface is for the login node; here the workers' own is the right one.
    options["interface"] = interface
    host, _, port = str(options.get("dashboard_address") or ":8787").rpartition(":")
    if not host:
        # ":0" would be a port on every network of the node.
        with contextlib.suppress(ValueError):  # no such interface: the scheduler says so
            options["dashboard_address"] = f"{get_ip_interface(interface)}:{port}"
    return options


# The address of a node's interface, without the seconds that importing Dask takes (SIOCGIFADDR).
_ADDRESS = (
    "import fcntl, socket, struct; s = socket.socket(type=socket.SOCK_DGRAM); "
    "print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack('256s', {name!r}))[20:24]))"
)


def workers_network(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that put the workers' web servers on the workers' interface, too.

    A worker without a dashboard also has a web server, for metrics. `dask worker` takes an address
    for it, which differs from node to node, but no interface; without an address it is on every
    network of the node.
    """
    interface, options = _setting(kwargs, "interface"), _setting(kwargs, "worker_extra_args") or []
    if not interface or any("dashboard-address" in option for option in options):
        return {}
    find = shlex.join(["-c", _ADDRESS.format(name=interface.encode())])
    line = f"DASK_HPC_HOST=$({_setting(kwargs, 'python')} {find})"
    return {
        "worker_extra_args": [*options, "--dashboard-address", "$DASK_HPC_HOST:0"],
        "job_script_prologue": [*(_setting(kwargs, "job_script_prologue") or []), line],
    }


def check_allocation_size(kwargs: dict[str, Any]) -> None:
    """Raise an error for workers that are larger than the job's part of a node."""
    cores, memory = kwargs["cores"], parse_bytes(kwargs["memory"])
    given_cores = os.environ.get("SLURM_CPUS_PER_TASK")
    given_memory = os.environ.get("SLURM_MEM_PER_NODE")  # MiB
    if given_cores and cores > int(given_cores):
        what = f"{cores} cores, and this job has {given_cores}"
    elif given_memory and int(given_memory) and memory > int(given_memory) * 2**20:
        what = f"{kwargs['memory']}, and this job has {int(given_memory) / 1024:g} GiB"
    else:
        return
    raise ConfigError(
        f"The cluster asks for {what} on each node: leave it to jobqueue.yaml, or make a profile "
        "there, and name it to `dask hpc run --config-name`."
    )
