"""Nodes on which jobs go wrong, and that further jobs are kept from."""

import os
import signal
import time

import dask
import pytest
from dask.distributed import Client, KilledWorker, get_worker, wait

import dask_hpc
from dask_hpc.batch import BATCH_SYSTEMS
from dask_hpc.resilience import node_health, worker_loss
from dask_hpc.resilience.node_health import NodeHealth

from .conftest import reported, until
from .fakes import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


def known(clock, *deaths):
    """Nodes where workers died, one after another, as (seconds later, node, tasks that it had)."""
    nodes = NodeHealth(clock, set())
    for later, node, tasks in deaths:
        clock.now += later
        nodes.record_death(node, f"job on {node}", tasks)
    return nodes


def test_one_death_says_nothing_about_a_node(clock):
    assert not known(clock, (0, "a", "")).is_unhealthy("a")


def test_workers_that_die_one_after_another_die_of_one_thing(clock):
    assert not known(clock, (0, "a", ""), (1.2, "a", ""), (1.2, "a", "")).is_unhealthy("a")


def test_a_node_where_workers_die_twice_and_nowhere_else_is_deadly(clock):
    assert known(clock, (0, "a", ""), (0.1, "a", ""), (3, "a", "x")).is_unhealthy("a")


def test_as_long_as_a_task_may_be_the_reason_the_node_is_not(clock):
    nodes = known(clock, (0, "a", "xy"), (3, "a", "z"))
    assert not nodes.is_unhealthy("a")
    nodes.task_succeeded("x")
    assert not nodes.is_unhealthy("a")
    nodes.task_succeeded("y")
    assert nodes.is_unhealthy("a")


def test_where_workers_die_elsewhere_too_it_is_the_tasks(clock):
    assert not known(clock, (0, "b", ""), (0, "a", ""), (3, "a", "")).is_unhealthy("a")


def test_deaths_of_long_ago_do_not_count(clock):
    late = node_health.MEMORY_S + 1
    assert not known(clock, (0, "a", ""), (late, "a", "")).is_unhealthy("a")
    assert known(clock, (0, "b", ""), (late, "a", ""), (3, "a", "")).is_unhealthy("a")


def test_a_node_is_not_to_blame_for_deaths_that_the_end_of_the_job_explains(clock):
    nodes = known(clock, (0, "a", ""), (3, "a", ""))
    nodes.clear_deaths("job on a")
    assert not nodes.is_unhealthy("a")


def test_a_bad_node_is_left_out_for_a_while(clock):
    known = NodeHealth(clock, set())
    known.exclude("a")
    assert known.excluded == ["a"]
    clock.now += node_health.MEMORY_S + 1
    assert known.excluded == []


def test_of_few_nodes_only_the_last_bad_one_is_left_out(clock):
    known = NodeHealth(clock, seen := set())
    for node in "abcd":
        seen.add(node)
    known.exclude("a")
    known.exclude("b")
    assert known.excluded == ["b"]
    known.exclude("a")
    assert known.excluded == ["a"]


def test_of_many_nodes_a_quarter_may_be_left_out(clock):
    known = NodeHealth(clock, seen := set())
    for node in "abcdefghijkl":
        seen.add(node)
    for node in "abcd":
        known.exclude(node)
    assert known.excluded == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("directives", "arguments"),
    [
        ([], ["--exclude=a,b"]),
        (["--exclusive", "-n 1"], ["--exclude=a,b"]),
        (["--exclude=c[1-3],d"], ["--exclude=c[1-3],d,a,b"]),
        (["-x c", "--hint=nomultithread --exclude d"], ["--exclude=c,d,a,b"]),
        (["--nodelist=a"], []),
        (["--exclusive -w a"], []),
        (["-F nodes.txt"], []),
        (["--nodelis=a"], []),
        (["--reservation=course"], []),
        (["--exclude=/home/me/bad"], []),
        (["--exclud='c[1-3]'"], ["--exclude=c[1-3],a,b"]),
    ],
)
def test_slurm_leaves_nodes_out_beside_those_that_the_user_does(directives, arguments):
    assert BATCH_SYSTEMS["slurm"].exclude_args(["a", "b"], directives) == arguments


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS.values(), ids=BATCH_SYSTEMS)
def test_without_a_bad_node_no_batch_system_is_asked_for_anything(batch_system):
    assert batch_system.exclude_args([], []) == []


