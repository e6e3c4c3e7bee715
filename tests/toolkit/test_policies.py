"""What the policies of `resilience` do as time passes, without a cluster: the clock is set."""

import asyncio
import itertools
from types import SimpleNamespace

import pytest

from dask_hpc.errors import SubmitError
from dask_hpc.resilience import resubmission, walltime, worker_loss
from dask_hpc.resilience.diagnosis import Diagnosis
from dask_hpc.resilience.draining import reset_suspicion
from dask_hpc.resilience.node_health import NodeHealth
from dask_hpc.resilience.restart_policy import RestartLimits
from dask_hpc.resilience.resubmission import Resubmitter
from dask_hpc.resilience.tracked_job import JobKind, RestartHistory
from dask_hpc.resilience.walltime import WalltimeManager, drain_time, lead_time
from dask_hpc.resilience.worker_loss import (
    CLIENT_RESTART_GRACE_S,
    ENDING_S,
    WORKERS_LOST_AFTER_S,
    LostWorkerMonitor,
    seems_lost,
)

from .fakes import World, on_loop


class Restarts(World):
    """A world with what submits jobs again."""

    def __init__(self, jobs, max_resubmits=5, examined=""):
        super().__init__(jobs)
        self.health = NodeHealth(self.tracker, self.clock)
        self.resubmitter = Resubmitter(
            *self.shared,
            limits=RestartLimits(max_resubmits, "1 GiB"),
            health=self.health,
            examine=lambda job: examined,
        )
        self.replacements = self.resubmitter.replacements
        self.tracker.any_worker_came = True
        self._next = 100 + jobs
        self.pool.on_submitted = self._take

    def _take(self, name):
        self.submitted(name, str(self._next), self.replacements.take_history(name))
        self._next += 1


# --- resubmission -----------------------------------------------------------------------------


@on_loop
async def test_failed_job_is_replaced_after_the_delay():
    world = Restarts(2)
    world.worker(0)
    world.event(0, "failed", "NonZeroExitCode")
    await world.clock.advance(0.4)
    assert world.pool.names == ["job-1"]
    assert world.resubmitter.scheduled == 1
    assert world.said[0].endswith("Resubmitting in 1 s (1 of 5).")
    await world.clock.advance(1.1)
    assert world.pool.names == ["job-1", "job-2"]  # never a name twice
    assert world.resubmitter.scheduled == 0
    assert world.job(2).history.failures == 1


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("node-fail", "NodeDown", "Job 100 ended on node1, node-fail"),
        ("preempted", "None", "Job 100 ended on node1, preempted"),
        ("failed", "NonZeroExitCode", "Job 100 ended on node1, failed: the command failed"),
        ("timeout", "TimeLimit", "Job 100 ended on node1, timeout: walltime reached"),
        ("out-of-memory", "OutOfMemory", "Job 100 ended on node1, out-of-memory"),
    ],
)
def test_end_is_reported_once(state, reason, words):
    async def live():
        world = Restarts(2)
        world.event(0, state, reason)
        await world.clock.advance(3)
        assert world.pool.names == ["job-1", "job-2"]
        return world.said

    [line] = asyncio.run(live())
    assert line.startswith(words)
    assert "Resubmitting" in line


@on_loop
async def test_second_end_for_want_of_memory_is_the_last():
    world = Restarts(1)
    world.event(0, "out-of-memory")
    await world.clock.advance(2)
    world.event(1, "out-of-memory")
    await world.clock.advance(2)
    assert len(world.said) == 2
    assert "Not resubmitting." in world.said[1]
    assert world.pool.names == []


@on_loop
async def test_first_jobs_without_a_worker_are_not_tried_again():
    world = Restarts(2)
    world.tracker.any_worker_came = False
    for number in range(2):
        world.event(number, "failed")
    await world.clock.advance(5)
    assert world.pool.names == []
    assert world.replacements.abandoned == 2


@on_loop
async def test_job_is_replaced_by_one_of_its_kind():
    world = Restarts(0)
    gpu = JobKind({"gpu": 1}, 1)
    world.pool.target = 2
    world.submitted(world.pool.add(), "100")
    world.tracker.job_submitted(world.pool.add(gpu), "101", gpu)
    world._next = 102
    world.event(1, "node-fail")
    await world.clock.advance(2)
    assert world.pool.jobs["job-2"] is gpu


@on_loop
async def test_jobs_that_end_together_are_one_line():
    world = Restarts(3)
    for number in range(3):
        world.event(number, "node-fail", "NodeDown")
    await world.clock.advance(2)
    assert len(world.said) == 1
    assert world.said[0].startswith("Jobs 100, 101, 102 ended")
    assert world.pool.submissions[-1] == ["job-3", "job-4", "job-5"]


