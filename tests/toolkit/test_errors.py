"""Our errors are subclasses of what upstream raises in the same place."""

import pickle

import distributed
import pytest
from distributed.exceptions import WorkerStartTimeoutError
from distributed.scheduler import KilledWorker

import dask_hpc

from .conftest import NO_DASHBOARD, until


@pytest.mark.parametrize(
    ("error", "upstream"),
    [
        (dask_hpc.ConfigError, ValueError),
        (dask_hpc.ArgumentError, TypeError),
        (dask_hpc.SubmitError, RuntimeError),
        (dask_hpc.SubmitCommandError, OSError),
        (dask_hpc.NoJobIdError, ValueError),
        (dask_hpc.WorkerStartTimeoutError, WorkerStartTimeoutError),
        (dask_hpc.JobsEndedError, WorkerStartTimeoutError),
        (dask_hpc.TaskExceedsWalltimeError, KilledWorker),
    ],
)
def test_upstream_error_catches_ours(error, upstream):
    assert issubclass(error, upstream)
    assert issubclass(error, dask_hpc.DaskHPCError)


@pytest.mark.parametrize(
    "error",
    [
        dask_hpc.WorkerStartTimeoutError("2 of 4 workers came", 2, 4, 60.0),
        dask_hpc.JobsEndedError("All jobs have ended", 2, 4, None),
        dask_hpc.TaskExceedsWalltimeError("Task 'x' was interrupted 3 times", "x", None, 3),
    ],
)
def test_message_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) == error.message
    assert vars(copy) == vars(error)
    assert error.message in repr(error)
    assert getattr(copy, "filename", None) is None  # what handles files' errors lets it pass


def test_workers_late_on_a_laptop_and_on_a_cluster_are_the_same_error(lab):
    lab.hold()
    errors = []
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        with pytest.raises(WorkerStartTimeoutError) as error:
            cluster.wait_for_workers(2, timeout=0.1)
    errors.append(error.value)
    with distributed.LocalCluster(1, **NO_DASHBOARD, processes=False) as cluster:
        with pytest.raises(WorkerStartTimeoutError) as error:
            cluster.wait_for_workers(2, timeout=0.1)
    errors.append(error.value)
    ours, upstream = ((e.expected_workers, e.timeout) for e in errors)
    assert ours == upstream


def test_missing_command_is_a_submit_error_and_an_os_error(lab, monkeypatch):
    with dask_hpc.SLURMCluster() as cluster:
        monkeypatch.setenv("PATH", "/nowhere")
        cluster.scale(jobs=1)
        until(lambda: cluster._control.pool.submit_errors.last is not None)
        with pytest.raises(OSError, match="sbatch not found"):
            cluster.wait_for_workers(1)
