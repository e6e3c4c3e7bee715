"""The lines of a job script that run the worker, wait until it has ended, and remove its files.

A shell that dies of a batch system's SIGTERM leaves its worker running if that is slow to close or
hangs (docs/development/upstream/distributed-worker-close.md). If the batch system finds a job's
processes by their parents, nothing would ever end that worker.
"""

import shlex
from functools import cache
from pathlib import Path
from typing import Any

from .._compat import upstream
from .._compat.jobqueue_import import Job
from .._output import messages
from ..config import trust
from ..config.shell import is_bourne, is_c_shell, joined
from . import worker_server

# dask-jobqueue's placeholder for the worker command.
COMMAND = "%(worker_command)s"
# Most batch systems signal all processes of a job, so give the worker time before passing the
# signal on: a second signal ends a Dask worker at once and leaves its files on the node's disk.
# `code` is set only once, since a `wait` that a signal interrupts returns 128 or more.
# The first line is for shellcheck alone.
_LINES = Path(__file__).with_name("wait_for_worker.sh").read_text(encoding="utf-8").splitlines()
WAITING = " &\n" + "\n".join(_LINES[1:])
# The same on one line, for HTCondor and csh.
JOINED = f" & {joined(_LINES)}"
# `python -m` would look for modules in the working directory first, before the environment. -P
# keeps it out, of the workers' processes, too; this appends it, unless all users may write to it.
_APPEND = "os.stat(os.curdir).st_mode & 2 or sys.path.append(os.getcwd())"
# Where the toolkit has no such module, or is not installed, Python starts the server. There are no
# quotes here, since each batch system has rules of its own for them.
_SERVER = (
    "own = sys.argv.pop(1); find = importlib.util.find_spec; find(own.partition(chr(46))[0])"
    " and find(own) and importlib.import_module(own).start(sys.argv)"
)
_IMPORTS = "import importlib.util, os, runpy, sys"
_RUN = "del sys.argv[:2]; runpy._run_module_as_main(sys.argv[0])"


class WaitsForWorker(Job):
    """Mixin for dask-jobqueue's Job classes whose job script waits for the worker, as above.

    HTCondor runs the lines as arguments of /bin/sh, and scripts for csh start a sh for them. Those
    for other shells stay unchanged.
    """

    _command_template: str  # dask-jobqueue's

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        begin, address, options = self._command_template.partition(f" {self.scheduler} ")
        python, _, module = begin.rpartition(" -m ")
        run = worker_module(append=_loads_from(Path.cwd()))
        self._command_template = f"{python} -P {run} {module}{address}{options}"
        if COMMAND not in self._script_template:
            self._command_template += JOINED

    @property
    def _script_template(self) -> str:
        template: str = super()._script_template
        if not upstream.is_known("job-script"):
            return template
        if is_c_shell(self.shebang):
            line = f"exec sh -c {shlex.quote(self._command_template + JOINED)}"
            return template.replace(COMMAND, line.replace("%", "%%"))
        return template.replace(COMMAND, COMMAND + WAITING) if is_bourne(self.shebang) else template


def worker_module(append: bool) -> str:
    """Return Python's arguments before the name of the module to run.

    Parameters
    ----------
    append : bool
        Whether modules may come from the working directory.
    """
    steps = [_IMPORTS, *([_APPEND] if append else []), _SERVER, _RUN]
    return f"-c '{'; '.join(steps)}' {worker_server.__name__} -m"


@cache
def _loads_from(folder: Path) -> bool:
    """Return whether workers may load modules from a folder: others cannot put any there."""
    line = trust.trusted().path_problem(folder, may_add=False)
    if line:
        messages.warning(f"Workers do not load your own modules from {folder}: {line}.")
    return not line
