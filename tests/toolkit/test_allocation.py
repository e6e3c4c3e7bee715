"""The cluster inside one job, with fakes for srun and scontrol. Real Slurm: tests/testbed."""

import asyncio
import os
import re
import threading
import time
from pathlib import Path

import dask
import psutil
import pytest
from dask.distributed import Client
from distributed.client import FutureCancelledError

import dask_hpc
from dask_hpc.allocation import cluster as allocation_cluster
from dask_hpc.allocation import environment, node_watch, step

from ..marks import full
from .conftest import _zombie, until

SRUN = """#!/bin/bash
# A step: a process group of its own, which gets the signals that srun gets, however early.
step= ended= node=
end() { kill $1 -- -$step || kill $1 $step; } 2> /dev/null
trap 'ended=1; [ -z "$step" ] || end -TERM' TERM
for word in "$@"; do
    case $word in --nodelist=*) node=$node${word#*=};; --output=*) log=${word#*=};; esac
    case $word in --no-kill) node=watch-;; esac
done
[[ $node = watch-* ]] || echo "$*" | head -1 >> {folder}/calls
if [ -e {folder}/$node.says ]; then cat {folder}/$node.says >&2; exit 1; fi
setsid bash -c "${@: -1}" > $log 2>&1 &
step=$!
echo $step >> {folder}/$node.steps
[ -z "$ended" ] || end -TERM
wait $step; code=$?
end -KILL
[ -e {folder}/$node.says ] && cat {folder}/$node.says >&2
exit $code
"""


LIGHT = {"processes": 1, "nanny": False}


class Job:
    """The job in which the test seems to run: two nodes."""

    def __init__(self, folder, slurm):
        self.folder, self.slurm = folder, slurm

    def steps(self, node):
        """Return the steps that were started on a node, by their processes' ids."""
        path = self.folder / f"{node}.steps"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def end_step(self, node, said=None):
        """End the node's workers; `said`: it is lost, in srun's words, and takes no other step."""
        if said:
            (self.folder / f"{node}.says").write_text(said)
        os.killpg(self.steps(node)[-1], 9)

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()

    def left(self):
        found = [pid for node in ("node1", "node2", "watch-node2") for pid in self.steps(node)]
        return [pid for pid in found if not _zombie(pid)]


@pytest.fixture
def job(lab, tmp_path, monkeypatch):
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "nodes").write_text("node2\nnode1\n")
    for name, text in {
        "srun": SRUN.replace("{folder}", str(folder)),
        "scontrol": f"#!/bin/sh\ncat {folder}/nodes\n",
    }.items():
        path = lab.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    for name, value in {
        "SLURM_JOB_ID": "77",
        environment.ENV_JOB_ID: "77",
        "SLURMD_NODENAME": "node1",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_MEM_PER_NODE": "1024",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(allocation_cluster, "RESTART_PAUSE_S", 0.05)
    job = Job(folder, lab)
    yield job
    end = time.monotonic() + 15
    while job.left() and time.monotonic() < end:
        time.sleep(0.02)
    left = job.left()
    for pid in left:
        os.killpg(pid, 9)
    assert left == []


@pytest.fixture
def cluster(job):
    """Both nodes with a worker, as soon as it is scaled; without a nanny, which starts slowly."""
    with dask_hpc.get_cluster(**LIGHT) as cluster:
        yield cluster


@pytest.fixture
def said(caplog):
    """Return a function that returns the lines that the user is told."""
    caplog.set_level("INFO", "dask_hpc")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "dask_hpc"]


def names(cluster):
    return sorted(worker.name for worker in cluster.scheduler.workers.values())


def test_the_jobs_nodes_are_the_cluster_and_nothing_is_submitted_or_left(job, said):
    with dask_hpc.get_cluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        cluster.wait_for_workers(4, timeout=60)
        assert client.gather(client.map(abs, range(-9, 0))) == list(range(9, 0, -1))
        assert names(cluster) == ["node1-0", "node1-1", "node2-0", "node2-1"]
        assert len(cluster.plan) == 4
        steps = job.steps("node1") + job.steps("node2")
        # As if there had been tasks for a minute.
        cluster._resources.task_seconds = cluster._resources._slot_seconds = 60.0
        cluster._resources._looks = 60
    assert len(steps) == 2
    # The program's own memory counts, too; it is that of all tests so far.
    line = r"On each node, this job has 1 GiB and 2 cores; its workers used up to \d\.\d GiB .*"
    assert re.fullmatch(line, said()[-1])
    until(lambda: job.left() == [])
    assert job.slurm.calls("sbatch") == []


@pytest.mark.parametrize("asks", [{"jobs": 1}, *full({"n": 1}, {"cores": 2}, {"memory": "1 GiB"})])
def test_scale_counts_nodes_and_begins_with_the_programs_own(cluster, job, asks):
    cluster.scale(**asks)
    assert list(cluster.worker_spec) == ["node1"]


