"""Keep the jobs of a cluster that are not over, and the workers that belong to each of them."""

from __future__ import annotations

import itertools
import logging
import os.path
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distributed.core import Status, rpc
from distributed.protocol import pickle
from distributed.scheduler import heartbeat_interval

if TYPE_CHECKING:
    from distributed import Scheduler
    from distributed.scheduler import WorkerState

    from ..cluster.mixin import ClusterMixin

logger = logging.getLogger(__name__)

# After so many seconds without a further worker a job has all that its command starts.
SETTLED_S = 60.0
# A worker that was heard from within so many seconds is alive.
HEARD_S = 15.0


@dataclass(eq=False)
class JobKind:
    """Jobs that were submitted with the same arguments.

    Attributes
    ----------
    spec : dict
        Their entry in the cluster's ``worker_spec``.
    planned : int
        Number of workers of a job, according to the arguments.
    """

    spec: dict[str, Any]
    planned: int
    _most: int = 0  # workers that were seen at the same time in one of these jobs
    _settled: int = 0  # likewise, in one that had its time to start them

    @property
    def workers(self) -> int:
        """Number of workers of a job, as far as it is known.

        The arguments do not tell it where a worker command starts one worker for each GPU, or
        where the user's own options give the number.
        """
        return max(self._settled or self.planned, self._most)

    def record_workers(self, workers: int, settled: bool = False) -> None:
        """Note that one of these jobs has that many workers."""
        self._most = max(self._most, workers)
        if settled:
            self._settled = max(self._settled, workers)


@dataclass
class RestartHistory:
    """What became of a job and of the jobs that it replaces, one after another."""

    failures: int = 0  # in a row
    out_of_memory: int = 0
    idle: int = 0  # short lives in a row that ended in order, before any task did
    end_reported: bool = False  # that a job ended in order and another one is submitted
    # Its predecessor is there until then (time.monotonic): what a limit of jobs refuses now may be
    # taken later.
    predecessor_until: float = 0.0
    kind: JobKind | None = None  # a job is replaced by one of its kind


@dataclass(eq=False)
class TrackedJob:
    """A job of the cluster, from its submission to its end."""

    name: str  # as in the cluster's worker_spec
    job_id: str
    kind: JobKind
    history: RestartHistory
    number: int  # in the order of submission
    addresses: set[str] = field(default_factory=set)  # of its workers that are there
    nannies: set[str] = field(default_factory=set)  # addresses of all that its workers have had
    first_worker_at: float | None = None  # when the first worker came (time.monotonic)
    last_worker_at: float = 0.0  # when the last one did (time.monotonic)
    running_since: float | None = None  # when it was first seen to run (time.monotonic)
    # Since when none of its workers is there, after there was one.
    without_workers_since: float | None = None
    nannies_asked_at: float = 0.0  # when its nannies were last asked whether they start workers
    lost_reason: str = ""  # why it was given up by us, in words
    unresponsive: bool = False  # a worker of it was given up, since nothing was heard from it
    worker_died: bool = False  # a worker was gone while it had tasks, and none came in its place
    ended_in_order: bool = False  # its last worker that left had been retired, or retired itself
    useful: bool = False  # a task ended on one of its workers

    @property
    def uptime(self) -> float:
        """Seconds since its first worker came."""
        return 0.0 if self.first_worker_at is None else time.monotonic() - self.first_worker_at


