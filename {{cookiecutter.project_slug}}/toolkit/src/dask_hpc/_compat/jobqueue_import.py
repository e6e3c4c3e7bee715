"""Import dask-jobqueue without the side effects of its import.

dask-jobqueue 0.9.0 replaces the handler of SIGINT on import: Ctrl-C would become a silent exit with
code 0, and the import would fail in any thread but the main one.
"""

import signal
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

_lock = threading.Lock()


def _import():
    importer = threading.get_ident()
    real = signal.signal

    def guarded(signum, handler):
        if threading.get_ident() == importer and signum == signal.SIGINT:
            return signal.getsignal(signum)
        return real(signum, handler)

    with _lock, mock.patch.object(signal, "signal", guarded):
        import dask_jobqueue
        import dask_jobqueue.slurm
    return dask_jobqueue


dask_jobqueue = _import()
JobQueueCluster = dask_jobqueue.JobQueueCluster

if TYPE_CHECKING:
    Job: Any  # dask-jobqueue's class, for mixins; it has no type hints
else:
    Job = object
