"""Fakes for tests of decisions: a clock that a test sets, and a pool of jobs without a cluster."""

import asyncio
import functools
import itertools
from types import SimpleNamespace

from distributed.core import Status

from dask_hpc import batch
from dask_hpc._asyncio import BackgroundTasks
from dask_hpc._output.messages import Messages
from dask_hpc.batch import JobState, JobStatus
from dask_hpc.batch.watcher import JobEvent
from dask_hpc.cluster.control import JobControl
from dask_hpc.resilience.tracked_job import JobKind
from dask_hpc.resilience.tracking import JobTracker

JOB = SimpleNamespace(job_extra_directives=[], job_name="dask-worker", job_header="")


def on_loop(test):
    """Run a test on an event loop."""

    @functools.wraps(test)
    def run(**arguments):
        asyncio.run(test(**arguments))

    return run


class FakeClock:
    """A clock that a test sets; who sleeps by it wakes when the test has moved it so far."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move the clock, and let those run whom that wakes."""
        end = self.now + seconds
        await self._run_others()  # to where they sleep
        while self.now < end:
            self.now = min(end, self.now + 0.1)
            await self._run_others()

    async def _run_others(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


class FakeScheduler:
    """What policies look at, and the workers that were removed: whether that was expected."""

    address = "tcp://10.0.0.1:8786"
    worker_ttl = 300.0

    def __init__(self):
        self.workers = {}
        self.plugins = {}
        self.stream_comms = {}
        self.removed: dict[str, bool] = {}
        self.on_removed = lambda address: None

    @property
    def running(self):
        return [worker for worker in self.workers.values() if worker.status is Status.running]

    async def remove_worker(self, address, *, expected=True, **_):
        self.removed[address] = expected
        self.workers.pop(address, None)
        self.on_removed(address)


class FakePool:
    """Jobs that are wanted, by name, and what was asked of a batch system that is not there."""

    def __init__(self, clock: FakeClock, target: int = 0):
        self.batch = batch.get("slurm")
        self.name = "SLURMCluster"
        self.scheduler = FakeScheduler()
        self.clock = clock
        self.target = target
        self.is_running = True
        self.is_adapting = False
        self.jobs: dict[str, JobKind | None] = {}
        self.statuses: dict[str, JobStatus] = {}
        self.released: list[str] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.submissions: list[list[str]] = []
        self.refusal = None  # the next submissions are refused with it
        self.answers = True  # whether the batch system does
        self.last_poll = 0.0
        self.polls = 0
        self.can_exclude_nodes = True
        self.on_submitted = lambda name: None
        self._error = None
        self._made = 0

    @property
    def names(self):
        return list(self.jobs)

    def is_wanted(self, name):
        return name in self.jobs

    def status(self, job_id):
        return self.statuses.get(job_id)

    def poll_soon(self):
        self.polls += 1

    async def poll(self):
        self.polls += 1
        if self.answers:
            self.last_poll = self.clock.now
        return self.answers

    def add(self, kind=None):
        name = f"job-{self._made}"
        self._made += 1
        self.jobs[name] = kind
        return name

    async def submit(self):
        await asyncio.sleep(0)
        new = [name for name in self.jobs if name not in itertools.chain(*self.submissions)]
        self.submissions.append(new)
        for name in new:
            if self.refusal is None:
                self.on_submitted(name)
            else:
                del self.jobs[name]
                self.target -= 1
                self._error = self.refusal

    def pop_submit_error(self):
        error, self._error = self._error, None
        return error

    def release(self, name):
        self.jobs.pop(name, None)
        self.released.append(name)

    async def finish(self, name):
        self.finished.append(name)

    async def remove(self, name):
        self.jobs.pop(name, None)

    async def cancel(self, job_ids):
        self.cancelled += job_ids

    def can_exclude(self, nodes):
        return bool(nodes) and self.can_exclude_nodes


class World:
    """A pool of jobs with a tracker, on which a test lets things happen; make it on a loop."""

    def __init__(self, jobs: int = 0):
        self.clock = FakeClock()
        self.pool = FakePool(self.clock, target=jobs)
        self.messages = Messages()
        self.tasks = BackgroundTasks("Test")
        self.tracker = JobTracker(self.pool, self.clock, self.tasks)
        # What every policy takes.
        self.shared = (self.pool, self.tracker, self.clock, self.messages, self.tasks)
        self.pool.scheduler.on_removed = lambda address: self.tracker.worker_removed(address, [])
        self.kind = JobKind({}, 1)
        for number in range(jobs):
            self.submitted(self.pool.add(self.kind), str(100 + number))
        self.pool.submissions.append(self.pool.names)

    @property
    def said(self) -> list[str]:
        """Lines of trouble, oldest first."""
        return list(self.messages.recent)

    def submitted(self, name, job_id, history=None):
        self.tracker.job_submitted(name, job_id, self.kind, history)

    def job(self, number: int = 0):
        """Return the tracked job of this number."""
        return self.tracker.by_id(str(100 + number))

    def event(self, number: int, state: str, reason: str = "", node: str = "node1", left=None):
        """Let the batch system say something new of a job."""
        job_id, state = str(100 + number), JobState(state)
        self.pool.statuses[job_id] = JobStatus(job_id, state, reason, node, elapsed=0.0, left=left)
        self.pool.last_poll = self.clock.now
        self.tracker.job_changed(JobEvent(self.clock.now, job_id, state, reason, node))

    def worker(self, number: int, address: str = "", name: str = ""):
        """Let a worker of a job register, and return it."""
        workers = self.pool.scheduler.workers
        address = address or f"tcp://10.0.0.2:{1000 + len(workers)}"
        worker = workers[address] = fake_worker(address, name or f"job-{number}-0")
        worker.last_seen = self.clock.now
        self.tracker.worker_added(worker)
        return worker

    def gone(self, worker, tasks=(), closing=""):
        """Let a worker go."""
        self.pool.scheduler.workers.pop(worker.address, None)
        self.tracker.worker_removed(worker.address, list(tasks), closing)


def fake_worker(address: str, name: str, tasks=(), nbytes: int = 0):
    """Return a worker as the scheduler knows it."""
    return SimpleNamespace(
        address=address,
        name=name,
        nanny=None,
        last_seen=0.0,
        status=Status.running,
        processing=list(tasks),
        long_running=[],
        nbytes=nbytes,
    )


class FakeCluster:
    """What `JobControl`, `JobsWait` and `Adaptive` see of a cluster, with jobs of two workers."""

    def __init__(self):
        numbers = itertools.count()
        self.batch = batch.get("slurm")
        self.status = Status.running
        self.scheduler = FakeScheduler()
        self.adapting = False
        self.worker_spec = {}
        self.workers = {}
        self.new_spec = {"cls": object, "options": {"processes": 2}}
        self.new_worker_spec = lambda: {f"job-{next(numbers)}": self.new_spec}
        self.loop = SimpleNamespace(add_callback=lambda function: None)
        self.plan = self.requested = set()
        self.scheduler_info = {"workers": {}}

    async def scale_down(self, names):
        for name in names:
            self.worker_spec.pop(name)


def fake_control(clock: FakeClock, cluster: FakeCluster | None = None) -> JobControl:
    """Return the control of a cluster that has started, and has no job."""
    settings = SimpleNamespace(
        cores=2,
        processes=2,
        memory="1 GiB",
        log_directory=None,
        walltime=600,
        death_timeout=60,
        origins=lambda _text: "",
        get=lambda _key: None,
    )
    return JobControl(
        cluster or FakeCluster(),
        settings,
        max_resubmits=5,
        idle_timeout=None,
        correct_state=lambda: asyncio.sleep(0),
        any_job=lambda: JOB,
        end_itself=lambda: None,
        clock=clock,
    )