class JobTracker:
    """The jobs that are not over, by their ids, and the job that each worker belongs to.

    Most workers have the name that the job script gives them. Where the user's options, job array
    or worker command name them differently, the worker itself is asked: the batch system tells
    each process of a job the job's id, in an environment variable.

    Parameters
    ----------
    cluster : ClusterMixin
    """

    def __init__(self, cluster: ClusterMixin):
        self._cluster = cluster
        self._jobs: dict[str, TrackedJob] = {}
        self._by_name: dict[str, TrackedJob] = {}
        self._by_address: dict[str, TrackedJob] = {}
        # Ids of jobs by the worker's own word, of those that are in none that is known here; None:
        # it has not answered yet.
        self._others: dict[str, list[str] | None] = {}
        self._asking: set[str] = set()
        self._numbers = itertools.count()

    def __iter__(self) -> Iterator[TrackedJob]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, job_id: str) -> TrackedJob:
        return self._jobs[job_id]

    def get(self, job_id: str) -> TrackedJob | None:
        return self._jobs.get(job_id)

    def pop(self, job_id: str) -> TrackedJob | None:
        """Take out a job that is over; its workers stay known as its own until `forget`."""
        return self._jobs.pop(job_id, None)

    def by_name(self, name: object) -> TrackedJob | None:
        """Return the job of that name in the cluster's ``worker_spec``."""
        return self._by_name.get(str(name))

    def by_address(self, address: str) -> TrackedJob | None:
        """Return the job that a worker belongs to."""
        return self._by_address.get(address)

    @property
    def has_unidentified_workers(self) -> bool:
        """Whether there are workers that may belong to any of the jobs."""
        return any(not jobs for jobs in self._others.values())

    def add(self, name: str, job_id: str, kind: JobKind, history: RestartHistory) -> TrackedJob:
        job = TrackedJob(str(name), job_id, kind, history, next(self._numbers))
        self._jobs[job_id] = self._by_name[job.name] = job
        return job

    def forget(self, job: TrackedJob) -> None:
        self._jobs.pop(job.job_id, None)
        if self._by_name.get(job.name) is job:
            del self._by_name[job.name]
        for address in job.addresses:
            if self._by_address.get(address) is job:
                del self._by_address[address]

    def add_worker(self, worker: WorkerState) -> TrackedJob | None:
        """Note that a worker has registered; return its job, if that is known already.

        Parameters
        ----------
        worker : distributed.scheduler.WorkerState
        """
        job = self._find(worker)
        if job is None:
            self._others.setdefault(worker.address, None)
            return None
        self._others.pop(worker.address, None)
        self._by_address[worker.address] = job
        job.addresses.add(worker.address)
        if worker.nanny:
            job.nannies.add(worker.nanny)
        job.last_worker_at = time.monotonic()
        job.kind.record_workers(len(job.addresses))
        return job

    def remove_worker(self, address: str) -> TrackedJob | None:
        """Note that a worker is gone; return the job that it belonged to, if that is known."""
        self._others.pop(address, None)
        job = self._by_address.pop(address, None)
        if job is not None:
            job.addresses.discard(address)
        return job

    def unidentified_workers(self) -> list[WorkerState]:
        """Return the workers whose job is not known."""
        workers = self._cluster.scheduler.workers
        return [workers[address] for address in list(self._others) if address in workers]

    def settle(self) -> None:
        """Learn how many workers jobs have. To be called now and then."""
        now = time.monotonic()
        for job in self._jobs.values():
            if job.addresses and now - job.last_worker_at >= SETTLED_S:
                job.kind.record_workers(len(job.addresses), settled=True)

    def has_live_worker(self, job_id: str) -> bool:
        """Return whether a worker of the job has been heard from just now."""
        job, scheduler = self.get(job_id), self._cluster.scheduler
        if job is None or scheduler is None:
            return False
        patience = max(HEARD_S, 3 * heartbeat_interval(len(scheduler.workers)))
        heard = [
            scheduler.workers[address].last_seen
            for address in job.addresses
            if address in scheduler.workers
        ]
        return bool(heard) and time.time() - max(heard) < patience

    def workers_to_ask(self) -> list[str]:
        """Return the workers to `ask`: neither their names nor they have told their job."""
        expected = {str(name) for name in self._cluster.worker_spec}
        addresses = [
            worker.address
            for worker in self.unidentified_workers()
            if self._others[worker.address] is None
            and worker.address not in self._asking
            # Faster than the answer of the submit command.
            and not expected.intersection(_names(worker))
        ]
        self._asking.update(addresses)
        return addresses

    async def ask(self, address: str) -> bool:
        """Ask a worker which job it belongs to, once it has started; return whether it answered.

        A worker that can't be reached is among `workers_to_ask` again.
        """
        text = " ".join(f"${name}" for name in self._cluster.batch.job_id_variables)
        arguments = self._cluster.scheduler.connection_args
        answer: dict[str, Any] = {}
        try:
            async with rpc(address, connection_args=arguments) as worker:
                # The function is there in any worker's Python; dask_hpc need not be.
                answer = await worker.run(
                    function=pickle.dumps(os.path.expandvars), args=pickle.dumps((text,))
                )
        except OSError:
            return False
        except Exception:
            logger.info("Worker %s does not say which job is its own", address, exc_info=True)
        finally:
            self._asking.discard(address)
        if address not in self._others:
            return False  # it has gone meanwhile
        words = str(answer.get("result", "")).split()
        self._others[address] = [number for word in words if (number := _number(word))]
        return True

    def _find(self, worker: WorkerState) -> TrackedJob | None:
        for name in _names(worker):
            if (job := self._by_name.get(name)) is not None:
                return job
        for job in self._jobs.values():
            if worker.nanny and worker.nanny in job.nannies:
                return job
        told = self._others.get(worker.address) or []
        numbers = {_number(job_id): job for job_id, job in self._jobs.items()}
        return next((numbers[number] for number in told if number in numbers), None)


def workers_named(scheduler: Scheduler | None, addresses: Iterable[str]) -> list[WorkerState]:
    """Return the workers at these addresses, as far as the scheduler has them."""
    if scheduler is None:
        return []
    return [scheduler.workers[a] for a in list(addresses) if a in scheduler.workers]


def count_running(scheduler: Scheduler | None, addresses: Iterable[str]) -> int:
    """Return how many workers at these addresses can be given tasks."""
    return sum(worker.status is Status.running for worker in workers_named(scheduler, addresses))


def _names(worker: WorkerState) -> list[str]:
    """Return a worker's name, and the name without the number that tells a job's workers apart."""
    name = str(worker.name)
    return [name, re.sub(r"-\d+$", "", name)]


def _number(text: str) -> str:
    """Return the number in an id, without the server or the array's task: ``12[3].server``."""
    match = re.match(r"\d+", text)
    return match[0] if match else ""