def test_more_than_the_job_has_is_said_and_not_waited_for(cluster, job, said):
    cluster.scale(jobs=20)
    assert len(cluster.plan) == 2
    line = "The program requests 20 nodes, but this job has 2: "
    line += "submit it with `dask hpc run --nodes 20`."
    assert said() == [line]
    with pytest.raises(dask_hpc.WorkerStartTimeoutError, match="this job has 2 nodes, which run 2"):
        cluster.wait_for_workers(80)


def test_adapt_takes_what_is_there(cluster, job):
    cluster.adapt(minimum_jobs=0, maximum_jobs=20)
    cluster.wait_for_workers(2, timeout=60)


def test_scaling_down_keeps_the_results(cluster, job):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    with Client(cluster) as client:
        futures = client.map(lambda i: (time.sleep(0.1), i)[1], range(16), pure=False)
        client.gather(futures)
        cluster.scale(jobs=1)
        until(lambda: names(cluster) == ["node1-0"])
        assert all(future.status == "finished" for future in futures)
        assert sum(client.gather(futures)) == 120
        until(lambda: len(job.left()) == 2)  # a worker's step, and the one that watches


def test_workers_that_end_are_started_again_and_their_tasks_done(cluster, job, said):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    with Client(cluster) as client:
        futures = client.map(lambda i: (time.sleep(0.1), i)[1], range(20), pure=False)
        until(lambda: any(future.done() for future in futures))
        job.end_step("node2")
        assert sum(client.gather(futures)) == 190
        cluster.wait_for_workers(2, timeout=60)
    assert len(job.steps("node2")) == 2
    assert cluster._resources._died  # whoever died may have needed more memory
    [line] = said()
    assert re.fullmatch(r"The workers on node2 ended \(.*\): restarting them\.", line)


def test_a_lost_node_is_left_and_the_others_do_its_tasks(cluster, job, said):
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    with Client(cluster) as client:
        futures = client.map(lambda i: (time.sleep(0.1), i)[1], range(20), pure=False)
        until(lambda: any(future.done() for future in futures))
        job.end_step("node2", "srun: error: Node failure on node2\n")
        assert sum(client.gather(futures)) == 190
        assert len(cluster.plan) == 1
    assert len(job.steps("node2")) == 1
    assert said() == [
        "The workers on node2 ended (Node failure on node2): "
        "moving their tasks to the other 1 node. Output: logs/dask-worker-77-node2.out"
    ]


def test_without_any_node_left_whoever_waits_for_results_is_told(job, said):
    with dask_hpc.get_cluster(**LIGHT) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=60)
        futures = client.map(time.sleep, [60] * 4, pure=False)
        until(lambda: any(w.processing for w in cluster.scheduler.workers.values()))
        job.end_step("node1", "srun: error: Node failure on node1\n")
        with pytest.raises((FutureCancelledError, asyncio.CancelledError)):
            client.gather(futures)
        with pytest.raises(dask_hpc.JobsEndedError, match="No workers are left"):
            cluster.wait_for_workers(1)
    assert said()[-1].startswith(
        "No workers are left: the last ones, on node1, ended (Node failure"
    )


def test_a_job_whose_program_has_gone_with_its_node_is_ended(job, monkeypatch):
    monkeypatch.setattr(node_watch, "POLL_S", 0)
    job.slurm.row("77", "RUNNING|None|node1")
    with dask_hpc.get_cluster(**LIGHT):  # without workers: they may have gone, too
        watch_ends_the_job(job)


def watch_ends_the_job(job):
    until(lambda: len([c for c in job.slurm.calls("squeue") if "--format=%N" in c]) > 2)
    assert job.slurm.calls("scancel") == []
    (job.folder / "nodes").write_text("node2\n")
    until(lambda: job.slurm.calls("scancel")[:1] == [["77"]])
    line = "node1, which ran the program, has failed: ending this job.\n"
    assert line in Path("logs/dask-worker-77.err").read_text()


def test_workers_that_never_come_are_not_waited_for_without_end(cluster, job):
    (job.folder / "node1.says").write_text("srun: error: task 0 launch failed: Error code 2\n")
    cluster.scale(jobs=1)
    with pytest.raises(dask_hpc.JobsEndedError, match=r"task 0 launch failed: Error code 2"):
        cluster.wait_for_workers(1)
    assert len([call for call in job.calls() if "node1" in call]) == 1 + step.MAX_STEP_RESTARTS


