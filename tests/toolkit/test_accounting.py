"""What a cluster has cost, and closing it when it has nothing to do."""

import asyncio
import time
from types import SimpleNamespace

import dask
import pytest
from dask.distributed import Client

import dask_hpc
from dask_hpc import ConfigError, batch
from dask_hpc.accounting import IdleTimer, UsageMeter, UsageTotals
from dask_hpc.batch import JobState
from dask_hpc.config import options as config_options
from dask_hpc.config.lint import lint
from dask_hpc.resources import ResourceUse

from .conftest import NO_DASHBOARD, until

HOUR = 3600
NO_USE = SimpleNamespace(look_at=lambda scheduler: None)


class Clock:
    def __init__(self):
        self.now = 1e9

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def usage(clock):
    """Of jobs of 8 cores."""
    return UsageTotals(8, clock)


def test_core_hours_are_running_time_of_jobs(usage, clock):
    usage.began("1")
    clock.now += HOUR
    usage.began("2")
    clock.now += HOUR
    usage.ended("1")
    clock.now += HOUR
    usage.ended("2")
    clock.now += HOUR  # nothing runs any more
    assert str(usage) == "2 jobs, 32.0 core-hours"


def test_a_job_that_was_cancelled_while_it_waited_has_not_run(usage, clock):
    usage.ended("1", elapsed=0.0)
    assert (usage.jobs, usage.core_seconds) == (0, 0)


def test_a_job_that_was_seen_late_counts_from_its_beginning_and_to_its_end(usage, clock):
    usage.began("1", elapsed=HOUR / 2)
    clock.now += HOUR
    usage.ended("1", elapsed=HOUR)  # seen late, too: it ended half an hour ago
    usage.ended("2", elapsed=HOUR)  # was never seen running
    assert usage.jobs == 2
    assert usage.core_seconds == 2 * 8 * HOUR


def test_a_job_that_never_ran_costs_nothing(usage, clock):
    clock.now += HOUR
    usage.ended("1")
    assert (usage.jobs, usage.core_seconds) == (0, 0)


def test_what_is_short_is_told_in_core_minutes(usage, clock):
    usage.began("1")
    clock.now += 30
    assert str(usage) == "1 job, 4.0 core-minutes"


def scheduler(transitions=0, processing=0, queued=0, unrunnable=0, workers=1):
    worker = SimpleNamespace(processing=[0] * processing)
    return SimpleNamespace(
        transition_counter=transitions,
        queued=[0] * queued,
        unrunnable=[0] * unrunnable,
        workers=dict.fromkeys(range(workers), worker),
    )


@pytest.mark.parametrize(
    "busy",
    [
        {"transitions": 5},  # a short task, between two looks
        {"processing": 1},
        {"queued": 1},
        {"unrunnable": 1},
        {"workers": 0},  # costs nothing
    ],
)
def test_idle_is_who_has_workers_and_nothing_to_do_and_nobody_waiting(clock, busy):
    idleness = IdleTimer(clock)
    idleness.seconds(scheduler())
    idleness.seconds(scheduler())
    clock.now += 10
    assert idleness.seconds(scheduler()) == 10
    assert idleness.seconds(scheduler(**busy)) == 0
    clock.now += 10
    assert idleness.seconds(scheduler(transitions=5)) == 0  # counts anew
    clock.now += 10
    assert idleness.seconds(scheduler(transitions=5), awaited=True) == 0


@pytest.fixture
def heard(monkeypatch):
    """Return a list that fills with what is said to the user."""
    lines = []
    monkeypatch.setattr("dask_hpc.accounting.messages.info", lines.append)
    return lines


@pytest.mark.full  # tests/testbed/test_configuration.py has it on Slurm
def test_an_idle_cluster_closes_itself_says_so_and_leaves_no_job(lab, heard):
    with dask_hpc.SLURMCluster(idle_timeout="1 s") as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=180)
        client.submit(time.sleep, 2.5, pure=False).result()  # not idle meanwhile
        assert heard == []
        until(lambda: cluster.status.name == "closed")
        assert lab.all_gone()
        with pytest.raises(dask_hpc.ClusterClosedError, match=r"it was idle for 1\.00 s .*new one"):
            cluster.scale(jobs=1)
    assert heard[0] == ("Closing SLURMCluster, because it was idle for 1.00 s (idle-timeout).")
    [used] = heard[1:]  # once, although it is closed twice
    assert used.startswith("SLURMCluster closed: 1 job, ")


