"""Where tasks run after a worker died or while one leaves, and that none waits in vain."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from distributed import Client, Scheduler, Worker
from distributed.core import Status

from dask_hpc._compat.unrunnable_tasks import restart_unrunnable
from dask_hpc.dask_errors import TaskExceedsWalltimeError
from dask_hpc.resilience import draining
from dask_hpc.resilience.draining import drain, retire, unanswered
from dask_hpc.resilience.task_limits import WalltimeInterruptions

GONE = "tcp://127.0.0.1:9"


@asynccontextmanager
async def workers(*names):
    """Run a scheduler, and workers of one thread each, in this process."""
    async with (
        Scheduler(port=0, dashboard=False) as scheduler,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        started = [await Worker(scheduler.address, nthreads=1, name=name) for name in names]
        try:
            yield scheduler, client, started
        finally:
            for worker in started:
                await worker.close(executor_wait=False)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Wait no longer for a worker's word than it takes: two heartbeats, half a second each."""
    monkeypatch.setattr(draining, "HEARTBEAT_WAIT_S", 0.0)


def test_tasks_that_need_what_no_worker_has_do_not_keep_others_from_starting():
    async def test():
        async with workers() as (scheduler, client, started):
            preferred = {"workers": [GONE], "allow_other_workers": True}
            needs = client.submit(abs, -1, resources={"GPU": 1}, **preferred)
            other = client.submit(abs, -2, **preferred)
            await until(lambda: len(scheduler.unrunnable) == 2)
            started.append(await Worker(scheduler.address, nthreads=1))
            await until(lambda: scheduler.running)
            restart_unrunnable(scheduler)
            assert await other == 2
            assert scheduler.tasks[needs.key].state == "no-worker"

    run(test)


class Counter:
    def value(self):
        return 7


def test_a_worker_whose_actor_waits_can_still_be_retired():
    async def test():
        async with workers("a", "b") as (scheduler, client, started):
            busy = [client.submit(time.sleep, 2, workers=[w.address], pure=False) for w in started]
            await until(lambda: all(w.processing for w in scheduler.workers.values()))
            future = client.submit(Counter, actor=True)
            await until(lambda: future.key in scheduler.tasks)
            await until(lambda: scheduler.tasks[future.key].processing_on)
            worker = scheduler.tasks[future.key].processing_on
            await drain(scheduler, [worker.address], time.monotonic() + 10)
            actor = await future
            assert await actor.value() == 7
            await client.gather(busy)
            [holder] = [w.address for w in scheduler.workers.values() if w.actors]
            assert holder != worker.address
            assert await retire(scheduler, {*scheduler.workers} - {holder}) == []

    run(test)


def test_a_worker_that_is_started_anew_in_a_job_that_is_left_gets_no_tasks():
    async def test():
        async with workers("job-0", "job-1", "other") as (scheduler, client, started):
            # The job's other worker is busy meanwhile, so that leaving goes on.
            busy = client.submit(time.sleep, 1.5, workers=[started[1].address])
            futures = client.map(time.sleep, [0.5] * 30, pure=False)
            await until(lambda: all(w.processing for w in scheduler.workers.values()))
            end = time.monotonic() + 20
            addresses = {started[0].address, started[1].address}
            leaving = asyncio.create_task(drain(scheduler, addresses, end))
            first = scheduler.workers[started[0].address]
            await until(lambda: first.status is Status.closing_gracefully)
            await scheduler.remove_worker(started[0].address, stimulus_id="nanny")
            anew = await Worker(scheduler.address, nthreads=1, name="job-0")
            started.append(anew)
            addresses.add(anew.address)
            assert await leaving == []
            assert scheduler.workers[anew.address].status is Status.closing_gracefully
            assert not all(future.done() for future in futures)
            await busy

    run(test)


def test_a_task_that_a_worker_may_be_executing_is_not_begun_elsewhere_beside(tmp_path):
    def work():
        with (tmp_path / "begun").open("a") as file:
            file.write("x")
        time.sleep(2)

    async def test():
        async with workers("a", "b") as (scheduler, client, started):
            for worker in started:
                # As where a task holds Python's lock: nothing is heard of what it executes.
                worker.periodic_callbacks["heartbeat"].stop()
            future = client.submit(work, workers=[started[0].address], allow_other_workers=True)
            await until(lambda: future.key in started[0].active_keys)
            await drain(scheduler, [started[0].address], time.monotonic() + 20)
            await future
            assert (tmp_path / "begun").read_text() == "x"

    run(test)


def test_a_node_that_answers_is_known_to():
    async def test():
        async with workers("a") as (scheduler, client, [worker]):
            await client.submit(abs, -1)
            assert 0 <= unanswered(scheduler, worker.address) < 20
            assert unanswered(scheduler, GONE) == 0
            stream = scheduler.stream_comms[worker.address].comm.stream
            await until(lambda: unanswered(scheduler, worker.address) > 0)  # by milliseconds
            stream.close()
            assert unanswered(scheduler, worker.address) == 0

    run(test)


def test_a_task_that_was_too_long_and_is_tried_again_has_all_its_times_again():
    async def test():
        async with workers("a") as (scheduler, client, _):
            reruns = WalltimeInterruptions(scheduler)
            future = client.submit(time.sleep, 3)
            await until(lambda: future.key in scheduler.tasks)
            task = scheduler.tasks[future.key]
            await until(lambda: task.state == "processing")
            for _ in range(3):
                reruns.stopped([task], "a job runs for 1 s")
            with pytest.raises(TaskExceedsWalltimeError) as error:
                await future
            assert str(error.value) == (
                f"Task {future.key!r} was interrupted 3 times by a job's walltime (a job runs for "
                "1 s) and is not restarted: request a longer walltime, or split it into "
                "shorter tasks."
            )
            await client.retry([future])
            await until(lambda: task.state == "processing")
            reruns.stopped([task], "a job runs for 1 s")
            assert task.state == "processing"

    run(test)
