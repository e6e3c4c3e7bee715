"""Backends on Dask: that they run every call, on all slots, and leave nothing behind."""

import time
from functools import partial

import dask
import psutil
import pytest

from dask_hpc.batch import BATCH_SYSTEMS
from dask_hpc.bench import validation
from dask_hpc.bench.backends import BACKENDS, default_backend
from dask_hpc.bench.backends._dask import BackendError
from dask_hpc.bench.backends.cluster import ClusterBackend
from dask_hpc.bench.backends.local import LocalBackend
from dask_hpc.bench.points import GATHER, HARNESS, SWEEP, WORKER_SATURATION
from dask_hpc.bench.process_time import process_start
from dask_hpc.bench.tasks import sleep_task
from dask_hpc.dask_errors import WorkerStartTimeoutError
from dask_hpc.errors import SubmitError

pytestmark = pytest.mark.xdist_group("local backend")


@pytest.fixture(scope="module")
def local():
    """Two processes of two threads; and the phases of their start."""
    backend = LocalBackend(job_cores=2, timeout=60)
    try:
        yield backend, backend.start(4)
    finally:
        backend.close()


@pytest.mark.parametrize("way", [HARNESS, GATHER])
def test_equal_calls_are_executed_each_time(local, way):
    backend, _ = local
    results = backend.map(partial(sleep_task, seconds=0.02), [7] * 8, way=way)
    executions = {(*result[1:4], result[4]) for result in results}
    assert len(results) == len(executions) == 8


@pytest.mark.parametrize("way", [HARNESS, GATHER, SWEEP])
def test_all_slots_are_used_in_the_shape_asked_for(local, way):
    backend, _ = local
    results = list(backend.map(partial(sleep_task, seconds=0.1), range(16), way=way))
    assert sorted(result[0] for result in results) == list(range(16))
    summary = validation.examine(results)
    assert summary.slots_used == 4
    assert len({result[2] for result in results}) == 2  # processes
    assert backend.describe()["jobs"] == backend.describe()["threads"] == 2


def test_start_returns_when_all_workers_are_there_and_tells_its_phases(local):
    backend, phases = local
    assert len(backend.cluster.scheduler.workers) == 2
    assert list(phases) == ["cluster", "queue", "first_worker", "all_workers"]
    assert all(seconds >= 0 for seconds in phases.values())
    assert phases["cluster"] + phases["queue"] + phases["first_worker"] > 0.05


def test_an_error_in_a_task_reaches_the_caller(local):
    backend, _ = local
    with pytest.raises(ZeroDivisionError):
        backend.map(partial(divmod, 1), [0, 1, 2])


def test_tasks_that_take_too_long_are_given_up_in_one_line(local):
    backend, _ = local
    with pytest.raises(BackendError, match="did not finish within"):
        backend.map(partial(sleep_task, seconds=3), range(2), timeout=0.2)


def test_workers_hold_as_many_tasks_as_the_record_says(local):
    backend, _ = local
    assert backend.cluster.scheduler.WORKER_SATURATION == WORKER_SATURATION
    assert backend.describe()["worker_saturation"] == WORKER_SATURATION


def test_closing_ends_every_process_and_puts_the_configuration_back(caplog):
    caplog.set_level("INFO", "dask_hpc")
    before = dask.config.get("distributed.scheduler.worker-saturation")
    backend = LocalBackend(job_cores=1, timeout=60)
    backend.start(2)
    assert [r.getMessage() for r in caplog.records if r.name == "dask_hpc"] == []
    mine = psutil.Process().children(recursive=True)
    workers = {result[2] for result in backend.map(partial(sleep_task, seconds=0.1), range(8))}
    assert workers <= {process.pid for process in mine}
    backend.close()
    backend.close()  # harmless
    end = time.monotonic() + 15
    while any(map(psutil.pid_exists, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, workers))
    assert dask.config.get("distributed.scheduler.worker-saturation") == before


def test_the_start_of_a_process_is_known_finely():
    # psutil's comes through the boot time in whole seconds.
    assert abs(process_start() - psutil.Process().create_time()) < 1.5
    assert process_start() == pytest.approx(process_start(), abs=0.05)
    assert process_start() < time.time()


def test_the_configuration_decides_where_a_benchmark_runs():
    with dask.config.set({"dask-hpc.batch-system": "slurm"}):
        assert default_backend() == "cluster"
    with dask.config.set({"dask-hpc.batch-system": "none"}):
        assert default_backend() == "local"
        with pytest.raises(BackendError, match="--backend local"):
            BACKENDS["cluster"]()


def answer(monkeypatch, text):
    """Slurm says this when asked for the size of a partition."""
    monkeypatch.setattr(BATCH_SYSTEMS["slurm"], "capacity_command", lambda queue: ["echo", text])


def test_more_slots_than_the_partition_has_are_refused_before_anything_starts(lab, monkeypatch):
    answer(monkeypatch, "short*|0/128/0/128")
    ClusterBackend().check(128)
    with pytest.raises(BackendError) as caught:
        ClusterBackend().check(500)
    assert "500 slots requested, but partition short has 128 CPUs" in str(caught.value)
    assert not lab.calls("sbatch")


def test_a_partition_that_is_not_there_is_named(lab, monkeypatch):
    answer(monkeypatch, "")
    with pytest.raises(BackendError, match="partition short: sinfo lists no such partition"):
        ClusterBackend().check(4)


def test_a_batch_system_that_does_not_answer_is_left_to_the_submission(lab):
    ClusterBackend().check(10_000)  # no sinfo among the fakes


def test_a_cluster_is_made_in_the_harness_shape_and_keeps_the_labs_settings(lab):
    args = {"jobqueue.slurm.worker-extra-args": ["--resources", "GPU=1"]}
    with dask.config.set(args):
        backend = ClusterBackend(job_cores=2, timeout=60)
        try:
            phases = backend.start(4)
            facts = backend.describe()
        finally:
            backend.close()
    assert list(phases) == ["cluster", "submit", "queue", "first_worker", "all_workers"]
    script = facts["job_script"]
    for words in (
        "#SBATCH -A lab",
        "#SBATCH -p short",
        "--cpus-per-task=2",
        "--nthreads 2",
        "--no-nanny",
        "--resources GPU=1",
        "--no-dashboard",
        "--interface lo",
    ):
        assert words in script
    assert "--nworkers" not in script
    assert facts["jobs"] == len(lab.calls("sbatch")) == 2
    assert lab.all_gone()


def test_the_batch_systems_settings_are_in_the_description(lab, monkeypatch):
    command = ("echo", "SchedulerParameters = bf_interval=5")
    monkeypatch.setattr(BATCH_SYSTEMS["slurm"], "settings_command", command)
    assert ClusterBackend().batch_settings() == {"SchedulerParameters": "bf_interval=5"}


def test_workers_that_do_not_come_in_time_leave_no_job(lab):
    lab.hold()
    backend = ClusterBackend(job_cores=2, timeout=1)
    with pytest.raises(WorkerStartTimeoutError, match="0 of 2 workers connected within 1 s"):
        backend.start(4)
    backend.close()
    cancelled = {job for call in lab.calls("scancel") for job in call}
    assert {"100", "101"} <= cancelled


def test_a_refused_job_is_told_in_the_batch_systems_words(lab):
    lab.says("sbatch", "sbatch: error: Invalid account or account/partition combination")
    backend = ClusterBackend(job_cores=2, timeout=60)
    with pytest.raises(SubmitError, match="Invalid account"):
        backend.start(4)
    backend.close()
