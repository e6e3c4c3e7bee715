"""A worker's limit is a little less than its share of the job's memory.

That workers on every batch system have it is in test_batch_systems.py.
"""

import shlex

import dask
import pytest

from dask_hpc import SLURMCluster
from dask_hpc.config import memory_limit

LIMIT = "--memory-limit"


def options(script: str) -> list[str]:
    """Return the values of all --memory-limit options in a job script."""
    words = shlex.split(script, comments=False)
    pairs = [word.partition("=")[2] for word in words if word.startswith(f"{LIMIT}=")]
    return pairs + [words[i + 1] for i, word in enumerate(words) if word == LIMIT]


def test_a_worker_has_nine_tenths_of_its_share_and_the_job_all_of_it(lab):
    with SLURMCluster(memory="10 GiB", processes=2) as cluster:
        script = cluster.job_script()
        cluster.scale(memory="20 GiB")
        assert len(cluster.worker_spec) == 2  # in jobs' memory
    assert "#SBATCH --mem=10G\n" in script
    assert options(script) == ["4.50GiB"]


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ([f"{LIMIT} 2GiB"], "2GiB"),
        ([LIMIT, "2GiB"], "2GiB"),
        ([f"{LIMIT}=2GiB"], "2GiB"),
        ([LIMIT, "1GiB", f"{LIMIT}=2GiB"], "2GiB"),
        ([LIMIT, "0"], "0"),
    ],
)
@pytest.mark.parametrize("place", ["file", "argument"])
def test_a_limit_among_the_workers_options_goes_before_and_stands_there_once(
    lab, given, limit, place
):
    given = ["--no-dashboard", *given, "--worker-port", "0"]
    settings = {"jobqueue.slurm.worker-extra-args": given} if place == "file" else {}
    with dask.config.set(settings):
        with SLURMCluster(**({} if settings else {"worker_extra_args": given})) as cluster:
            script = cluster.job_script()
    assert options(script) == [limit]
    assert "--no-dashboard --worker-port 0" in script


def test_other_options_stay_as_they_are():
    assert memory_limit.split_memory_limit(["--a 'b c'", "--memory"]) == (
        None,
        ["--a 'b c'", "--memory"],
    )
