"""A batch cluster's arguments on a computer without a batch system."""

import pytest

from dask_hpc import ConfigError, WorkerStartTimeoutError
from dask_hpc.cluster.local import LocalCluster, local_arguments


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"cores": 8, "processes": 4}, {"n_workers": 4, "threads_per_worker": 2}),
        ({"cores": 30}, {"n_workers": 6, "threads_per_worker": 5}),
        ({"processes": 3}, {"n_workers": 3}),
        ({"processes": False}, {"processes": False}),
        (
            {"cores": 4, "n_workers": 1, "threads_per_worker": 1},
            {"n_workers": 1, "threads_per_worker": 1},
        ),
        (
            {"cores": 2, "processes": 2, "memory": "2 GiB"},
            {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 2**30},
        ),
        ({"scheduler_options": {"dashboard_address": ":0"}}, {"dashboard_address": ":0"}),
        ({"interface": "ib0", "queue": "short", "job_extra_directives": [], "nanny": False}, {}),
        ({"config_name": "gpu", "walltime": "1:00:00", "name": "mine"}, {"name": "mine"}),
        ({"misspelt": 1}, {"misspelt": 1}),  # LocalCluster itself refuses it
    ],
)
def test_arguments_are_translated_or_left_aside(given, expected):
    assert local_arguments(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        {"n_workers": "two"},
        {"n_workers": -1},
        {"threads_per_worker": 1.5},
        {"cores": "four"},
        {"processes": 0},
        {"memory": "lots"},
    ],
)
def test_numbers_that_are_none_are_refused_by_the_name_of_their_argument(given):
    (name,) = given
    with pytest.raises(ConfigError, match=rf"^argument {name}: .*\.$"):
        local_arguments(given)


def test_whole_numbers_of_other_types_are_taken():
    assert local_arguments({"n_workers": 2.0}) == {"n_workers": 2}


def test_this_computer_is_one_job_and_that_is_said(caplog):
    caplog.set_level("INFO", "dask_hpc")
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        cluster.scale(jobs=2)
        with pytest.raises(WorkerStartTimeoutError):
            cluster.wait_for_workers(2, timeout=0.2)
    assert [record.getMessage() for record in caplog.records if record.name == "dask_hpc"] == [
        "This computer counts as one job (1 worker), not 2 jobs.",
        "Waiting for 2 workers, but the cluster is scaled to 1.",
    ]