@on_loop
async def test_our_own_cancellation_is_not_followed():
    world = Restarts(1)
    world.event(0, "cancelled", "by us")
    await world.clock.advance(5)
    assert not world.said
    assert world.tracker.by_name("job-0") is None
    assert len(world.pool.submissions) == 1


@on_loop
async def test_somebody_elses_cancellation_makes_the_cluster_smaller():
    world = Restarts(2)
    world.event(0, "cancelled")
    await world.clock.advance(5)
    assert world.pool.target == 1
    assert world.replacements.abandoned == 1
    assert "this cluster did not request the cancellation" in world.said[0]


@on_loop
async def test_unwanted_job_is_not_replaced():
    world = Restarts(1)
    world.pool.jobs.clear()
    world.event(0, "failed")
    await world.clock.advance(5)
    assert not world.said


@on_loop
async def test_closing_cluster_submits_nothing():
    world = Restarts(1)
    world.event(0, "failed")
    await world.clock.advance(0.4)
    world.pool.is_running = False
    await world.clock.advance(5)
    assert len(world.pool.submissions) == 1


@on_loop
async def test_scaling_down_meanwhile_needs_no_replacement():
    world = Restarts(1)
    world.event(0, "failed")
    await world.clock.advance(0.4)
    world.pool.target = 0
    await world.clock.advance(5)
    assert world.pool.names == []


@on_loop
async def test_why_no_worker_came_is_in_the_line():
    world = Restarts(1, examined="Its log ends with: No module named 'lab'")
    world.event(0, "failed")
    await world.clock.advance(0.4)
    assert "No module named 'lab'. Resubmitting" in world.said[0]


@on_loop
async def test_refused_replacement_is_tried_again_and_given_up():
    world = Restarts(1, max_resubmits=2)
    world.worker(0)
    world.event(0, "failed")
    world.pool.refusal = SubmitError("Slurm rejected the job: no.")
    await world.clock.advance(2)
    assert world.said[1] == "Slurm rejected the job: no. Retrying in 2 s (2 of 2)."
    await world.clock.advance(3)
    assert world.said[2] == "Slurm rejected the job: no. Giving up."
    assert world.replacements.abandoned == 1
    assert world.pool.target == 0


@on_loop
async def test_refusal_while_the_old_job_counts_is_no_failure():
    world = Restarts(1, max_resubmits=0)
    world.pool.refusal = SubmitError("Slurm rejected the job: QOSMaxSubmitJobPerUserLimit.")
    world.pool.release("job-0")
    assert world.replacements.schedule_successor(world.job(), world.clock.now + 30)
    await world.clock.advance(15)
    line = "Slurm rejected the job: QOSMaxSubmitJobPerUserLimit. Retrying in 10 s."
    assert world.said == [line]  # once, although it was refused twice
    world.pool.refusal = None
    await world.clock.advance(10)
    assert len(world.pool.names) == 1


@on_loop
async def test_successor_only_if_one_is_needed():
    world = Restarts(2)
    world.pool.target = 1
    world.pool.release("job-0")
    assert not world.replacements.schedule_successor(world.job(), world.clock.now)


@on_loop
async def test_two_at_once_keep_their_histories():
    world = Restarts(0)
    world.pool.target = 2
    world.replacements.schedule(1.0, [RestartHistory(failures=1)])
    world.replacements.schedule(1.0, [RestartHistory(failures=2)])
    await world.clock.advance(2)
    assert sorted(job.history.failures for job in world.tracker) == [1, 2]


@on_loop
async def test_two_at_once_that_are_refused_keep_their_histories():
    world = Restarts(0)
    world.pool.target = 2
    world.pool.refusal = SubmitError("Slurm rejected the job: Socket timed out.")
    world.replacements.schedule(1.0, [RestartHistory(failures=1)])
    world.replacements.schedule(1.0, [RestartHistory(failures=1)])
    await world.clock.advance(2)
    world.pool.refusal = None
    await world.clock.advance(10)
    assert world.pool.target == len(world.pool.names) == 2
    assert [job.history.failures for job in world.tracker] == [2, 2]


def test_end_in_order_takes_back_the_blame():
    """A worker that ends at its lifetime has not been killed by the tasks that it had."""
    task = SimpleNamespace(suspicious=1, prefix=SimpleNamespace(suspicious=3))
    reset_suspicion(SimpleNamespace(tasks={"task": task}), ["task", "forgotten"])
    assert (task.suspicious, task.prefix.suspicious) == (0, 2)