@pytest.fixture
def cluster(lab):
    with dask_hpc.SLURMCluster() as cluster:
        yield cluster


def excluded(lab):
    """Return the nodes that each submission excluded."""
    return [
        next((word.removeprefix("--exclude=") for word in call if word.startswith("--exclude")), "")
        for call in lab.calls("sbatch")
    ]


def on_two_nodes(lab, cluster):
    cluster.scale(jobs=2)
    until(lambda: sorted(cluster.job_ids) == ["100", "101"])
    lab.state("100", "RUNNING", "None", "bad")
    lab.state("101", "RUNNING", "None", "good")
    cluster.wait_for_workers(4, timeout=90)
    until(lambda: {s.node for s in cluster.watcher.jobs.values()} == {"bad", "good"})


def names_in(cluster, job):
    addresses = cluster._control.tracker.by_id(job).addresses
    return {cluster.scheduler.workers[address].name for address in addresses}


def kill_a_busy_worker(cluster, client, job, but=()):
    """Kill a worker of that job that has tasks; return their keys."""
    addresses = cluster._control.tracker.by_id(job).addresses

    def busy():
        return [
            worker.address
            for worker in list(cluster.scheduler.workers.values())
            if worker.address in addresses and worker.processing and worker.address not in but
        ]

    until(busy)
    address = busy()[0]
    pid = client.run(os.getpid, workers=[address])[address]
    until(lambda: cluster.scheduler.workers[address].processing)
    os.kill(pid, signal.SIGKILL)
    until(lambda: address not in cluster.scheduler.workers)
    return cluster.scheduler.get_events(address)[-1][1]["processing-tasks"]


def kill_two_busy_workers(cluster, client, job, but=()):
    """Kill two, so far apart that they do not die of one thing."""
    kill_a_busy_worker(cluster, client, job, but)
    time.sleep(node_health.BURST_S)
    kill_a_busy_worker(cluster, client, job, but)


def test_a_job_whose_workers_die_again_and_again_goes_on_on_another_node(lab, cluster):
    on_two_nodes(lab, cluster)
    with Client(cluster) as client:
        futures = client.map(lambda i: time.sleep(0.2) or i, range(120), pure=False)
        kill_two_busy_workers(cluster, client, "100")
        until(lambda: "102" in cluster.job_ids)
        assert client.gather(futures) == list(range(120))
    [said] = reported(cluster)
    assert said == (
        "Job 100: its workers die on bad, and nowhere else, so it was cancelled. "
        "It is submitted again in 1 s (1 of 5), not on bad."
    )
    assert excluded(lab) == ["", "", "bad"]


def test_a_task_that_kills_its_workers_does_not_take_their_jobs_along(lab, cluster):
    on_two_nodes(lab, cluster)
    with Client(cluster) as client:
        # All slots are busy for long: as Dask has it, the task would begin again where it was.
        others = client.map(lambda i: time.sleep(6) or i, range(8), pure=False)
        bad = client.submit(os._exit, 1, priority=1)
        with pytest.raises(KilledWorker):
            bad.result(timeout=90)
        assert client.gather(others) == list(range(8))
    assert sorted(cluster.job_ids) == ["100", "101"]
    assert reported(cluster) == []


