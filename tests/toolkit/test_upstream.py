"""Private parts of dask-jobqueue and distributed that the toolkit uses, one test each.

Where one fails after an update, the part that it names has changed, and so must its user here.
Those of `_compat.upstream` are left out by then, and the others break: the page
docs/development/upstream/index.md says what each is for.
"""

import asyncio
import inspect
import multiprocessing.spawn
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dask
import distributed
import distributed.nanny
import distributed.worker
import pytest
from distributed import SpecCluster
from distributed.cli import dask_worker
from distributed.core import Status
from distributed.deploy import Cluster

import dask_hpc
from dask_hpc._compat import upstream
from dask_hpc._compat.jobqueue_import import dask_jobqueue
from dask_hpc._compat.unrunnable_tasks import restart_unrunnable
from dask_hpc.config import files, profiles
from dask_hpc.resilience.draining import unanswered


@pytest.mark.parametrize("part", upstream.PARTS)
def test_lines_of_an_upstream_part(part, caplog):
    caplog.set_level("INFO", logger="dask_hpc")
    upstream.is_known.cache_clear()
    assert upstream.is_known(part), caplog.text


def test_import_of_dask_jobqueue_replaces_the_handler_of_ctrl_c():
    # Where this fails, upstream has mended it, and _compat.jobqueue_import can go.
    code = """
        import signal
        import dask_jobqueue
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_scheduler_imports_the_dashboard_when_it_starts():
    # Where this fails, upstream has mended it, and _compat.lazy_dashboard can go.
    code = """
        import asyncio, sys
        from distributed import Scheduler

        async def start():
            async with Scheduler(port=0, dashboard_address=":0"):
                assert "bokeh" in sys.modules

        asyncio.run(start())
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_the_arguments_of_each_job_are_in_job_kwargs(lab):
    # AllocationCluster._spec makes those of each node from them.
    with dask_jobqueue.SLURMCluster(cores=2, memory="1 GiB", processes=2) as cluster:
        assert cluster._job_kwargs["memory"] == "1 GiB"
        assert cluster._job_kwargs["processes"] == 2
        cluster._job_kwargs = {**cluster._job_kwargs, "memory": "2 GiB"}
        assert "#SBATCH --mem=2G" in cluster.job_script()


def test_the_size_of_a_job_is_read_from_dummy_job(lab):
    # AllocationCluster.scale counts in it.
    with dask_jobqueue.SLURMCluster(cores=2, memory="1 GiB", processes=2) as cluster:
        job = cluster._dummy_job
    assert (job.worker_processes, job.worker_cores, job.worker_memory) == (2, 2, 2**30)


def test_correct_state_starts_what_is_in_worker_spec_and_not_in_workers(lab):
    # AllocationCluster starts a node's workers again in this way.
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        cluster.sync(cluster._correct_state)
        [(name, first)] = cluster.workers.items()
        first.status = Status.failed
        del cluster.workers[name]
        cluster.sync(cluster._correct_state)
        assert cluster.workers[name] is not first


def test_the_key_files_of_a_temporary_security_are_kept_in_job_ca_file_job_cert_and_job_key(
    lab, tmp_path
):
    # ClusterLifecycle._remove_keys closes them.
    pem = {"ca_file": "a\na", "cert": "b\nb", "key": "c\nc", "ciphers": None}

    class Security:
        def get_tls_config_for_role(self, role):
            return pem

    with dask_hpc.SLURMCluster(shared_temp_directory=str(tmp_path)) as cluster:
        cluster._get_worker_security(Security())
        assert Path(cluster._job_ca_file.name).read_text() == "a\na"
        assert Path(cluster._job_cert.name).read_text() == "b\nb"
        assert Path(cluster._job_key.name).read_text() == "c\nc"


def names_in(function):
    """Return the names that a function or method looks up."""
    return set(function.__code__.co_names)


def test_adaptive_scaling_is_in_adaptive_and_none_without(lab):
    # ClusterLifecycle.adapting tells by it who decides.
    with dask_jobqueue.SLURMCluster(cores=2, memory="1 GiB") as cluster:
        assert cluster._adaptive is None
        adaptive = cluster.adapt(maximum_jobs=1)
        assert cluster._adaptive is adaptive
        assert adaptive.periodic_callback is not None
        adaptive.stop()
        assert adaptive.periodic_callback is None


def test_scaling_goes_through_correct_state_internal():
    # ClusterLifecycle keeps refusals and results there.
    assert "_correct_state_internal" in names_in(SpecCluster._correct_state)
    assert "_correct_state" in names_in(SpecCluster.scale)