@pytest.mark.parametrize("closing", ["", "closing_gracefully"])
def test_only_an_end_in_order_does(closing, monkeypatch):
    cleared = []
    monkeypatch.setattr(resubmission, "reset_suspicion", lambda _, tasks: cleared.extend(tasks))

    async def live():
        world = Restarts(1)
        world.gone(world.worker(0), ["task"], closing)

    asyncio.run(live())
    assert cleared == (["task"] if closing else [])


# --- nodes ------------------------------------------------------------------------------------


@on_loop
async def test_next_job_avoids_the_node_of_a_lost_one():
    world = Restarts(2)
    for number, node in enumerate(("bad", "good")):
        world.event(number, "running", node=node)
        world.worker(number)
    world.job().lost_reason = "{its} workers stopped responding"
    world.event(0, "cancelled", "by us", node="bad")
    await world.clock.advance(0.4)
    assert world.health.excluded == ["bad"]
    assert world.said[0] == (
        "Job 100: its workers stopped responding, so it was cancelled. "
        "Resubmitting in 1 s (1 of 5), avoiding bad."
    )
    await world.clock.advance(601)
    assert world.health.excluded == []


@pytest.mark.parametrize(
    ("dead", "excluded"), [([0], ["node1"]), ([1, 0], []), ([], [])], ids=["here", "both", "none"]
)
def test_node_of_a_job_that_failed_with_its_workers_is_avoided(dead, excluded):
    async def live():
        world = Restarts(2)
        workers = []
        for number in range(2):
            world.event(number, "running", node=f"node{number + 1}")
            workers.append(world.worker(number))
        for number in dead:
            world.gone(workers[number], tasks=["task"])
        world.worker(1)
        world.event(0, "failed", "NonZeroExitCode", node="node1")
        return world.health.excluded

    assert asyncio.run(live()) == excluded


@on_loop
async def test_only_node_is_not_blamed():
    world = Restarts(2)
    for number in range(2):
        world.event(number, "running", node="only")
        world.worker(number)
    world.job().lost_reason = "{its} workers stopped responding"
    world.event(0, "cancelled", "by us", node="only")
    assert world.health.excluded == []


@pytest.mark.parametrize("state", ["node-fail", "preempted", "timeout", "cancelled"])
def test_ends_that_the_batch_system_explains_blame_no_node(state):
    async def live():
        world = Restarts(2)
        for number, node in enumerate(("bad", "good")):
            world.event(number, "running", node=node)
        world.worker(1)
        world.event(0, state, node="bad")
        return world.health.excluded

    assert asyncio.run(live()) == []


# --- lost workers -----------------------------------------------------------------------------


class Losses(World):
    """A world with running jobs, a worker each, and what notices that they are lost."""

    def __init__(self, jobs=1):
        super().__init__(jobs)
        self.monitor = LostWorkerMonitor(*self.shared)
        for number in range(jobs):
            self.event(number, "running", node=f"node{number + 1}")
            self.worker(number)
        self.first = next(iter(self.pool.scheduler.workers.values()))

    async def pass_time(self, seconds):
        """Let the monitor look once a second, as the cluster does."""
        for _ in range(int(seconds)):
            await self.clock.advance(1)
            await self.monitor.tick()
        await self.clock.advance(0.1)


@on_loop
async def test_job_without_workers_is_cancelled():
    world = Losses()
    world.gone(world.first)
    await world.pass_time(WORKERS_LOST_AFTER_S)
    assert set(world.pool.cancelled) == {"100"}
    assert world.job().lost_reason == "{its} workers stopped responding"


@on_loop
async def test_job_whose_worker_is_back_in_time_stays():
    world = Losses()
    world.gone(world.first)
    await world.pass_time(5)
    world.worker(0)
    await world.pass_time(60)
    assert world.pool.cancelled == []


@on_loop
async def test_job_that_is_back_in_the_queue_stays():
    world = Losses()
    world.gone(world.first)
    world.event(0, "pending", "BeginTime")
    await world.pass_time(60)
    assert world.pool.cancelled == []


@on_loop
async def test_no_job_is_cancelled_while_the_batch_system_is_silent():
    world = Losses()
    world.gone(world.first)
    world.pool.answers = False
    await world.pass_time(60)
    assert world.pool.cancelled == []
    world.pool.answers = True
    await world.pass_time(2)
    assert set(world.pool.cancelled) == {"100"}


@on_loop
async def test_job_whose_workers_left_in_order_has_longer_to_end():
    world = Losses()
    world.gone(world.first, closing="closing_gracefully")
    await world.pass_time(ENDING_S - 5)
    assert world.pool.cancelled == []
    await world.pass_time(10)
    assert set(world.pool.cancelled) == {"100"}