def test_the_tasks_of_a_worker_that_died_run_on_another_node(lab, cluster):
    on_two_nodes(lab, cluster)
    elsewhere = names_in(cluster, "101")
    with Client(cluster) as client:
        futures = client.map(lambda i: time.sleep(2) or get_worker().name, range(12), pure=False)
        keys = kill_a_busy_worker(cluster, client, "100")
        names = client.gather([future for future in futures if future.key in keys])
    assert names
    assert set(names) <= elsewhere


def test_tasks_sent_elsewhere_do_not_wait_for_workers_that_are_gone(lab, cluster):
    on_two_nodes(lab, cluster)
    # All four workers die below, one after another, and Dask may have a task on each of them.
    cluster.scheduler.allowed_failures = 10
    with Client(cluster) as client:
        futures = client.map(lambda i: time.sleep(2) or i, range(12), pure=False)
        keys = kill_a_busy_worker(cluster, client, "100")
        until(lambda: all(cluster.scheduler.tasks[key].worker_restrictions for key in keys))
        for job in ("100", "101"):
            lab.state(job, "NODE_FAIL", "None")
            os.killpg(int((lab.folder / f"{job}.pid").read_text()), signal.SIGKILL)
        until(lambda: not cluster.scheduler.workers)
        wait(futures, timeout=90)
        assert client.gather(futures) == list(range(12))


@pytest.mark.full
def test_tasks_stay_where_the_user_wants_them(lab, cluster):
    on_two_nodes(lab, cluster)
    here = sorted(names_in(cluster, "100"))
    with Client(cluster) as client:
        futures = [client.submit(time.sleep, 2, pure=False, workers=here) for _ in range(4)]
        keys = kill_a_busy_worker(cluster, client, "100")
        tasks = [cluster.scheduler.tasks[key] for key in keys]
        assert tasks
        assert all({w.name for w in cluster.scheduler.valid_workers(t)} <= {*here} for t in tasks)
        client.gather(futures)


@pytest.mark.full
def test_what_workers_of_a_deadly_node_hold_goes_to_others_first(lab, cluster):
    on_two_nodes(lab, cluster)
    with Client(cluster) as client:
        name = min(names_in(cluster, "100"))
        there = [w.address for w in cluster.scheduler.workers.values() if w.name == name]
        held = client.scatter("the data", workers=there)
        futures = client.map(lambda i: time.sleep(0.2) or i, range(150), pure=False)
        kill_two_busy_workers(cluster, client, "100", but=there)
        until(lambda: "102" in cluster.job_ids)
        assert client.submit(str, held).result(timeout=60) == "the data"
        client.gather(futures)


@pytest.mark.full
def test_what_somebody_cancels_meanwhile_is_not_the_nodes_fault(lab, cluster):
    on_two_nodes(lab, cluster)
    with Client(cluster) as client:
        futures = client.map(lambda i: time.sleep(0.2) or i, range(200), pure=False)
        kill_a_busy_worker(cluster, client, "100")
        time.sleep(node_health.BURST_S)
        lab.state("100", "CANCELLED", "None", "bad")
        kill_a_busy_worker(cluster, client, "100")
        assert client.gather(futures) == list(range(200))
    [said] = reported(cluster)
    assert "Cancelled by somebody else" in said
    assert cluster._control.health.excluded == []


@pytest.mark.parametrize("what", ["unresponsive", "worker_died"])
def test_the_node_of_a_job_whose_workers_no_longer_reach_us_is_left_out(lab, beside, what):
    # They notice it, and end by themselves.
    member = beside._control.tracker.by_id("100")
    member.first_worker_at = time.monotonic()
    setattr(member, what, True)
    lab.state("100", "COMPLETED", "None", "bad")
    until(lambda: "102" in beside.job_ids)
    assert excluded(lab) == ["", "", "bad"]


def test_where_every_job_ends_without_a_worker_no_node_is_to_blame(lab, held):
    lab.state("100", "FAILED", "NonZeroExitCode", "bad")
    until(lambda: "102" in held.job_ids)
    assert excluded(lab) == ["", "", ""]