def test_new_worker_name_makes_a_jobs_name_of_a_number(lab):
    # ClusterLifecycle.new_worker_spec calls it with numbers that it counts itself.
    with dask_hpc.SLURMCluster() as cluster:
        assert cluster._new_worker_name(7) == f"{cluster._name}-7"
    assert "_new_worker_name" in names_in(SpecCluster.new_worker_spec)


def test_workers_that_come_and_go_reach_update_worker_status():
    # SpecCluster's own, which ClusterLifecycle leaves out, takes a lost worker for a lost job.
    assert "_update_worker_status" in names_in(Cluster._watch_worker_status)
    assert "_update_worker_status" in vars(SpecCluster)


def test_a_cluster_begins_with_start_and_ends_with_close():
    # ClusterLifecycle and AllocationCluster add to both.
    assert "_start" in names_in(SpecCluster.__init__)
    assert "_close" in names_in(Cluster.close)


def test_a_job_is_submitted_through_submit_job_call_and_job_id_from_submit_output():
    # job.ManagedJobMixin has its own of each.
    job = dask_jobqueue.core.Job
    assert {"_submit_job", "_job_id_from_submit_output"} <= names_in(job.start)
    assert "_call" in names_in(job._submit_job)


def test_a_local_cluster_awaits_its_workers_in_wait_for_workers():
    # cluster.local.LocalCluster does so, too.
    assert "_wait_for_workers" in vars(Cluster)


def test_the_removal_of_a_worker_is_an_event_that_says_what_it_ran_and_whether_it_was_expected():
    # WorkerEventsPlugin tells by it whether a worker died at work.
    async def removed(expected):
        async with (
            distributed.Scheduler(port=0, dashboard=False) as scheduler,
            distributed.Worker(scheduler.address) as worker,
            distributed.Client(scheduler.address, asynchronous=True) as client,
        ):
            future = client.submit(time.sleep, 1)
            while not scheduler.workers[worker.address].processing:
                await asyncio.sleep(0.01)
            await scheduler.remove_worker(worker.address, expected=expected, stimulus_id="test")
            _, event = scheduler.get_events(worker.address)[-1]
            assert event["expected"] is expected
            assert list(event["processing-tasks"]) == [future.key]

    asyncio.run(removed(expected=True))
    asyncio.run(removed(expected=False))


def test_a_task_that_may_run_on_others_is_forgotten_where_its_worker_is_gone():
    # unrunnable_tasks.restart_unrunnable makes up for it. Where this fails, upstream has repaired
    # it, and that can go.
    async def forgotten():
        async with (
            distributed.Scheduler(port=0, dashboard=False) as scheduler,
            distributed.Client(scheduler.address, asynchronous=True) as client,
        ):
            gone = "tcp://127.0.0.1:9"
            future = client.submit(abs, -1, workers=[gone], allow_other_workers=True)
            while future.key not in scheduler.tasks:
                await asyncio.sleep(0.01)
            async with distributed.Worker(scheduler.address):
                assert await client.submit(abs, -2) == 2
                assert scheduler.tasks[future.key].state == "no-worker"
                restart_unrunnable(scheduler)
                assert await future == 1

    asyncio.run(forgotten())


def test_a_worker_that_closes_says_so_and_one_that_is_gone_does_not():
    # WorkerEventsPlugin tells by it whether a worker left in order.
    async def told(how):
        async with (
            distributed.Scheduler(port=0, dashboard=False) as scheduler,
            distributed.Worker(scheduler.address) as worker,
        ):
            if how == "gone":
                worker.batched_stream.abort()
            else:
                await getattr(worker, how)()
            while worker.address in scheduler.workers:
                await asyncio.sleep(0.01)
            events = [event for _, event in scheduler.get_events(worker.address)]
            return {e["status"] for e in events if e["action"] == "worker-status-change"}

    assert asyncio.run(told("close")) >= {"closing"}
    assert asyncio.run(told("close_gracefully")) >= {"closing_gracefully"}
    assert not asyncio.run(told("gone")) & {"closing", "closing_gracefully"}


def test_the_scheduler_has_the_address_of_each_workers_nanny():
    # tracking.JobTracker keeps it.
    async def nanny():
        async with (
            distributed.Scheduler(port=0, dashboard=False) as scheduler,
            distributed.Nanny(scheduler.address, nthreads=1) as nanny,
        ):
            [worker] = scheduler.workers.values()
            assert worker.nanny == nanny.address

    asyncio.run(nanny())


