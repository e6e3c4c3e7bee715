"""How a job of a cluster begins and ends: submitted once, cancelled together with the others."""

from __future__ import annotations

import os
import re
import shlex
import weakref
from collections.abc import Sequence
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
    """Mixed into dask-jobqueue's Job class: reports to the cluster that the job belongs to.

    `job_class_for` makes a class of it for one cluster, to be dask-jobqueue's ``job_cls``.
    """

    _owner: weakref.ref[JobControl]  # set in the class that job_class_for makes
    _answer: BinaryIO | None = (
        None  # the file that a submission prints to, see WatchdogClient.record_submission
    )
    _memory_limit: str | None = None  # what the user wants instead of ours, set like _owner
    _command_template: str  # dask-jobqueue's, like the next
    submit_command: str
    _job_id_line = ""  # BatchSystem.job_id_line, set like _owner

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._job_id_line:
            self._command_template = f"{self._job_id_line}; {self._command_template}"

    @property
    def worker_command(self) -> str:
        """The beginning of the command that runs the workers."""
        return self._command_template

    @property
    def worker_process_memory(self) -> str:
        if self._memory_limit is not None:
            return self._memory_limit
        return worker_memory_limit(self.worker_memory, self.worker_processes)

    async def _call(self, cmd: Sequence[str], *, shell: bool = False, **_: Any) -> str:
        # dask-jobqueue runs every command through this; here that is the submission. Ours outlives
        # Ctrl-C, and its errors hold what the command said.
        argv = ["sh", "-c", " ".join(cmd)] if shell else cmd
        return await commands.run(argv, answer=self._answer, env=self._environment())

    def _control(self) -> JobControl:
        owner = self._owner()
        assert owner is not None  # it waits for its submissions
        return owner

    def _environment(self) -> dict[str, str]:
        # Of the submission, which becomes the job's own where the batch system hands it on.
        return self._control().batch.submitting(os.environ)

    async def _submit_job(self, script: str) -> str:
        if getattr(self, "use_stdin", False):
            # dask-jobqueue's LSF class goes through the shell here, and throws away what bsub says.
            command = shlex.split(self.submit_command)
            return await commands.run(
                command, stdin=script, answer=self._answer, env=self._environment()
            )
        said: str = await super()._submit_job(script)
        return said

    def _job_id_from_submit_output(self, out: str) -> str:
        # For every class the same, which HTCondor's would do in a way of its own.
        match = re.search(self.job_id_regexp, out)
        if match is None:
            said = " ".join(out.split())
            if not said:
                raise NoJobIdError(
                    f"{self.submit_command.split()[0]} printed nothing, not a job id"
                )
            raise NoJobIdError(f"there is no job id in its answer, {said!r}")
        return match["job_id"]

    async def start(self) -> None:
        owner = self._control()
        with owner.watchdog.record_submission() as self._answer:
            try:
                await self._submit_off_bad_nodes(owner)
            except (RuntimeError, ValueError, OSError) as error:
                # ValueError: what the submit command printed holds no job id.
                self.status = Status.failed
                # Without what came before: it says no more, in seventy lines.
                raise submit_error(owner.batch, error, owner.origins) from None
            owner.note_submitted(str(self.name), self.job_id)

    async def _submit_off_bad_nodes(self, owner: JobControl) -> None:
        """Submit the job, away from the bad nodes if that is possible."""
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
        # dask-jobqueue leaves this step out: the job would stay "running" for ever.
        await ProcessInterface.close(self)


def job_class_for(
    control: JobControl,
    job_cls: type[Any],
    memory_limit: str | None = None,
    settings: Section | None = None,
) -> type[Any]:
    """Return the job class of this one cluster, with its old name, for dask-jobqueue's messages."""
    body: dict[str, Any] = {
        "_owner": weakref.ref(control),
        "_memory_limit": memory_limit,
        "_job_id_line": control.batch.job_id_line,
        "_settings": settings,
    }
    # dask-jobqueue's own takes the first number, which may be one of a site's banner.
    if job_cls.job_id_regexp in _upstream_id_patterns(job_cls):
        body["job_id_regexp"] = control.batch.job_id_pattern
    return type(job_cls.__name__, (ManagedJobMixin, job_cls), body)


def _upstream_id_patterns(job_cls: type[Any]) -> set[str]:
    """Return the patterns of a job's id that dask-jobqueue's own classes have."""
    own = [base for base in job_cls.__mro__ if base.__module__.startswith("dask_jobqueue.")]
    return {base.job_id_regexp for base in own if hasattr(base, "job_id_regexp")}