@pytest.mark.parametrize(("limit", "closed"), [(None, 0), (10.0, 1)])
def test_a_meter_closes_an_idle_cluster_that_has_a_limit(clock, heard, limit, closed):
    ended = []
    cluster = SimpleNamespace(name="SLURMCluster", scheduler=scheduler(), is_running=True)
    watcher = SimpleNamespace(subscribe=lambda callback: None)
    meter = UsageMeter(cluster, watcher, UsageTotals(8), limit, lambda: ended.append(1), NO_USE)
    meter._idleness = IdleTimer(clock)
    for _ in range(30):
        meter.tick()
        clock.now += 1
    assert len(ended) == len(heard) == closed


def test_who_waits_for_workers_is_not_idle(clock, heard):
    cluster = SimpleNamespace(name="SLURMCluster", scheduler=scheduler(), is_running=True)
    watcher = SimpleNamespace(subscribe=lambda callback: None)
    meter = UsageMeter(cluster, watcher, UsageTotals(8), 1.0, pytest.fail, NO_USE)
    meter._idleness = IdleTimer(clock)

    async def wait():
        for _ in range(5):
            meter.tick()
            clock.now += 1

    asyncio.run(meter.while_awaited(wait))
    assert meter.awaited == 0


def test_what_was_used_is_said_at_close(lab, held, heard, monkeypatch):
    for job in held.job_ids:
        lab.state(job, "RUNNING", "None", "node1")
    until(lambda: all(job.state is JobState.RUNNING for job in held.watcher.jobs.values()))
    monkeypatch.setattr(ResourceUse, "line", lambda _: "It was much.")
    held.close()
    held.close()
    cost, used = heard
    assert cost.startswith("SLURMCluster closed: 2 jobs, ")
    assert used == "It was much."


@pytest.mark.parametrize(
    ("written", "argument", "seconds"),
    [
        (None, None, None),
        ("30 minutes", None, 1800),
        ("1.5 hours", None, 5400),
        (0, None, None),
        ("30 minutes", "10 s", 10),
        ("30 minutes", 10, 10),
        ("30 minutes", 0, None),
    ],
)
def test_the_limit_is_the_configurations_or_the_arguments(written, argument, seconds):
    with dask.config.set({"dask-hpc.idle-timeout": written}):
        assert config_options.idle_timeout(argument) == seconds


@pytest.mark.parametrize("value", [30, "30", "half an hour", "", True, -1, ["1 h"]])
def test_a_limit_without_a_unit_is_refused_and_named_by_setup(value):
    with dask.config.set({"dask-hpc.idle-timeout": value}):
        with pytest.raises(ConfigError, match=r"^dask-hpc.idle-timeout: must be"):
            config_options.idle_timeout()
    [line] = lint([("file", {"dask-hpc": {"idle-timeout": value}})])
    assert line.startswith("file: dask-hpc.idle-timeout: must be a time with a unit, such as")


def test_an_argument_that_is_no_time_is_one_line():
    with pytest.raises(ConfigError, match=r"^argument idle_timeout: must be a time"):
        config_options.idle_timeout("soon")


def test_without_a_batch_system_the_argument_is_left_aside(monkeypatch):
    with dask.config.set({"dask-hpc.batch-system": None}):
        with dask_hpc.get_cluster(idle_timeout="1 s", cores=1, **NO_DASHBOARD):
            pass


@pytest.mark.parametrize(
    ("name", "arguments", "cores"),
    [
        ("slurm", {}, 3),
        ("slurm", {"job_cpu": 16}, 16),
        ("slurm", {"job_extra_directives": ["--cpus-per-task=16"]}, 16),
        ("slurm", {"job_extra_directives": ["#SBATCH -c 16"]}, 16),
        ("slurm", {"job_extra_directives": ["-n 2", "--ntasks-per-node=2"]}, 6),
        ("slurm", {"job_directives_skip": ["--cpus-per-task", "-n"]}, 3),
        ("pbs", {}, 3),
        ("pbs", {"resource_spec": "select=1:ncpus=16:mem=1GB"}, 16),
        ("pbs", {"resource_spec": "nodes=2:ppn=8"}, 16),
        ("lsf", {}, 3),
        ("lsf", {"ncpus": 16}, 16),
        ("oar", {"memory_per_core_property_name": "m"}, 3),
        ("oar", {"memory_per_core_property_name": "m", "resource_spec": "/nodes=1/core=16"}, 16),
        ("sge", {"job_extra_directives": ["-pe smp 16"]}, 16),
        ("htcondor", {"disk": "1 GiB"}, 3),
        ("htcondor", {"disk": "1 GiB", "job_extra_directives": {"RequestCpus": 16}}, 16),
    ],
)
def test_what_a_job_holds_is_counted_and_not_its_workers_threads(lab, name, arguments, cores):
    cls = getattr(dask_hpc, batch.get(name).cluster_class)
    options = {"dashboard_address": ":0", "interface": "lo"}
    with cls(cores=3, processes=1, memory="1 GiB", scheduler_options=options, **arguments) as made:
        assert made.usage.cores == cores
