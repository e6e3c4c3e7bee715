"""Compare the first worker's environment with this one, and say in one line if they differ.

Results depend on the versions of packages, and Dask sends functions in a form that depends on some
of them. Most versions are known from the worker's registration; the rest is asked in the
background, so that nothing waits for it.
"""

import importlib.metadata
import logging
import platform
import sys
import sysconfig
import tomllib
from typing import Any

from distributed import Scheduler
from distributed.core import rpc
from distributed.protocol import pickle
from distributed.scheduler import WorkerState
from distributed.versions import get_versions

from .._asyncio import BackgroundTasks
from .._output.messages import Messages
from ..config import files
from ..resilience.interface import JobPool

logger = logging.getLogger(__name__)

COMPARED = ("python", "dask", "distributed", "cloudpickle", "numpy")


class EnvironmentCheck:
    """Compares the first worker that can be asked with this process.

    Parameters
    ----------
    pool : JobPool
    messages : Messages
    tasks : BackgroundTasks
    """

    def __init__(self, pool: JobPool, messages: Messages, tasks: BackgroundTasks):
        self._pool = pool
        self._messages = messages
        self._tasks = tasks
        self._started = False

    def worker_added(self, _: object, worker: WorkerState) -> None:
        """Compare this worker in the background, if it is the first one."""
        if not self._started:
            self._started = True
            self._tasks.spawn(self._compare(worker))

    async def _compare(self, worker: WorkerState) -> None:
        lab = lab_package()
        try:
            node, prefix, version = await ask(self._pool.scheduler, worker.address, lab)
        except OSError:  # the worker is gone: ask the next one
            self._started = False
            return
        except Exception:
            logger.info("%s does not report its environment", worker.address, exc_info=True)
            return
        here = get_versions()["packages"]
        there = (worker.versions or {}).get("packages", {})
        names = [name for name in COMPARED if name in there]
        ours, theirs = ({name: it[name] for name in names} for it in (here, there))
        if lab is not None:
            ours[lab], theirs[lab] = installed_version(lab), version
        if line := describe(ours, theirs, sys.prefix, prefix, node):
            self._messages.warning(line)


def describe(
    ours: dict[str, str | None],
    theirs: dict[str, str | None],
    our_prefix: str,
    their_prefix: str,
    node: str,
) -> str:
    """Return a line that says how a worker's versions differ from ours; empty if they do not.

    Parameters
    ----------
    ours, theirs : dict of str to (str or None)
        Versions of the same packages; None for a package that is not installed.
    our_prefix, their_prefix : str
        The environments.
    node : str
        The worker's computer.
    """
    different = [name for name in ours if ours[name] != theirs[name]]
    if not different:
        return ""
    pairs = [
        f"{_label(name)} {_shown(ours[name])} and {_shown(theirs[name])}" for name in different
    ]
    return (
        f"This program and its workers have different packages: {', '.join(pairs)}. "
        f"This program runs in {our_prefix}, and the worker on {node} in {their_prefix}. "
        "Tasks may fail, or give other results: remove `python` from jobqueue.yaml, so that both "
        "use one environment, or install the same versions in both."
    )


def _label(name: str) -> str:
    return "Python" if name == "python" else name


def _shown(version: str | None) -> str:
    return "none" if version is None else version.removesuffix(".final.0")


def lab_package() -> str | None:
    """Return the name of the lab's package, whose configuration is active here; None if unknown."""
    if (project := files.installed_project()) is None:
        return None
    try:
        with (project / "pyproject.toml").open("rb") as file:
            name = tomllib.load(file)["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(name)


def installed_version(package: str) -> str | None:
    """Return the version of a package in this environment; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


async def ask(
    scheduler: Scheduler, address: str, package: str | None
) -> tuple[str, str, str | None]:
    """Ask a worker for its node, the folder of its environment, and a package's version there.

    Raises
    ------
    OSError
        The worker cannot be reached.
    """
    # Functions of Python's own, since the worker may lack this package or run another Python.
    async with rpc(address, connection_args=scheduler.connection_args) as worker:

        async def run(function: Any, *words: str) -> Any:
            answer = await worker.run(function=pickle.dumps(function), args=pickle.dumps(words))
            return answer.get("result")  # none if the function failed

        node = await run(platform.node)
        prefix = await run(sysconfig.get_config_var, "base")
        version = None if package is None else await run(importlib.metadata.version, package)
    return str(node), str(prefix), version
