"""Count the cores that are really there, wherever the batch system has put the workers.

Several nodes may be containers of one computer, as on the testbed, and two hardware threads may be
one core. `here` runs on workers.
"""

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from dask.system import CPU_COUNT

# The computer on which a process runs, and the core of each hardware thread that it may use.
Place = tuple[str, dict[int, str]]

BOOT = Path("/proc/sys/kernel/random/boot_id")
SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def here() -> Place:
    """Return where this process runs, and the cores that it may use."""
    try:
        computer = BOOT.read_text().strip()  # that of the computer, also in a container
    except OSError:
        computer = platform.node()
    if hasattr(os, "sched_getaffinity"):
        found = {cpu: _core(cpu) for cpu in sorted(os.sched_getaffinity(0))}
    else:
        import psutil

        number = psutil.cpu_count(logical=False) or os.cpu_count() or 1
        found = {cpu: str(cpu) for cpu in range(number)}
    return computer, share(found, CPU_COUNT)


def share(found: dict[int, str], number: int) -> dict[int, str]:
    """Return so many hardware threads, of as many cores as possible: a container's share."""
    firsts = {core: cpu for cpu, core in reversed(found.items())}.values()
    ordered = sorted(found, key=lambda cpu: (cpu not in firsts, cpu))
    return {cpu: found[cpu] for cpu in ordered[:number]}


def _core(cpu: int) -> str:
    """Return a name of the core to which a hardware thread belongs."""
    try:
        return Path(SIBLINGS.format(cpu)).read_text().strip()
    except OSError:
        return str(cpu)


def count(places: Iterable[Place]) -> int:
    """Return the number of cores of all computers together."""
    return len({(computer, core) for computer, cpus in places for core in cpus.values()})


def threads_per_core(places: Iterable[Place]) -> int:
    """Return how many hardware threads of each core can be used, rounded down."""
    places = list(places)
    return len({(computer, cpu) for computer, cpus in places for cpu in cpus}) // count(places)


def computers(places: Iterable[Place]) -> int:
    """Return the number of computers."""
    return len({computer for computer, _ in places})