@pytest.mark.full
def test_a_job_whose_workers_die_stays_where_there_is_nothing_to_compare_it_with(lab, cluster):
    cluster.scale(jobs=1)
    cluster.wait_for_workers(2, timeout=90)
    with Client(cluster) as client:
        futures = client.map(lambda i: time.sleep(0.2) or i, range(60), pure=False)
        kill_two_busy_workers(cluster, client, "100")
        assert client.gather(futures) == list(range(60))
    assert cluster.job_ids == ["100"]
    assert reported(cluster) == []


def test_the_node_of_a_job_whose_workers_are_lost_is_left_out(lab, cluster, monkeypatch):
    monkeypatch.setattr(worker_loss, "WORKERS_LOST_AFTER_S", 1.0)
    on_two_nodes(lab, cluster)
    os.killpg(int((lab.folder / "100.pid").read_text()), signal.SIGKILL)
    until(lambda: "102" in cluster.job_ids)
    assert excluded(lab) == ["", "", "bad"]


@pytest.fixture
def beside(held, monkeypatch):
    """Two jobs that wait, as if workers of others were there on other nodes."""
    monkeypatch.setattr(held._control.evictor, "has_workers_elsewhere", bool)
    return held


def test_the_node_of_a_job_that_ends_without_any_worker_is_left_out(lab, beside):
    lab.state("100", "FAILED", "NonZeroExitCode", "bad")
    until(lambda: "102" in beside.job_ids)
    [line] = reported(beside)
    assert line.endswith("It is submitted again in 1 s (1 of 5), not on bad.")
    assert excluded(lab) == ["", "", "bad"]


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "TIMEOUT"])
def test_ends_of_which_slurm_knows_itself_are_not_the_nodes_fault(lab, beside, state):
    lab.state("100", state, "None", "node1")
    until(lambda: "102" in beside.job_ids)
    assert excluded(lab) == ["", "", ""]


def test_a_job_that_no_other_node_takes_may_run_anywhere(lab, beside):
    real = lab.folder / "bin" / "sbatch"
    real.rename(lab.folder / "bin" / "sbatch.real")
    real.write_text(
        '#!/bin/sh\ncase "$*" in *--exclude*) echo "sbatch: error: Batch job submission failed: '
        'Requested node configuration is not available" >&2; exit 1;; esac\nexec sbatch.real "$@"\n'
    )
    real.chmod(0o755)
    lab.state("100", "FAILED", "NonZeroExitCode", "bad")
    until(lambda: "102" in beside.job_ids)
    assert beside._control.health.excluded == []
    assert len(reported(beside)) == 1


def test_a_refusal_that_says_nothing_of_nodes_is_not_tried_without_them(lab, beside):
    lab.says("sbatch", "sbatch: error: Socket timed out on send/recv operation")
    lab.state("100", "FAILED", "NonZeroExitCode", "bad")
    until(lambda: len(reported(beside)) == 2)
    assert excluded(lab) == ["", "", "bad"]  # it may have been taken nevertheless
    lab.says("sbatch", None)
    until(lambda: len(beside.job_ids) == 2)


def test_a_user_who_wants_certain_nodes_gets_them(lab, monkeypatch):
    settings = {"jobqueue.slurm.job-extra-directives": ["--nodelist=bad"]}
    with dask.config.set(settings), dask_hpc.SLURMCluster() as cluster:
        lab.hold()
        cluster.scale(jobs=1)
        until(lambda: cluster.job_ids == ["100"])
        cluster._control.tracker.any_worker_came = True
        monkeypatch.setattr(cluster._control.evictor, "has_workers_elsewhere", bool)
        lab.state("100", "FAILED", "NonZeroExitCode", "bad")
        until(lambda: "101" in cluster.job_ids)
        assert reported(cluster)[0].endswith("It is submitted again in 1 s (1 of 5).")
    assert excluded(lab) == ["", ""]
