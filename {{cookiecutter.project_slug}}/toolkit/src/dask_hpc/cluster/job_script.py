"""The lines of a job script that run the worker and wait until it has ended.

A shell that dies of a batch system's SIGTERM leaves its worker running if that is slow to close or
hangs (docs/development/upstream/distributed-worker-close.md). If the batch system finds a job's
processes by their parents, nothing would ever end that worker.
"""

from pathlib import Path

from .._compat import upstream
from .._compat.jobqueue_import import Job
from ..config.shell import is_bourne

# dask-jobqueue's placeholder for the worker command.
COMMAND = "%(worker_command)s"
# Most batch systems signal all processes of a job, so give the worker time before passing the
# signal on: a second signal ends a Dask worker at once and leaves its files on the node's disk.
# `code` is set only once, since a `wait` that a signal interrupts returns 128 or more.
# The first line is for shellcheck alone.
_LINES = Path(__file__).with_name("wait_for_worker.sh").read_text(encoding="utf-8").splitlines()
WAITING = " &\n" + "\n".join(_LINES[1:])


class WaitsForWorker(Job):
    """Mixin for dask-jobqueue's Job classes whose job script waits for the worker, as above.

    Scripts for other than Bourne shells stay unchanged: HTCondor's, which has no shell, and those
    for csh.
    """

    @property
    def _script_template(self) -> str:
        template: str = super()._script_template
        if is_bourne(self.shebang) and upstream.is_known("job-script"):
            return template.replace(COMMAND, COMMAND + WAITING)
        return template