def test_a_program_may_leave_while_the_cluster_still_ends_itself(cluster, job, monkeypatch):
    begun, real = threading.Event(), cluster.scheduler.close

    async def slowly(*args, **kwargs):
        begun.set()
        await asyncio.sleep(0.5)
        await real(*args, **kwargs)

    monkeypatch.setattr(cluster.scheduler, "close", slowly)
    (job.folder / "node1.says").write_text("srun: error: task 0 launch failed: Error code 2\n")
    cluster.scale(jobs=1)
    assert begun.wait(20)
    leaving = threading.Thread(target=cluster.close, daemon=True)
    leaving.start()
    leaving.join(20)
    assert not leaving.is_alive(), "it waits for an end that never comes"


def test_the_first_nodes_memory_is_shared_with_the_program(job):
    with dask_hpc.get_cluster() as cluster:
        cluster.scale(jobs=2)
        memory = {name: spec["options"]["memory"] for name, spec in cluster.worker_spec.items()}
    assert dask.utils.parse_bytes(memory["node1"]) == 2**30 * 2 // 3
    assert memory["node2"] == "1 GiB"


def test_workers_may_use_nine_tenths_of_their_nodes_memory(job):
    with dask_hpc.get_cluster(memory="1 GiB", processes=2) as cluster:
        assert "--memory-limit 460.80MiB" in cluster.job_script()


def test_the_scheduler_is_on_the_workers_interface_not_the_login_nodes(job):
    options = {"interface": "nosuch0", "dashboard_address": ":0"}
    with dask.config.set({"jobqueue.slurm.scheduler-options": options}):
        with dask_hpc.get_cluster() as cluster:
            assert cluster.scheduler.address.startswith("tls://127.0.0.1:")
            assert cluster.scheduler.http_server.address == "127.0.0.1"


def test_nothing_of_the_workers_is_on_another_network(cluster, job):
    def listening():
        open_ones = [c for c in psutil.net_connections() if c.pid == os.getpid()]
        return {c.laddr.ip for c in open_ones if c.status == "LISTEN"}

    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    assert names(cluster) == ["node1-0", "node2-0"]
    with Client(cluster) as client:
        assert list(client.run(listening).values()) == [{"127.0.0.1"}] * 2


def test_the_labs_own_words_for_the_workers_pages_count(job):
    arguments = ["--dashboard-address", ":9000"]
    with dask_hpc.get_cluster(worker_extra_args=arguments, interface="lo") as cluster:
        assert "--no-dashboard" not in cluster.job_script()
        assert cluster.job_script().count("--dashboard-address") == 1


def test_a_wrong_interface_is_one_line(job):
    with pytest.raises(
        dask_hpc.ConfigError, match=r"Cannot start Dask's scheduler on node1: .* interface nosuch0"
    ):
        dask_hpc.get_cluster(interface="nosuch0")


@pytest.mark.parametrize(
    ("asks", "words"),
    [({"cores": 4}, "4 cores, but this job has 2"), ({"memory": "2 GiB"}, "this job has 1 GiB")],
)
def test_more_than_a_node_of_the_job_has_is_refused(job, asks, words):
    with pytest.raises(dask_hpc.ConfigError, match=words):
        dask_hpc.get_cluster(**asks)


def test_the_profile_of_the_job_holds_in_it(job, monkeypatch):
    monkeypatch.setenv(environment.ENV_PROFILE, "thin")
    with dask.config.set({"jobqueue.thin": {"cores": 1, "processes": 1, "memory": "512 MiB"}}):
        with dask_hpc.get_cluster() as cluster:
            cluster.scale(jobs=1)
            assert len(cluster.plan) == 1


def test_a_job_submitted_from_within_is_another_job(job, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    with dask_hpc.get_cluster() as cluster:
        assert type(cluster) is dask_hpc.SLURMCluster


def test_outside_the_jobs_nodes_there_is_no_scheduler(job, monkeypatch):
    monkeypatch.delenv("SLURMD_NODENAME")
    with pytest.raises(dask_hpc.ConfigError, match=r"submit it with `dask hpc run`"):
        dask_hpc.get_cluster()


def test_the_end_of_the_walltime_is_said_before(job, said):
    job.slurm.row("77", "RUNNING|None|node1|9:45|0:15")
    with dask_hpc.get_cluster():
        until(lambda: any("walltime" in line for line in said()))
    dashboard, *others = said()
    assert dashboard.startswith("Dashboard: http://127.0.0.1:")
    assert others == [
        "This job reaches its walltime in 15 s: save your results before then, or they will be "
        "lost."
    ]


def test_an_event_loop_of_ones_own_works_too(job):
    async def work():
        async with dask_hpc.get_cluster(**LIGHT, asynchronous=True) as cluster:
            cluster.scale(jobs=2)
            await cluster.wait_for_workers(2, timeout=60)
            async with Client(cluster, asynchronous=True) as client:
                return await client.gather(client.map(abs, range(-5, 0)))

    assert asyncio.run(work()) == [5, 4, 3, 2, 1]
