"""What `adapt` decides, without a cluster: the clock is set."""

import itertools
from types import SimpleNamespace

import pytest

from dask_hpc.cluster import adaptive
from dask_hpc.cluster.adaptive import Adaptive
from dask_hpc.errors import SubmitError

from .fakes import FakeClock, FakeCluster, fake_control, fake_worker, on_loop

REFUSAL = "Slurm rejected the job: QOSMaxSubmitJobPerUserLimit."


class Adapting:
    """A cluster of jobs of two workers that adapts; `jobs` asks it for so many jobs."""

    def __init__(self, jobs=0):
        self.clock = FakeClock()
        self.cluster = FakeCluster()
        self.control = fake_control(self.clock, self.cluster)
        self.adaptive = Adaptive(self.cluster, self.control, interval=0, wait_count=2)
        for number in range(jobs):
            name = self.control.pool.add()
            kind = self.control.pool.kind(name)
            self.control.tracker.job_submitted(name, str(100 + number), kind)

    def worker(self, number, tasks=(), nbytes=0, name=""):
        """Let a worker of a job register; by a name of its own it belongs to none."""
        scheduler = self.cluster.scheduler
        address = f"tcp://10.0.0.2:{1000 + len(scheduler.workers)}"
        worker = fake_worker(address, name or f"job-{number}-{len(scheduler.workers)}")
        worker.processing, worker.nbytes = list(tasks), nbytes
        scheduler.workers[address] = worker
        self.control.tracker.worker_added(worker)
        return worker

    async def jobs(self, number):
        """Return what is recommended, twice, so that what is to close is ripe."""
        await self.adaptive.recommendations(2 * number)
        return await self.adaptive.recommendations(2 * number)


@on_loop
async def test_whole_jobs_are_added():
    world = Adapting(jobs=1)
    assert await world.adaptive.recommendations(3) == {"status": "up", "n": 4}


@on_loop
async def test_job_about_to_be_submitted_again_counts():
    world = Adapting(jobs=1)
    world.control.replacements.scheduled = 1
    assert await world.jobs(2) == {"status": "same"}


@on_loop
async def test_abandoned_job_is_not_asked_for_until_the_work_is_over():
    world = Adapting(jobs=1)
    world.control.replacements.abandoned = 1
    assert await world.jobs(2) == {"status": "same"}
    assert await world.jobs(1) == {"status": "same"}
    assert await world.jobs(2) == {"status": "up", "n": 4}


@on_loop
async def test_refused_jobs_are_asked_for_ever_more_rarely(monkeypatch):
    world = Adapting()
    monkeypatch.setattr(adaptive, "time", world.clock)
    asked = []
    for second in range(62):
        if (await world.adaptive.recommendations(8))["status"] == "up":
            asked.append(second)
            world.control.pool.submit_errors.clear()
            world.control.pool.submit_errors.record(SubmitError(REFUSAL))
        world.clock.now += 1
    # After 2, 4, 8 and 16 s, counted from when the refusal is seen.
    assert [b - a for a, b in itertools.pairwise(asked)] == [3, 5, 9, 17]
    assert next(iter(world.control.messages.recent)) == f"{REFUSAL} Retrying in 2 s."
    assert len(world.control.messages.recent) == len(asked)


@on_loop
async def test_idle_job_with_the_least_results_goes_first():
    world = Adapting(jobs=4)
    world.worker(0, nbytes=9)
    world.worker(1, nbytes=5)
    world.worker(2, tasks=["busy"])
    assert await world.jobs(2) == {"status": "down", "workers": ["job-3", "job-1"]}


@on_loop
async def test_only_what_is_superfluous_twice_in_a_row_goes():
    world = Adapting(jobs=2)
    assert await world.adaptive.recommendations(2) == {"status": "same"}
    assert await world.adaptive.recommendations(4) == {"status": "same"}
    assert await world.adaptive.recommendations(2) == {"status": "same"}
    assert (await world.adaptive.recommendations(2))["status"] == "down"


@on_loop
async def test_last_results_keep_their_job():
    world = Adapting(jobs=2)
    world.worker(0, nbytes=1)
    world.worker(1, nbytes=1)
    assert await world.jobs(0) == {"status": "down", "workers": ["job-0"]}


@on_loop
async def test_job_of_a_busy_worker_with_a_name_of_its_own_stays():
    world = Adapting(jobs=2)
    scheduler, tracker = world.cluster.scheduler, world.control.tracker
    for number in range(2):
        tracker._others[f"tcp://10.0.0.2:{1000 + number}"] = [str(100 + number)]
        world.worker(number, tasks=["busy"], name=f"mine-{number}")
    assert tracker.by_address("tcp://10.0.0.2:1001").job_id == "101"
    assert await world.jobs(0) == {"status": "same"}
    scheduler.workers["tcp://10.0.0.2:1001"].processing.clear()
    assert await world.jobs(0) == {"status": "down", "workers": ["job-1"]}


@on_loop
async def test_job_stays_while_whose_a_worker_is_is_not_known():
    world = Adapting(jobs=1)
    world.control.tracker._others["tcp://10.0.0.2:1000"] = []
    assert await world.jobs(0) == {"status": "same"}
    world.control.tasks.close()


@on_loop
async def test_plugin_keeps_its_workers():
    world = Adapting(jobs=1)
    world.worker(0)
    plugin = SimpleNamespace(valid_workers_downscaling=lambda scheduler, workers: [])
    world.cluster.scheduler.plugins["keep"] = plugin
    assert await world.jobs(0) == {"status": "same"}


@pytest.fixture
def retired(monkeypatch):
    """Record whose results move; those of `stuck` addresses can't."""
    retired = SimpleNamespace(happened=[], stuck=set())

    async def retire(scheduler, addresses):
        retired.happened.append(f"move {', '.join(sorted(addresses))}")
        return sorted(addresses & retired.stuck)

    monkeypatch.setattr(adaptive, "retire", retire)
    return retired


@on_loop
async def test_each_job_goes_as_soon_as_its_own_results_have_moved(retired):
    world = Adapting(jobs=2)
    first, second = (world.worker(number).address for number in range(2))

    async def scale_down(names):
        retired.happened.append(f"end {', '.join(names)}")

    world.cluster.scale_down = scale_down
    await world.adaptive.scale_down(["job-0", "job-1"])
    assert retired.happened == [f"move {first}", "end job-0", f"move {second}", "end job-1"]


@on_loop
async def test_job_whose_results_nobody_takes_stays(retired):
    world = Adapting(jobs=2)
    retired.stuck.add(world.worker(0).address)
    await world.adaptive.scale_down(["job-0", "job-1"])
    assert world.control.pool.names == ["job-0"]


@on_loop
async def test_job_to_which_a_task_has_come_meanwhile_stays(retired):
    world = Adapting(jobs=1)
    world.worker(0, tasks=["late"])
    await world.adaptive.scale_down(["job-0"])
    assert world.control.pool.names == ["job-0"]
    assert retired.happened == []
