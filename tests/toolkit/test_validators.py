"""Single values: numbers of other libraries, amounts of memory, names."""

import math

import numpy as np
import pytest
from dask.utils import parse_bytes

import dask_hpc
from dask_hpc import SLURMCluster, batch
from dask_hpc.config import files, resolve, validators, warnings

SLURM = batch.get("slurm")
TWO = [2, 2.0, np.int64(2), np.int8(2), np.float32(2), np.uint16(2), np.array(2)]


@pytest.mark.parametrize("two", TWO, ids=lambda value: type(value).__name__)
def test_whole_numbers_of_every_kind_are_taken_everywhere(lab, two):
    filled = resolve.resolve(SLURM, {"cores": two, "processes": two, "death_timeout": two})
    assert [filled.arguments[name] for name in ("cores", "processes", "death_timeout")] == [2, 2, 2]
    assert type(filled.arguments["cores"]) is type(filled.arguments["processes"]) is int
    lab.hold()
    with SLURMCluster(cores=two, processes=two, idle_timeout=two) as cluster:
        assert cluster._control.meter.limit == 2
        for asked, jobs in [({"n": two}, 1), ({"jobs": two}, 2), ({"cores": two}, 1)]:
            cluster.scale(**asked)
            assert len(cluster.worker_spec) == jobs
        cluster.adapt(minimum=two, maximum_cores=two, maximum_jobs=two, maximum=np.inf)
        with pytest.raises(TimeoutError):
            cluster.wait_for_workers(two, timeout=np.float32(0.1))


@pytest.mark.parametrize("bad", [2.5, "2", True, np.True_, None, math.nan, math.inf, [2], 2 + 0j])
def test_other_things_are_no_whole_number(bad):
    assert validators.as_whole_number(bad) is None
    assert "must be an integer" in validators.check_count(bad)


def test_what_is_rounded_to_whole_jobs_may_be_a_fraction(lab):
    lab.hold()
    with SLURMCluster() as cluster:
        cluster.scale(2.5)
        assert len(cluster.worker_spec) == 2  # of two workers each
        cluster.scale(cores=np.float64(4.1))
        assert len(cluster.worker_spec) == 3
        for bad in (-1, math.nan, math.inf, "3"):
            with pytest.raises(ValueError, match=r"scale\(n=...\) must be a number, 0 or more"):
                cluster.scale(bad)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (2**31, 2**31),
        (2e9, 2 * 10**9),
        (np.int64(2**31), 2**31),
        (np.float32(2**30), 2**30),
        ("2000000000", 2 * 10**9),
        ("128GB", 128 * 10**9),
        ("40 G", 40 * 10**9),
        (2**31 + 1, 2**31 + 1),
    ],
)
def test_memory_may_be_a_number_of_bytes_and_in_any_unit(lab, value, size):
    assert validators.check_memory(value) == ""
    filled = resolve.resolve(SLURM, {"memory": value})
    assert parse_bytes(filled.arguments["memory"]) == size
    lab.hold()
    with SLURMCluster(memory=value) as cluster:
        gib = math.ceil(size / 2**30)
        assert f"#SBATCH --mem={gib}G\n" in cluster.job_script()  # never less than asked for
        cluster.scale(memory=value)
        assert len(cluster.worker_spec) == 1
        cluster.adapt(minimum_memory=value, maximum_memory=value)


@pytest.mark.parametrize("value", [16, "16", 0, -1, True, None, math.nan, math.inf, "much", [1]])
def test_what_can_be_no_memory_is_said(value):
    assert validators.check_memory_amount(value)


@pytest.mark.filterwarnings("ignore::dask_hpc.ConfigWarning")
def test_a_name_for_jobs_fits_into_a_line_and_a_file(lab):
    with SLURMCluster(job_name="my/run 1") as cluster:
        assert "#SBATCH -J my-run-1\n" in cluster.job_script()
        assert cluster._control.output.files("7")[0].endswith("/logs/my-run-1-7.out")
    longest = "x" * 240
    with SLURMCluster(job_name=longest):
        (lab.folder / f"{longest}-4294967295.out").touch()
    line = r"a name of 241 characters is too long, .* use at most 240"
    with pytest.raises(files.ConfigError, match=line):
        SLURMCluster(job_name=longest + "x")


@pytest.mark.filterwarnings("ignore::dask_hpc.ConfigWarning")
def test_a_clusters_name_fits_into_the_workers_command(lab):
    with SLURMCluster(name="my run; 1") as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(2, timeout=60)
        assert cluster.name == "my-run-1"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"job_name": "a b"}, r"^argument job_name: using a-b instead of 'a b', since"),
        ({"name": "a b"}, r"^argument name: using a-b instead of 'a b', since"),
    ],
)
def test_a_name_that_is_changed_is_said(lab, monkeypatch, arguments, line):
    monkeypatch.setattr(warnings, "_said", set())
    with pytest.warns(dask_hpc.ConfigWarning, match=line):
        SLURMCluster(**arguments).close()


@pytest.mark.filterwarnings("error::dask_hpc.ConfigWarning")
@pytest.mark.parametrize("name", ["a/b", "Jürgen", "run#1", "50%done", "a:b"])
def test_a_clusters_name_that_works_is_left_alone(lab, name):
    with SLURMCluster(name=name) as cluster:
        assert cluster.name == name


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("run-${SLURM_ARRAY_TASK_ID}", "run-${SLURM_ARRAY_TASK_ID}"),
        ("run-$(date +%s)", "run-$(date +%s)"),
        ("my run", "my-run"),
        ("a;b 'c'", "a-b-c-"),
        ("(a)", "-a-"),
    ],
)
def test_a_clusters_name_is_one_word_in_which_the_jobs_shell_fills_in_variables(given, becomes):
    assert validators.clean_cluster_name(given) == becomes
