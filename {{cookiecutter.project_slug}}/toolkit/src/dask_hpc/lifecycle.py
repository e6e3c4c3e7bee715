"""How a job of a cluster begins and ends: submitted once, cancelled together with the others."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import time
import weakref

from dask.utils import format_bytes
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface

from . import jobs, limits
from .errors import SubmitError
from .job_script import WaitsForWorker
from .profiles import FromSettings
from .schedulers import JobState, Scheduler
from .tasks import Tasks

# Seconds in which a job that could not be cancelled is not tried again.
JUST_NOW = 10.0


class NoJobId(ValueError):
    """A submit command ended well, and told no job id."""


class OwnedJob(FromSettings, WaitsForWorker):
    """Mixed into dask-jobqueue's Job class: reports to the cluster that the job belongs to.

    `bound_to` makes a class of it for one cluster, which dask-jobqueue takes as its ``job_cls``.
    """

    _owner = None  # a weak reference to the cluster, set in the class that bound_to makes
    _answer = None  # the file into which a submission prints, see Guard.submission
    _memory_limit = None  # what the user wants instead of ours, likewise
    _job_id_line = ""  # Scheduler.job_id_line, likewise

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._job_id_line:
            self._command_template = f"{self._job_id_line}; {self._command_template}"

    @property
    def worker_process_memory(self):
        if self._memory_limit is not None:
            return self._memory_limit
        limit = limits.SHARE * self.worker_memory / self.worker_processes
        return format_bytes(limit).replace(" ", "")

    async def _call(self, cmd, *, shell=False, **_):
        # dask-jobqueue runs every command through this; here that is the submission. Ours outlives
        # Ctrl-C, and its errors hold what the command said.
        argv = ["sh", "-c", " ".join(cmd)] if shell else cmd
        return await jobs.run(argv, answer=self._answer, env=self._environment())

    def _environment(self):
        # Of the submission, which becomes the job's own where the batch system hands it on.
        return self._owner().batch.submitting(os.environ)

    async def _submit_job(self, script):
        if getattr(self, "use_stdin", False):
            # dask-jobqueue's LSF class goes through the shell here, and throws away what bsub says.
            command = shlex.split(self.submit_command)
            return await jobs.run(
                command, stdin=script, answer=self._answer, env=self._environment()
            )
        return await super()._submit_job(script)

    def _job_id_from_submit_output(self, out):
        # For every class the same, which HTCondor's would do in a way of its own.
        match = re.search(self.job_id_regexp, out)
        if match is None:
            said = " ".join(out.split())
            if not said:
                raise NoJobId(f"{self.submit_command.split()[0]} printed nothing, not a job id")
            raise NoJobId(f"there is no job id in its answer, {said!r}")
        return match["job_id"]

    async def start(self):
        owner = self._owner()
        with owner._guard.submission() as self._answer:
            try:
                await self._start_elsewhere(owner.recovery.nodes)
            except (RuntimeError, ValueError, OSError) as error:
                # ValueError: what the submit command printed holds no job id.
                self.status = Status.failed
                # Without what came before: it says no more, in seventy lines.
                raise refused(owner.batch, error) from None
            owner._note_submitted(self.name, self.job_id)

    async def _start_elsewhere(self, nodes):
        """Submit it, to none of the bad nodes where that is possible."""
        batch = self._owner().batch
        options = batch.leave_out(nodes.left_out, self.job_extra_directives)
        if not options:
            return await super().start()
        plain = self.submit_command
        self.submit_command = shlex.join([*shlex.split(plain), *options])
        try:
            await super().start()
        except jobs.CommandError as error:
            if not batch.says_nowhere(error.words):
                raise
            nodes.pardon()
            self.submit_command = plain
            await super().start()

    async def close(self):
        owner = self._owner()
        if self.job_id and owner is not None:
            await owner._canceller.cancel(self.job_id)
        # dask-jobqueue leaves this step out: the job would stay "running" for ever.
        await ProcessInterface.close(self)


def bound_to(cluster, job_cls: type, memory_limit: str | None = None, settings=None) -> type:
    """The job class of this one cluster; it keeps its name, which dask-jobqueue's messages use."""
    body = {
        "_owner": weakref.ref(cluster),
        "_memory_limit": memory_limit,
        "_job_id_line": cluster.batch.job_id_line,
        "_settings": settings,
    }
    # dask-jobqueue's own takes the first number, which may be one of a site's banner.
    if job_cls.job_id_regexp in _dask_jobqueues(job_cls):
        body["job_id_regexp"] = cluster.batch.job_id_pattern
    return type(job_cls.__name__, (OwnedJob, job_cls), body)


