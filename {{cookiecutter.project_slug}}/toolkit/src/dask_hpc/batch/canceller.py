"""Cancel jobs, several with one command."""

import asyncio
import time

from .._asyncio import BackgroundTasks
from . import BatchSystem, JobState, commands
from . import watcher as batch_watcher

# Do not retry a job that could not be cancelled within this many seconds.
CANCEL_COALESCE_S = 10.0


class BatchedCanceller:
    """Collect jobs that are cancelled at the same time, and cancel them with one call.

    This also cancels jobs that are considered gone because they have long been missing from the
    list, in case the list is wrong.
    """

    def __init__(self, batch_system: BatchSystem, watcher: batch_watcher.JobWatcher) -> None:
        self.own: list[str] = []  # the words of the job class's cancel command
        self._batch_system = batch_system
        self._watcher = watcher
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._tried: dict[str, float] = {}  # failed jobs, already reported -> when (time.monotonic)
        self._flushes = BackgroundTasks("Cancelling jobs")
        watcher.subscribe(self._on_event)

    def _on_event(self, event: batch_watcher.JobEvent) -> None:
        if event.state is JobState.GONE:
            self._waiting.append(event.job)
            self._begin()

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = self._flushes.start(self._flush())
        return self._task

    async def over(self) -> None:
        """Wait until all cancellations have finished."""
        await self._flushes.wait()

    async def cancel(self, *job_ids: str) -> None:
        """Cancel jobs that are not known to have ended; return once the cancel command has run."""
        # Closing cancels each job again; do not retry one that has just failed.
        now = time.monotonic()
        self._tried = {job: at for job, at in self._tried.items() if now - at < CANCEL_COALESCE_S}
        live = set(self._watcher.active) - set(self._tried)
        self._waiting += [job for job in job_ids if job in live]
        if not self._waiting:
            return
        await asyncio.shield(self._begin())

    async def _flush(self) -> None:
        # Callers close all jobs at once; now, one turn of the event loop later, all of their calls
        # have arrived.
        job_ids, self._waiting, self._task = self._waiting, [], None
        for pause in (1, 2, None):
            try:
                await commands.cancel(self._batch_system, job_ids, self.own)
                break
            except commands.CommandError as error:
                if pause == 1:
                    batch_watcher.logger.warning(
                        "Cannot cancel jobs at the moment, retrying: %s", error
                    )
                if pause is None:
                    self._tried.update(dict.fromkeys(job_ids, time.monotonic()))
                    command = commands.cancel_words(self._batch_system, job_ids, self.own)
                    batch_watcher.logger.error(
                        "Could not cancel jobs: %s. To cancel them, run: %s", error, command
                    )
                    return
                await asyncio.sleep(pause)
        self._watcher.ended(job_ids, JobState.CANCELLED, "by us")