@on_loop
async def test_nannies_that_answer_have_ten_minutes():
    world = Losses()

    async def answers(address):
        return True

    world.monitor._answers = answers
    world.job().nannies.add("tcp://10.0.0.2:9000")
    world.gone(world.first)
    await world.pass_time(CLIENT_RESTART_GRACE_S - 20)
    assert world.pool.cancelled == []
    await world.pass_time(40)
    assert set(world.pool.cancelled) == {"100"}
    assert world.job().lost_reason == "{its} workers did not restart"


@on_loop
async def test_silent_worker_is_removed_before_its_ttl():
    """Its death counts, since a task may be the reason; its job is cancelled at once."""
    world = Losses()
    ttl = world.pool.scheduler.worker_ttl
    await world.pass_time(ttl - 5)
    assert world.pool.scheduler.removed == {}
    await world.pass_time(5)
    assert world.pool.scheduler.removed == {world.first.address: False}
    assert set(world.pool.cancelled) == {"100"}
    assert world.job().unresponsive


@on_loop
async def test_process_that_was_held_up_removes_no_worker():
    """What workers have sent meanwhile has yet to be read, as after Ctrl-Z and fg."""
    world = Losses()
    await world.pass_time(5)
    world.clock.now += 2 * world.pool.scheduler.worker_ttl
    await world.pass_time(10)
    assert world.pool.scheduler.removed == {}


@pytest.mark.parametrize(("unanswered", "removed"), [(60.0, True), (0.1, False)])
def test_silent_worker_is_removed_early_if_its_node_does_not_answer(
    monkeypatch, unanswered, removed
):
    monkeypatch.setattr(worker_loss, "unanswered", lambda *_: unanswered)

    async def live():
        world = Losses()
        await world.pass_time(20)
        assert not world.pool.scheduler.removed
        await world.pass_time(20)  # 30 s are comm.timeouts.tcp
        assert not world.job().unresponsive
        return world.pool.scheduler.removed

    assert bool(asyncio.run(live())) is removed


@on_loop
async def test_worker_that_a_nanny_starts_in_a_lost_job_is_removed():
    world = Losses()
    world.job().lost_reason = "{its} workers stopped responding"
    late = world.worker(0)
    await world.clock.advance(0.1)
    assert late.address in world.pool.scheduler.removed


async def _die(world, number, times, every=1):
    """Let the worker of a job die with a task again and again, each time with a new address."""
    for death in range(times):
        workers = world.pool.scheduler.workers.values()
        (worker,) = [it for it in workers if it.name == f"job-{number}-0"]
        world.gone(worker, tasks=["task"])
        await world.clock.advance(every)
        if world.job(number).lost_reason:
            break
        world.worker(number, address=f"tcp://10.0.{number}.3:{death}")


@on_loop
async def test_job_whose_worker_dies_again_and_no_other_does_is_cancelled():
    world = Losses(2)
    await _die(world, 0, 1)
    assert world.pool.cancelled == []
    await _die(world, 0, 1)
    assert world.pool.cancelled == ["100"]
    assert world.job().lost_reason == "{its} workers keep dying, and no others do"


@on_loop
async def test_what_is_left_of_a_job_whose_workers_keep_dying_is_not_blamed():
    world = Losses(2)
    left = world.worker(0, name="job-0-1")
    await _die(world, 0, 3)  # two workers, so more than one death of each
    assert world.pool.cancelled == ["100"]
    assert world.pool.scheduler.removed == {left.address: True}


@pytest.mark.parametrize(
    ("elsewhere", "every", "jobs"),
    [(1, 1, 2), (0, 61, 2), (0, 1, 1)],
    ids=["others die, too", "seldom", "no other job"],
)
def test_job_whose_workers_die_stays(elsewhere, every, jobs):
    async def live():
        world = Losses(jobs)
        await _die(world, 1, elsewhere)
        await _die(world, 0, 3, every)
        return world.pool.cancelled

    assert asyncio.run(live()) == []


@on_loop
async def test_job_is_alive_while_a_worker_was_heard_from():
    world = World(1)
    worker = world.worker(0)
    assert world.tracker.has_live_worker("100")
    assert not world.tracker.has_live_worker("99")
    worker.last_seen -= 600
    assert not world.tracker.has_live_worker("100")


@on_loop
async def test_job_may_have_more_workers_than_planned():
    world = World(1)
    world.worker(0, name="job-0-0")
    world.worker(0, name="job-0-1")
    assert len(world.job().addresses) == world.kind.workers == 2


