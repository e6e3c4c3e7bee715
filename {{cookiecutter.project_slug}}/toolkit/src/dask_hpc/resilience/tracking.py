"""Track a cluster's unfinished jobs and the workers that belong to each of them."""

import itertools
from collections.abc import Callable, Iterator

from distributed.core import Status
from distributed.scheduler import WorkerState, heartbeat_interval

from .._asyncio import BackgroundTasks, Clock
from ..batch import JobState, JobStatus
from ..batch.watcher import JobEvent
from .interface import JobPool
from .tracked_job import JobKind, RestartHistory, TrackedJob
from .worker_identity import ask_for_job_ids, id_number, possible_names, workers_named

# If no further worker has connected for this long, a job has started all its workers.
SETTLED_S = 60.0
# A worker that sent a heartbeat within this many seconds is alive.
HEARD_S = 15.0
# Workers that died within this many seconds may have died of the same cause.
RECENT_DEATHS_S = 60.0


class JobTracker:
    """The unfinished jobs, by id, and the job that each worker belongs to.

    All events of jobs and workers arrive here, from the batch system's watcher and from Dask's
    scheduler, and are passed on to the callbacks in the lists below.

    Most workers have the name that the job script gives them. If the user's options, a job array,
    or the worker command name them differently, the tracker asks the worker itself.

    Parameters
    ----------
    pool : JobPool
    clock : Clock
    tasks : BackgroundTasks

    Attributes
    ----------
    any_worker_came : bool
        Whether any worker of any job ever connected.
    nodes_seen : set of str
        Nodes on which jobs have run.
    on_job_ended : list of callable
        Called with a `TrackedJob` and its last `JobStatus`, unless we ended the job ourselves.
    on_worker_added : list of callable
        Called with a `TrackedJob` and a `distributed.scheduler.WorkerState`.
    on_worker_died : list of callable
        Called with a `TrackedJob` and the keys of the tasks of a worker that left unasked. The
        job's `ended_in_order` tells whether the worker closed gracefully.
    """

    def __init__(self, pool: JobPool, clock: Clock, tasks: BackgroundTasks):
        self.any_worker_came = False
        self.nodes_seen: set[str] = set()
        self.on_job_ended: list[Callable[[TrackedJob, JobStatus], None]] = []
        self.on_worker_added: list[Callable[[TrackedJob, WorkerState], None]] = []
        self.on_worker_died: list[Callable[[TrackedJob, list[str]], None]] = []
        self._pool = pool
        self._clock = clock
        self._tasks = tasks
        self._jobs: dict[str, TrackedJob] = {}
        self._by_name: dict[str, TrackedJob] = {}
        self._by_address: dict[str, TrackedJob] = {}
        # Workers of no known job: address -> job ids that the worker reported, or None while it has
        # not answered.
        self._others: dict[str, list[str] | None] = {}
        self._asking: set[str] = set()
        self._numbers = itertools.count()

    def __iter__(self) -> Iterator[TrackedJob]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def by_id(self, job_id: str) -> TrackedJob | None:
        """Return the job with this id."""
        return self._jobs.get(job_id)

    def by_name(self, name: object) -> TrackedJob | None:
        """Return the job with this name in the cluster's ``worker_spec``."""
        return self._by_name.get(str(name))

    def by_address(self, address: str) -> TrackedJob | None:
        """Return the job that a worker belongs to."""
        return self._by_address.get(address)

    # --- events -----------------------------------------------------------------------------------

    def job_submitted(
        self, name: str, job_id: str, kind: JobKind, history: RestartHistory | None = None
    ) -> None:
        """Record that the batch system has accepted a job.

        Parameters
        ----------
        name, job_id : str
        kind : JobKind
        history : RestartHistory, optional
            Inherited from the job that it replaces, if any.
        """
        history = history or RestartHistory(kind)
        job = TrackedJob(str(name), job_id, kind, history, next(self._numbers))
        self._jobs[job_id] = self._by_name[job.name] = job
        # A worker may connect before the submit command returns.
        for worker in self._unidentified():
            self.worker_added(worker)

    def job_changed(self, event: JobEvent) -> None:
        """React to a change that the batch system reports about a job."""
        if (job := self._jobs.get(event.job)) is None:
            return
        job.state, job.node = event.state, event.node
        if event.node and not event.state.ended:
            self.nodes_seen.add(event.node)
        if event.state is JobState.PENDING:  # requeued: it will start again
            job.running_since = job.without_workers_since = None
        elif event.state is JobState.RUNNING and job.running_since is None:
            status = self._pool.status(job.job_id)
            ran = status.elapsed if status is not None else None
            job.running_since = self._clock.monotonic() - (ran or 0.0)
        elif event.state.ended:
            del self._jobs[job.job_id]
            if event.reason == "by us" and not job.lost_reason:
                self.forget(job)
                return
            status = JobStatus(event.job, event.state, event.reason, event.node)
            for tell in self.on_job_ended:
                tell(job, status)

    def worker_added(self, worker: WorkerState) -> None:
        """Record that a worker has registered, or has reported which job it belongs to."""
        self.any_worker_came = True
        if (job := self._find(worker)) is None:
            self._others.setdefault(worker.address, None)
            self.ask_workers()
            return
        now = self._clock.monotonic()
        self._others.pop(worker.address, None)
        self._by_address[worker.address] = job
        job.addresses.add(worker.address)
        if worker.nanny:
            job.nannies.add(worker.nanny)
        job.last_worker_at = now
        job.kind.record_workers(len(job.addresses))
        if not job.lost_reason:
            job.without_workers_since, job.worker_died = None, False
            if job.first_worker_at is None:
                job.first_worker_at = now
            if job.running_since is None:
                self._pool.poll_soon()  # to learn since when it has been running
        for tell in self.on_worker_added:
            tell(job, worker)

    def worker_removed(self, address: str, tasks: list[str], closing: str = "") -> None:
        """Record that a worker is gone.

        Parameters
        ----------
        address : str
            The worker's address.
        tasks : list of str
            Keys of its tasks, if it left unasked.
        closing : str
            The closing status that it reported last; empty if it reported none, for example because
            its process was killed or its connection broke.
        """
        self._others.pop(address, None)
        if (job := self._by_address.pop(address, None)) is None:
            return
        job.addresses.discard(address)
        job.ended_in_order = closing == Status.closing_gracefully.name
        if not job.addresses:
            job.without_workers_since = self._clock.monotonic()
            self._pool.poll_soon()
        if not tasks or job.lost_reason:
            return
        if not job.ended_in_order and not closing:
            job.worker_died = True
            job.deaths = [*self._recent_deaths(job), self._clock.monotonic()]
        for tell in self.on_worker_died:
            tell(job, tasks)

    def task_ended(self, address: str) -> None:
        """Record that a task has finished on a worker, successfully or not."""
        if (job := self._by_address.get(address)) is not None:
            job.useful = True

    def forget(self, job: TrackedJob) -> None:
        """Forget a job that has ended, and its workers."""
        self._jobs.pop(job.job_id, None)
        if self._by_name.get(job.name) is job:
            del self._by_name[job.name]
        for address in job.addresses:
            if self._by_address.get(address) is job:
                del self._by_address[address]

    # --- workers ----------------------------------------------------------------------------------

    @property
    def has_unidentified_workers(self) -> bool:
        """Whether there are workers whose job is not known."""
        return any(not jobs for jobs in self._others.values())

    def has_live_worker(self, job_id: str) -> bool:
        """Return whether a worker of the job has sent a heartbeat recently."""
        job, scheduler = self._jobs.get(job_id), self._pool.scheduler
        if job is None or scheduler is None:
            return False
        patience = max(HEARD_S, 3 * heartbeat_interval(len(scheduler.workers)))
        heard = [worker.last_seen for worker in workers_named(scheduler, job.addresses)]
        return bool(heard) and self._clock.time() - max(heard) < patience

    def has_workers_elsewhere(self, node: str) -> bool:
        """Return whether workers of other nodes are connected, with which to compare this one."""
        return any(job.addresses and job.node not in ("", node) for job in self)

    def dies_alone(self, job: TrackedJob) -> bool:
        """Return whether workers died in this job lately, and in none of those on other nodes."""
        if not (job.node and self.has_workers_elsewhere(job.node) and self._recent_deaths(job)):
            return False
        return not any(self._recent_deaths(other) for other in self if other.node != job.node)

    def _recent_deaths(self, job: TrackedJob) -> list[float]:
        since = self._clock.monotonic() - RECENT_DEATHS_S
        return [died for died in job.deaths if died > since]

    def tick(self) -> None:
        """Identify workers and update the number of workers per job. Call this periodically."""
        self.ask_workers()
        now = self._clock.monotonic()
        for job in self._jobs.values():
            if job.addresses and now - job.last_worker_at >= SETTLED_S:
                job.kind.record_workers(len(job.addresses), settled=True)

    def ask_workers(self) -> None:
        """Ask workers which job they belong to, if their names do not tell.

        The next call asks unreachable workers again.
        """
        expected = set(self._pool.names)
        for worker in self._unidentified():
            address = worker.address
            # Some workers connect before the submit command returns.
            is_new = self._others[address] is None and address not in self._asking
            if is_new and not expected.intersection(possible_names(worker)):
                self._asking.add(address)
                self._tasks.spawn(self._ask_worker(address))

    async def _ask_worker(self, address: str) -> None:
        variables = self._pool.batch.job_id_variables
        try:
            answer = await ask_for_job_ids(self._pool.scheduler, address, variables)
        finally:
            self._asking.discard(address)
        if answer is None or address not in self._others:
            return  # unreachable, or gone by now
        self._others[address] = answer
        for worker in workers_named(self._pool.scheduler, [address]):
            self.worker_added(worker)

    def _unidentified(self) -> list[WorkerState]:
        return workers_named(self._pool.scheduler, self._others)

    def _find(self, worker: WorkerState) -> TrackedJob | None:
        for name in possible_names(worker):
            if (job := self._by_name.get(name)) is not None:
                return job
        for job in self._jobs.values():
            if worker.nanny and worker.nanny in job.nannies:
                return job
        told = self._others.get(worker.address) or []
        numbers = {id_number(job_id): job for job_id, job in self._jobs.items()}
        return next((numbers[number] for number in told if number in numbers), None)