def _dask_jobqueues(job_cls: type) -> set[str]:
    """The patterns of a job's id that dask-jobqueue's own classes have."""
    own = [base for base in job_cls.__mro__ if base.__module__.startswith("dask_jobqueue.")]
    return {base.job_id_regexp for base in own if hasattr(base, "job_id_regexp")}


def refused(scheduler: Scheduler, error: Exception) -> SubmitError:
    """A failed submission as one line: the batch system's own words, and what to change."""
    if isinstance(error, jobs.CommandError) and error.missing:
        return SubmitError(
            f"{error.command} was not found: jobs can be submitted only where "
            f"{scheduler.label}'s commands are, usually the cluster's login node."
        )
    if isinstance(error, jobs.CommandError) and isinstance(error.__cause__, OSError):
        return SubmitError(f"{error.command} can't be run: {error.__cause__.strerror}.")
    if isinstance(error, NoJobId):
        return SubmitError(
            f"{error}. If {scheduler.label} took the job, nothing here cancels it: "
            f"`{scheduler.see_jobs}` shows it."
        )
    words = error.words if isinstance(error, jobs.CommandError) else " ".join(str(error).split())
    line = f"{scheduler.label} did not take the job: {words.rstrip('.')}."
    parts = [line, scheduler.advice(words)]
    prefix = scheduler.variables_before_script
    if found := sorted(name for name in os.environ if prefix and name.startswith(prefix)):
        goes = "goes" if len(found) == 1 else "go"
        parts.append(f"{', '.join(found)} in the environment {goes} before the job script.")
    return SubmitError(" ".join(filter(None, parts)))


class Submissions:
    """What scale returns on an event loop: awaited, it raises the refusal, if there was one.

    No coroutine, about which Python would complain where nobody awaits it.
    """

    def __init__(self, cluster):
        self._cluster = cluster

    def __await__(self):
        return self._cluster._submitted_or_refused().__await__()


class Canceller:
    """Collects the jobs that are to end at the same moment and cancels them with one call.

    A job that is taken for over since nobody has heard of it for long is cancelled, too: then it
    is over, whatever was wrong with the list.
    """

    def __init__(self, scheduler: Scheduler, watcher: jobs.Watcher):
        self.own: list[str] = []  # the words of the job class's cancel command
        self._scheduler = scheduler
        self._watcher = watcher
        self._waiting: list[str] = []
        self._task: asyncio.Task | None = None
        self._tried: dict[str, float] = {}  # in vain, when (time.monotonic); that was said
        self._flushes = Tasks("Cancelling jobs")
        watcher.subscribe(self._on_event)

    def _on_event(self, event: jobs.JobEvent) -> None:
        if event.state is JobState.GONE:
            self._waiting.append(event.job)
            self._begin()

    def _begin(self) -> asyncio.Task:
        if self._task is None:
            self._task = self._flushes.spawn(self._flush())
        return self._task

    async def over(self) -> None:
        """Return when nothing is being cancelled any more."""
        await self._flushes.over()

    async def cancel(self, *job_ids: str) -> None:
        """Returns when the batch system has been told; jobs known to be over are left out."""
        # Closing asks for each job once more; not again for what was just tried for a minute.
        now = time.monotonic()
        self._tried = {job: at for job, at in self._tried.items() if now - at < JUST_NOW}
        live = set(self._watcher.live) - set(self._tried)
        self._waiting += [job for job in job_ids if job in live]
        if not self._waiting:
            return
        await asyncio.shield(self._begin())

    async def _flush(self) -> None:
        # Whoever closes jobs starts all their close() at once; by now, the next turn of the event
        # loop, the others have come in.
        job_ids, self._waiting, self._task = self._waiting, [], None
        for pause in (1, 2, None):
            try:
                await jobs.cancel(self._scheduler, job_ids, self.own)
                break
            except jobs.CommandError as error:
                if pause == 1:
                    jobs.logger.warning(
                        "Jobs can't be cancelled at present, trying again: %s", error
                    )
                if pause is None:
                    self._tried.update(dict.fromkeys(job_ids, time.monotonic()))
                    command = jobs.cancel_words(self._scheduler, job_ids, self.own)
                    jobs.logger.error("Jobs may be left: %s. Cancel them: %s", error, command)
                    return
                await asyncio.sleep(pause)
        self._watcher.ended(job_ids, JobState.CANCELLED, "by us")