@pytest.mark.parametrize(
    ("known", "now", "lost"),
    [
        ({}, 9999, False),
        ({"without_workers_since": 100.0}, 111, False),
        ({"without_workers_since": 100.0}, 112, True),
        ({"without_workers_since": 100.0, "ended_in_order": True}, 159, False),
        ({"without_workers_since": 100.0, "ended_in_order": True}, 160, True),
        ({"without_workers_since": 100.0, "nannies_asked_at": 110.0}, 121, False),
        ({"without_workers_since": 100.0, "nannies_asked_at": 110.0}, 122, True),
    ],
)
def test_seems_lost(known, now, lost):
    async def live():
        job = World(1).job()
        for name, value in known.items():
            setattr(job, name, value)
        return seems_lost(job, now)

    assert asyncio.run(live()) is lost


# --- walltime ---------------------------------------------------------------------------------


class Ends(Restarts):
    """A world in which jobs are left before their walltime is over."""

    def __init__(self, walltime=600.0):
        super().__init__(1)
        self.manager = WalltimeManager(*self.shared, self.replacements, walltime)
        self.left = []

    async def drained_at(self, limit):
        """Return the seconds after which the job is released, or None."""
        begun = self.clock.now
        while self.clock.now - begun < limit:
            self.manager.tick()
            await asyncio.sleep(0)
            if self.pool.released:
                return round(self.clock.now - begun)
            self.clock.now += 1
        return None


@pytest.mark.parametrize(
    ("walltime", "left", "seconds"),
    [
        (600.0, None, 540),  # a tenth before its end
        (600.0, 300.0, 270),  # the batch system's own word counts more
        (None, None, None),
        (float("inf"), None, None),
        (None, 100.0, 90),
    ],
)
def test_job_is_drained_before_its_end(walltime, left, seconds):
    async def live():
        world = Ends(walltime)
        world.event(0, "running", left=left)
        return await world.drained_at(2000)

    assert asyncio.run(live()) == seconds


@on_loop
async def test_what_still_runs_at_the_end_is_counted_and_what_is_lost_is_told(monkeypatch):
    async def drain(*_):
        return ["long"]

    async def retire(*_):
        return ["tcp://10.0.0.2:1000"]

    monkeypatch.setattr(walltime, "drain", drain)
    monkeypatch.setattr(walltime, "retire", retire)
    world = Ends()
    stopped = []
    world.manager.interruptions = SimpleNamespace(stopped=lambda *words: stopped.append(words))
    world.event(0, "running", left=100.0)
    assert await world.drained_at(200) == 90
    await world.clock.advance(0.1)
    assert stopped == [(["long"], "a job runs for 100 s")]
    assert world.said[0].startswith("Job 100 ends and no other worker can take its results")
    assert world.pool.finished == ["job-0"]


@on_loop
async def test_job_that_waits_in_the_queue_has_no_end():
    world = Ends()
    world.event(0, "pending")
    assert await world.drained_at(2000) is None


@pytest.mark.parametrize(("runs", "seconds"), [(30, 10), (600, 60), (36_000, 300), (100, 10)])
def test_drain_time_is_a_tenth_within_bounds(runs, seconds):
    assert drain_time(0, runs) == seconds


def test_jobs_that_began_together_leave_one_after_another():
    leads = sorted(lead_time(number, 0, 600) for number in range(10))
    assert leads[0] == 60
    assert leads[-1] < 120
    assert min(b - a for a, b in itertools.pairwise(leads)) > 2


# --- diagnosis --------------------------------------------------------------------------------


class Output:
    """Of jobs that print nothing."""

    patterns = ("/logs/dask-worker-{job}.err",)
    python = shebang = ""

    def files(self, job_id):
        return []


@on_loop
async def test_job_without_a_worker_is_reported_once():
    world = World(2)
    diagnosis = Diagnosis(*world.shared, output=Output(), death_timeout=60)
    for number in range(2):
        world.event(number, "running", node="node7")
    world.clock.now += 41
    diagnosis.tick()
    assert not world.said
    world.clock.now += 2
    diagnosis.tick()
    diagnosis.tick()
    [line] = world.said
    assert line.startswith(
        "Jobs 100, 101 have been running on node7 for 43 s, but no worker has connected. "
    )
    assert "There is no log at /logs/dask-worker-100.err" in line


@on_loop
async def test_job_with_a_worker_is_not_reported():
    world = World(1)
    diagnosis = Diagnosis(*world.shared, output=Output(), death_timeout=60)
    world.event(0, "running")
    world.worker(0)
    world.clock.now += 600
    diagnosis.tick()
    assert not world.said
