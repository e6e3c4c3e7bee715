"""Which job a worker belongs to, however it is called, and what follows from that."""

import asyncio
import contextlib
import os
import time
from types import SimpleNamespace

import dask
import pytest
from dask.distributed import Client, Worker, fire_and_forget, get_worker
from distributed.core import Status
from distributed.protocol import pickle

import dask_hpc
from dask_hpc import batch as batch_systems
from dask_hpc.resilience import walltime, worker_identity
from dask_hpc.resilience.tracked_job import JobKind

from .conftest import reported, submissions, until

# Workers of the user's own: the job script's --name and --nworkers are overruled.
OWN = ["--nworkers 1", "--nthreads 1", "--name", "mine-$SLURM_JOB_ID"]


@pytest.fixture
def cluster_of(lab):
    """Make a cluster of jobs of one process, whose workers' options are these."""
    made = []

    def cluster_of(*options, **arguments):
        settings = {"cores": 1, "processes": 1, "nanny": False} | arguments
        made.append(dask_hpc.SLURMCluster(worker_extra_args=list(options), **settings))
        return made[-1]

    yield cluster_of
    for cluster in made:
        cluster.close()


def members_of(cluster):
    return {member.job_id: len(member.addresses) for member in cluster._control.tracker}


def test_workers_with_names_of_the_users_own_belong_to_their_jobs(cluster_of):
    cluster = cluster_of(*OWN)
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    until(lambda: members_of(cluster) == {"100": 1, "101": 1}, 10)
    names = {str(worker.name) for worker in cluster.scheduler.workers.values()}
    assert names == {"mine-100", "mine-101"}
    assert not cluster._control.tracker.has_unidentified_workers


def removals(cluster):
    events = (event for _, event in cluster.scheduler.get_events("all"))
    return [event for event in events if event.get("action") == "remove-worker"]


@pytest.mark.full
def test_adapt_does_not_let_go_a_job_whose_workers_are_busy_whatever_their_names(lab, cluster_of):
    cluster = cluster_of(*OWN)
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    with Client(cluster) as client:
        futures = client.map(time.sleep, [6, 6], pure=False)
        cluster.adapt(minimum=0, maximum=2, interval="200ms", wait_count=2)
        client.gather(futures)
    assert submissions(lab) == 2
    assert {worker_died["expected"] for worker_died in removals(cluster)} <= {True}


def test_a_worker_is_asked_which_job_it_belongs_to(lab, monkeypatch):
    """As one that the user starts by hand, in a job or not."""
    cases = [
        ({"SLURM_ARRAY_JOB_ID": "100", "SLURM_JOB_ID": "102"}, "100"),
        ({"SLURM_JOB_ID": "100"}, "100"),
        ({"SLURM_JOB_ID": "7"}, None),
        ({}, None),
    ]

    async def job_of(cluster, environment):
        tracker = cluster._control.tracker
        with monkeypatch.context() as variables:
            for name, value in environment.items():
                variables.setenv(name, value)
            async with Worker(
                cluster.scheduler_address, nthreads=1, name="mine", security=cluster.security
            ) as worker:
                while tracker._others.get(worker.address, ["known"]) is None:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0)
                job = tracker.by_address(worker.address)
                return job and job.job_id

    async def main():
        lab.hold()
        async with dask_hpc.SLURMCluster(asynchronous=True) as cluster:
            await cluster.scale(jobs=1)
            return [await job_of(cluster, environment) for environment, _ in cases]

    assert asyncio.run(main()) == [job for _, job in cases]


@pytest.mark.parametrize(
    ("word", "number"),
    [("12", "12"), ("12.server", "12"), ("12[3].server.site", "12"), ("$PBS_JOBID", "")],
)
def test_the_number_in_an_id(word, number):
    assert worker_identity.id_number(word) == number


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"status": "OK", "result": "$PBS_JOBID 12[3].server"}, ["12"]),
        ({"status": "OK", "result": "$PBS_JOBID $SLURM_JOB_ID"}, []),
        ({}, []),
        (RuntimeError("its Python is another one"), []),
        (OSError("it has gone"), None),
    ],
)
def test_what_a_worker_answers_of_its_job(monkeypatch, caplog, answer, found):
    class Worker:
        async def run(self, function, args):
            assert pickle.loads(function) is os.path.expandvars
            assert pickle.loads(args) == ("$PBS_JOBID $SLURM_JOB_ID",)
            if isinstance(answer, Exception):
                raise answer
            return answer

    @contextlib.asynccontextmanager
    async def rpc(address, connection_args):
        assert (address, connection_args) == ("tcp://a", {"ssl_context": None})
        yield Worker()

    caplog.set_level("INFO", "dask_hpc")
    monkeypatch.setattr(worker_identity, "rpc", rpc)
    scheduler = SimpleNamespace(connection_args={"ssl_context": None})
    variables = ["PBS_JOBID", "SLURM_JOB_ID"]
    asked = worker_identity.ask_for_job_ids(scheduler, "tcp://a", variables)
    assert asyncio.run(asked) == found
    told = "Worker tcp://a does not report its job" in caplog.text
    assert told is isinstance(answer, RuntimeError)


