"""Start the process from which a job's workers are copied, as a copy of this process.

The job script calls `start` before it runs ``dask worker``. By itself, Python starts a forkserver
as a new process, which loads Dask a second time. That is half of the time in which a job starts.
The copies also report their peak memory, since this process has told Dask to (`_process_use`).
"""

import contextlib
import gc
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from multiprocessing import forkserver, util
from pathlib import Path
from typing import Any

import dask
from distributed import worker
from distributed.utils import get_mp_context

from .. import _process_use
from ..security import openssl

# Lists this process's open files; where there is none, Python starts the forkserver.
OPEN_FILES = Path("/proc/self/fd")
# What the job's process and each of its workers would load for themselves, beside the pages of a
# worker's web server.
MODULES = [
    "distributed.cli.dask_worker",
    "distributed.http.worker.prometheus.core",
    "multiprocessing.popen_forkserver",
    "multiprocessing.synchronize",
    "tornado.platform.asyncio",
]


def start(arguments: Sequence[str]) -> None:
    """Have workers report their use; start the forkserver, if they come from one.

    Parameters
    ----------
    arguments : sequence of str
        Those of ``dask worker``.
    """
    if isinstance(metrics := getattr(worker, "DEFAULT_METRICS", None), dict):
        metrics[_process_use.NAME] = _process_use.metric
    method = dask.config.get("distributed.worker.multiprocessing-method")
    if method != "forkserver" or "--no-nanny" in arguments or not OPEN_FILES.is_dir():
        return
    get_mp_context()  # loads more
    for name in [*MODULES, *dask.config.get("distributed.worker.http.routes")]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "--tls-key" in arguments:
        openssl.initialize()
    # All of this stays. To look for garbage in it would copy memory that the workers share.
    gc.freeze()
    if threading.active_count() > 1:
        return  # a thread may hold a lock, which nobody would release in a copy
    start_process = util.spawnv_passfds

    def copy(path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        is_server = forkserver.__name__ in args[-1]
        return _fork(args[-1], passfds) if is_server else start_process(path, args, passfds)

    util.spawnv_passfds = copy
    try:
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = start_process


def _fork(code: str, files: Sequence[int]) -> int:
    """Run code in a copy of this process, which ends with it; return its process ID."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        # As in a new process, only these are open. One of the others tells it when this one ends.
        for number in [int(path.name) for path in OPEN_FILES.iterdir()]:
            if number > 2 and number not in files:
                with contextlib.suppress(OSError):  # of the list itself
                    os.close(number)
        server: Any = forkserver._forkserver  # noqa: SLF001
        server._lock = threading.Lock()  # noqa: SLF001  (this thread holds it)
        exec(code, {})  # Python's own code, which names these files
        status = 0
    except SystemExit:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