def test_a_workers_connection_tells_when_its_node_has_last_answered():
    # draining.unanswered reads it from the socket of the scheduler's stream.
    options = {"dashboard_address": None, "processes": False, "protocol": "tcp"}
    with distributed.LocalCluster(n_workers=1, host="127.0.0.1", **options) as cluster:
        [address] = cluster.scheduler.workers
        assert cluster.scheduler.stream_comms[address].comm.stream.socket.fileno() > 0
        assert unanswered(cluster.scheduler, "tcp://127.0.0.1:1") == 0
        # Its heartbeats go another way; this is what the last message on the stream brought.
        before = unanswered(cluster.scheduler, address)
        time.sleep(0.5)
        assert 0.3 < unanswered(cluster.scheduler, address) - before < 5


def test_a_cluster_can_be_closed_without_its_scheduler():
    # ClusterLifecycle.scheduler_closes does so where that is closed already.
    assert "shutdown_scheduler" in names_in(SpecCluster._close)


def test_a_job_reads_its_section_while_it_is_made_and_again_where_an_argument_is_none(lab):
    """So a section that is there for that moment decides (`profiles.read_as`)."""
    keys = {**files.jobqueue_defaults()["slurm"], "cores": 3, "memory": "1 GiB", "walltime": None}
    with profiles.read_as(keys) as name:
        job = dask_jobqueue.slurm.SLURMJob(
            "tcp://x", name="x", config_name=name, walltime=None, interface=""
        )
    assert "--cpus-per-task=3" in job.job_header
    assert "#SBATCH -t" not in job.job_header
    assert "--interface" not in job.job_script()  # an empty interface is none, and not read again
    assert dask.config.get(f"jobqueue.{name}", None) is None


def test_a_job_script_is_made_of_script_template(lab):
    # cluster.job_script.WaitsForWorker adds lines after the worker's command in it.
    template = dask_jobqueue.core.Job._script_template
    assert template.count("%(worker_command)s") == 1
    assert "_script_template" in names_in(dask_jobqueue.core.Job.job_script)


def test_a_job_keeps_its_header_and_its_workers_command(lab):
    # The cluster looks for directives in the header, HTCondor's are a mapping; the script of
    # `dask hpc run` has them anew. ManagedJobMixin puts a line before the command, and Diagnosis
    # reads the Python in it.
    with dask_hpc.SLURMCluster() as cluster:
        job = cluster._dummy_job
        assert "#SBATCH --mem=" in job.job_header
        assert job._command_template in job.job_script()
    assert "job_header_dict" in names_in(dask_jobqueue.htcondor.HTCondorJob.__init__)


def test_a_cluster_has_the_thread_of_its_loop_in_loop_runner(lab):
    # StartErrorsMixin stops it where the scheduler does not start.
    with dask_hpc.SLURMCluster() as cluster:
        assert callable(cluster._loop_runner.stop)


def test_a_nanny_hears_of_its_workers_end_in_on_worker_exit_sync():
    # cluster.local.Nanny keeps the exit code.
    assert list(inspect.signature(distributed.Nanny._on_worker_exit_sync).parameters) == [
        "self",
        "exitcode",
    ]
    assert "_on_worker_exit_sync" in names_in(distributed.Nanny.instantiate)


def test_a_process_knows_that_it_imports_the_script_by_inheriting():
    # cluster.main_guard.check asks a process whether it is one that multiprocessing starts.
    source = inspect.getsource(multiprocessing.spawn._main)
    assert source.index("_inheriting = True") < source.index("prepare(")
    assert "_inheriting" in inspect.getsource(multiprocessing.spawn._check_not_importing_main)


def test_what_workers_and_nannies_write_in_their_logs():
    # diagnosis tells by these lines how far a job's workers came.
    for module, words in (
        (distributed.worker, "Registered to: "),
        (distributed.nanny, "Start Nanny at: "),
        (distributed.nanny, "Timed out connecting Nanny "),
        (dask_worker, "Timed out starting worker"),
    ):
        assert words in inspect.getsource(module)


def test_a_worker_whose_close_was_cancelled_never_finishes():
    # Where this fails, upstream has mended it: say so in distributed-worker-close.md, the report.
    async def close_and_cancel():
        async with distributed.Scheduler(port=0, dashboard=False) as scheduler:
            worker = await distributed.Worker(scheduler.address, dashboard=False)
            closing = asyncio.create_task(worker.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            finished = worker._event_finished.is_set()
            worker.status = Status.running
            await worker.close()
        return finished

    assert not asyncio.run(close_and_cancel())