def test_workers_are_found_as_far_as_the_scheduler_has_them():
    running, paused = (SimpleNamespace(status=s) for s in (Status.running, Status.paused))
    scheduler = SimpleNamespace(workers={"tcp://a": running, "tcp://b": paused})
    addresses = ["tcp://b", "tcp://gone", "tcp://a"]
    assert worker_identity.workers_named(scheduler, addresses) == [paused, running]
    assert worker_identity.count_running(scheduler, addresses) == 1
    assert worker_identity.workers_named(None, addresses) == []
    assert worker_identity.count_running(None, addresses) == 0


def test_the_variables_that_hold_a_jobs_id_are_known_of_each_batch_system():
    named = {name: batch.job_id_variables for name, batch in batch_systems.BATCH_SYSTEMS.items()}
    assert [name for name, variables in named.items() if not variables] == ["none"]


@pytest.mark.parametrize(
    ("actors", "words"),
    [
        ((), "and no other worker can take its results: results that only this job holds will"),
        (("Counter-1",), "and loses the actor Counter-1, since Dask cannot move actors: create"),
        (("A-1", "B-1"), "and loses the actors A-1, B-1, since Dask cannot move actors: create"),
    ],
)
def test_what_is_lost_with_a_job_that_ends_with_actors_is_told(actors, words):
    worker = SimpleNamespace(actors=[SimpleNamespace(key=key) for key in actors])
    scheduler = SimpleNamespace(workers={"tcp://a": worker})
    assert walltime.describe_lost(scheduler, ["tcp://a"]).startswith(words)


# --- kinds ----------------------------------------------------------------------------------------


def test_what_came_counts_more_than_what_was_asked_for():
    kind = JobKind({}, 4)
    kind.record_workers(2)
    assert kind.workers == 4  # others may be about to come
    kind.record_workers(2, settled=True)
    assert kind.workers == 2
    kind.record_workers(3)
    assert kind.workers == 3


def test_a_job_is_replaced_by_one_of_its_own_kind(lab, held):
    held.new_spec["options"]["worker_extra_args"] = ["--resources gpu=1"]
    held.scale(jobs=3)
    until(lambda: len(held.job_ids) == 3)
    lab.state("100", "NODE_FAIL", "NodeDown", "node1")
    lab.state("102", "NODE_FAIL", "NodeDown", "node1")
    until(lambda: {"103", "104"} <= set(held.job_ids))
    with_gpu = ["gpu=1" in lab.script(job) for job in ("100", "101", "102", "103", "104")]
    assert with_gpu[:3] == [False, False, True]
    assert sorted(with_gpu[3:]) == [False, True]


# --- ends in order --------------------------------------------------------------------------------


def once():
    """Return a task that ends its worker in order soon after; it goes there by value."""

    async def end_worker(worker):
        await asyncio.sleep(0.2)
        await worker.close_gracefully()

    def once(i):
        worker = get_worker()
        worker.loop.add_callback(end_worker, worker)
        time.sleep(0.05)  # so that no two workers come to the end of all tasks
        return i

    return once


@pytest.mark.full
def test_workers_that_end_in_order_after_each_task_are_replaced_for_ever_and_told_once(
    lab, cluster_of
):
    cluster = cluster_of()
    object.__setattr__(
        cluster._control.limits, "max_resubmits", 0
    )  # none of these ends is a failure
    cluster.scale(jobs=1)
    with Client(cluster) as client:
        fire_and_forget(client.map(once(), range(100), pure=False))
        until(lambda: submissions(lab) >= 3)
    [said] = reported(cluster)
    assert said == "Job 100 ended on node1, done. Resubmitting."


@pytest.mark.full
def test_a_task_is_not_blamed_for_workers_that_end_in_order_with_the_only_copy_of_a_result(
    lab, cluster_of
):
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        cluster = cluster_of("--lifetime", "2s")
        cluster.scale(jobs=1)
        with Client(cluster) as client:
            held = client.submit(abs, -1)  # noqa: F841 - nobody else can take it
            long = client.submit(time.sleep, 5)
            until(lambda: submissions(lab) >= 3)
            assert long.status == "pending"


# --- the scheduler ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["shutdown", "idle", "closed"])
def test_a_cluster_whose_scheduler_is_closed_by_others_closes_too(lab, caplog, how):
    options = {"dashboard_address": ":0"}
    if how == "idle":
        options["idle_timeout"] = "2 s"
    lab.hold()
    cluster = dask_hpc.SLURMCluster(scheduler_options=options)
    cluster.scale(jobs=2)
    until(lambda: len(cluster.job_ids) == 2)
    if how == "shutdown":
        with Client(cluster.scheduler_address) as client:
            client.shutdown()
    elif how == "closed":
        cluster.sync(cluster.scheduler.close)
    until(lambda: cluster.status.name == "closed", 30)
    begun = time.monotonic()
    cluster.close()
    assert time.monotonic() - begun < 5
    assert [sorted(call[1:]) for call in lab.calls("scancel")] == [["100", "101"]]
    assert submissions(lab) == 2
    why = "after 2 s without a task, by Dask's idle-timeout" if how == "idle" else "shutdown()"
    said = [record.getMessage() for record in caplog.records if record.name.startswith("dask_hpc")]
    [line] = [line for line in said if "core-" not in line]
    assert line.startswith("Closing SLURMCluster and cancelling its jobs, because its scheduler")
    assert why in line
    with pytest.raises(dask_hpc.ClusterClosedError, match="its scheduler was closed"):
        cluster.scale(jobs=1)
