"""Cancel jobs, several with one command."""

import asyncio
import time

from .._asyncio import BackgroundTasks
from . import BatchSystem, JobState, commands
from . import watcher as batch_watcher

# Seconds in which a job that could not be cancelled is not tried again.
CANCEL_COALESCE_S = 10.0


class BatchedCanceller:
    """Collects the jobs that are to end at the same moment and cancels them with one call.

    A job that is considered over because it has been missing for long is cancelled, too, so that it
    is over even if the list was wrong.
    """

    def __init__(self, batch_system: BatchSystem, watcher: batch_watcher.JobWatcher) -> None:
        self.own: list[str] = []  # the words of the job class's cancel command
        self._batch_system = batch_system
        self._watcher = watcher
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._tried: dict[str, float] = {}  # in vain, when (time.monotonic); that was said
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
        """Wait until nothing is being cancelled any more."""
        await self._flushes.wait()

    async def cancel(self, *job_ids: str) -> None:
        """Cancel jobs that are not known to be over; return when the batch system was told."""
        # Closing asks for each job once more; not again for what was just tried for a minute.
        now = time.monotonic()
        self._tried = {job: at for job, at in self._tried.items() if now - at < CANCEL_COALESCE_S}
        live = set(self._watcher.active) - set(self._tried)
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
                await commands.cancel(self._batch_system, job_ids, self.own)
                break
            except commands.CommandError as error:
                if pause == 1:
                    batch_watcher.logger.warning(
                        "Jobs can't be cancelled at present, trying again: %s", error
                    )
                if pause is None:
                    self._tried.update(dict.fromkeys(job_ids, time.monotonic()))
                    command = commands.cancel_words(self._batch_system, job_ids, self.own)
                    batch_watcher.logger.error(
                        "Jobs may be left: %s. Cancel them: %s", error, command
                    )
                    return
                await asyncio.sleep(pause)
        self._watcher.ended(job_ids, JobState.CANCELLED, "by us")
