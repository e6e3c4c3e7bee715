"""The lines of a job script that run the worker: the job's shell stays until it has ended.

A shell that dies of a batch system's SIGTERM leaves behind a worker that is slow to end, or hangs
while it closes (docs/development/upstream/distributed-worker-close.md); where the batch system
finds a job's processes by their parents, nothing ends that worker any more.
"""

from pathlib import Path

from .._compat import upstream
from .._compat.jobqueue_import import Job
from ..config.shell import is_bourne

# What dask-jobqueue puts the worker's command in place of.
COMMAND = "%(worker_command)s"
# Most batch systems signal all processes of a job, so the worker is given time before the signal
# is passed on: a second one ends a Dask worker at once, with its folders left on the node's disk.
# `code` is set once: a wait that a signal interrupts returns 128 and more, whatever comes later.
# The first line is for shellcheck alone.
_LINES = Path(__file__).with_name("wait_for_worker.sh").read_text(encoding="utf-8").splitlines()
WAITING = " &\n" + "\n".join(_LINES[1:])


class WaitsForWorker(Job):
    """Mixed into dask-jobqueue's Job class: its job script waits for the worker, as above.

    A script that is not for a Bourne shell is left as it is: HTCondor's, which has no shell of its
    own, and those for csh.
    """

    @property
    def _script_template(self) -> str:
        template: str = super()._script_template
        if is_bourne(self.shebang) and upstream.is_known("job-script"):
            return template.replace(COMMAND, COMMAND + WAITING)
        return template
