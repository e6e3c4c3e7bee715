"""A mixin for dask-jobqueue's job classes: how a cluster's job is submitted and cancelled."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from distributed.core import Status
from distributed.deploy.spec import ProcessInterface

from ..batch import commands
from ..config.memory_limit import worker_memory_limit
from ..config.profiles import FromSettings
from ..errors import NoJobIdError
from .job_script import WaitsForWorker
from .submit_errors import submit_error

if TYPE_CHECKING:
    from ..config.profiles import Section
    from .control import JobControl


class ManagedJobMixin(FromSettings, WaitsForWorker):
    """Mixin for dask-jobqueue's Job classes that reports to the cluster that the job belongs to.

    `job_class_for` makes a class from it for one cluster, to be dask-jobqueue's ``job_cls``.
    """

    _owner: weakref.ref[JobControl]  # set in the class that job_class_for makes
    # Receives the submit command's output; see WatchdogClient.record_submission.
    _answer: BinaryIO | None = None
    _memory_limit: str | None = None  # the user's, instead of ours; set like _owner
    _command_template: str  # dask-jobqueue's, like the next attribute
    submit_command: str
    _job_id_line = ""  # BatchSystem.job_id_line, set like _owner

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._job_id_line:
            self._command_template = f"{self._job_id_line}; {self._command_template}"

    @property
    def worker_command(self) -> str:
        """The beginning of the command that starts the workers."""
        return self._command_template

    @property
    def worker_process_memory(self) -> str:
        if self._memory_limit is not None:
            return self._memory_limit
        return worker_memory_limit(self.worker_memory, self.worker_processes)

    async def _call(
        self, cmd: Sequence[str], *, shell: bool = False, stdin: str = os.devnull, **_: Any
    ) -> str:
        # dask-jobqueue runs every command through this method; here, only the submission. Ours
        # completes despite Ctrl-C, and its errors contain the command's output.
        argv = ["sh", "-c", " ".join(cmd)] if shell else cmd
        env = self._control().batch.submitting(os.environ)  # some batch systems pass it to the job
        return await commands.run(argv, stdin=stdin, answer=self._answer, env=env)

    def _control(self) -> JobControl:
        owner = self._owner()
        assert owner is not None  # a cluster waits for its submissions
        return owner

    @contextlib.contextmanager
    def job_file(self) -> Iterator[str]:
        """Write the job script into a private folder; remove both afterwards."""
        # dask-jobqueue's own file is in /tmp, under a name that another user may take first.
        with tempfile.TemporaryDirectory(prefix="dask-hpc-") as folder:
            path = Path(folder, "job.sh")
            path.write_text(self.job_script())
            yield str(path)

    async def _submit_job(self, script: str) -> str:
        if getattr(self, "use_stdin", False):
            # dask-jobqueue's LSF class uses a shell here and discards bsub's error output.
            return await self._call(shlex.split(self.submit_command), stdin=script)
        said: str = await super()._submit_job(script)
        return said

    def _job_id_from_submit_output(self, out: str) -> str:
        # The same for all classes; HTCondor's would otherwise have its own way.
        if match := re.search(self.job_id_regexp, out):
            return match["job_id"]
        if said := " ".join(out.split()):
            raise NoJobIdError(f"found no job id in the submit command's output, {said!r}")
        command = self.submit_command.split()[0]
        raise NoJobIdError(f"{command} printed nothing instead of a job id")

    async def start(self) -> None:
        owner = self._control()
        with owner.watchdog.record_submission() as self._answer:
            try:
                await self._submit_off_bad_nodes(owner)
            except (RuntimeError, ValueError, OSError) as error:
                # ValueError: no job id in the submit command's output.
                self.status = Status.failed
                # Drop the context, 70 lines of traceback without further information.
                raise submit_error(owner.batch, error, owner.origins) from None
            owner.note_submitted(str(self.name), self.job_id)

    async def _submit_off_bad_nodes(self, owner: JobControl) -> None:
        """Submit the job, excluding bad nodes if possible."""
        batch, health = owner.batch, owner.health
        options = batch.exclude_args(health.excluded, self.job_extra_directives)
        if not options:
            await super().start()
            return
        plain = self.submit_command
        self.submit_command = shlex.join([*shlex.split(plain), *options])
        try:
            await super().start()
        except commands.CommandError as error:
            if not batch.means_no_such_node(error.words):
                raise
            health.reset()
            self.submit_command = plain
            await super().start()

    async def close(self) -> None:
        owner = self._owner()
        if self.job_id and owner is not None:
            await owner.canceller.cancel(self.job_id)
        # dask-jobqueue omits this step: the job's status would remain "running" forever.
        await ProcessInterface.close(self)


def job_class_for(
    control: JobControl,
    job_cls: type[Any],
    memory_limit: str | None = None,
    settings: Section | None = None,
) -> type[Any]:
    """Return a job class for one cluster, with the name that dask-jobqueue's messages use."""
    body: dict[str, Any] = {
        "_owner": weakref.ref(control),
        "_memory_limit": memory_limit,
        "_job_id_line": control.batch.job_id_line,
        "_settings": settings,
    }
    # dask-jobqueue's own pattern matches the first number, which may be part of a site's banner.
    if job_cls.job_id_regexp in _upstream_id_patterns(job_cls):
        body["job_id_regexp"] = control.batch.job_id_pattern
    return type(job_cls.__name__, (ManagedJobMixin, job_cls), body)


def _upstream_id_patterns(job_cls: type[Any]) -> set[str]:
    """Return the job id patterns of dask-jobqueue's own classes."""
    own = [base for base in job_cls.__mro__ if base.__module__.startswith("dask_jobqueue.")]
    return {base.job_id_regexp for base in own if hasattr(base, "job_id_regexp")}
