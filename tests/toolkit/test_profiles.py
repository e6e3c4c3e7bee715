"""A profile says what differs; all else is as in the batch system's own section."""

import dask
import pytest

from dask_hpc import ConfigError, SLURMCluster, batch
from dask_hpc.config import profiles, resolve

from .conftest import until

SLURM = batch.get("slurm")
GPU = {"queue": "gpu", "cores": 6, "processes": 1, "job-extra-directives": ["--gres=gpu:1"]}


@pytest.fixture
def gpu(lab):
    """Yield the lab with a profile called gpu in its configuration."""
    with dask.config.set({"jobqueue.gpu": GPU}):
        yield lab


def test_a_job_of_a_profile_has_its_keys_and_the_rest_of_the_batch_systems_section(gpu):
    with SLURMCluster(config_name="gpu") as cluster:
        script = cluster.job_script().splitlines()
        cluster.scale(cores=12)
        assert len(cluster.worker_spec) == 2  # jobs of 6 cores each
    for line in ["-p gpu", "--cpus-per-task=6", "--gres=gpu:1", "-A lab", "-t 00:10:00"]:
        assert f"#SBATCH {line}" in script
    assert any("--nthreads 6" in line for line in script)


def test_an_argument_goes_before_the_profile(gpu):
    filled = resolve.resolve(SLURM, {"config_name": "gpu", "queue": "mine", "cores": None})
    assert (filled.arguments["queue"], filled.arguments["cores"]) == ("mine", 6)


def test_without_a_profile_nothing_of_one_is_used(gpu):
    assert resolve.resolve(SLURM, {}).cores == 2
    assert resolve.resolve(SLURM, {"config_name": "slurm"}).cores == 2


def test_lists_are_replaced_and_mappings_completed(lab):
    base = {
        "jobqueue.slurm.job-extra-directives": ["--nodes=1"],
        "jobqueue.slurm.scheduler-options": {"dashboard_address": ":0", "interface": "lo"},
    }
    profile = {"job-extra-directives": ["--exclusive"], "scheduler-options": {"interface": "ib1"}}
    with dask.config.set({**base, "jobqueue.big": profile}):
        found = profiles.merged(SLURM, "big")
    assert found["job-extra-directives"] == ["--exclusive"]
    assert found["scheduler-options"] == {"dashboard_address": ":0", "interface": "ib1"}


def script(config_name="gpu", **arguments) -> str:
    with SLURMCluster(config_name=config_name, **arguments) as cluster:
        return cluster.job_script()


NULLS = {
    "walltime": ("00:10:00", "#SBATCH -t "),
    "queue": ("short", "#SBATCH -p "),
    "account": ("lab", "#SBATCH -A "),
    "name": ("jobs", "#SBATCH -J "),
    "interface": ("lo", "--interface"),
    "log-directory": ("logs", "#SBATCH -e "),
    "local-directory": ("/tmp", "dask_scratch=/tmp"),
    "death-timeout": (60, "--death-timeout"),
    "job-cpu": (16, "--cpus-per-task=16"),
    "job-mem": ("7G", "--mem=7G"),
    "worker-extra-args": (["--lifetime=1h"], "--lifetime=1h"),
    "job-extra-directives": (["--exclusive"], "--exclusive"),
    "job-script-prologue": (["module load x"], "module load x"),
}


@pytest.mark.parametrize("key", NULLS)
def test_null_in_a_profile_is_a_value_and_a_key_that_is_left_out_is_not(lab, key):
    value, shown = NULLS[key]
    with dask.config.set({f"jobqueue.slurm.{key}": value, "jobqueue.gpu": {key: None}}):
        assert shown not in script()
    with dask.config.set({f"jobqueue.slurm.{key}": value, "jobqueue.gpu": {"memory": "2 GiB"}}):
        assert shown in script()


@pytest.mark.parametrize("key", ["queue", "account", "name", "interface"])
@pytest.mark.parametrize("blank", ["", None])
def test_what_is_empty_or_null_leaves_its_line_out_in_the_batch_systems_section_too(
    lab, key, blank
):
    with dask.config.set({f"jobqueue.slurm.{key}": blank}):
        assert NULLS[key][1] not in script("slurm")


@pytest.mark.parametrize("argument", ["queue", "account", "job_name"])
def test_an_argument_that_is_empty_leaves_its_line_out_and_none_does_not(lab, argument):
    shown = NULLS[{"job_name": "name"}.get(argument, argument)][1]
    assert shown not in script("slurm", **{argument: ""})
    with dask.config.set({"jobqueue.slurm.queue": "short"}):
        assert shown in script("slurm", **{argument: None})


def test_null_in_a_profile_is_not_read_where_a_job_can_not_be_without(lab):
    nulls = dict.fromkeys(["cores", "memory", "shebang", "worker-command", "cors"])
    with dask.config.set({"jobqueue.big": nulls}):
        filled = resolve.resolve(SLURM, {"config_name": "big"})
        text = script("big")
    assert (filled.arguments["cores"], filled.arguments["memory"]) == (2, "1 GiB")
    assert "cors" not in filled.arguments
    assert text.startswith("#!/")
    assert " -m distributed.cli.dask_worker " in text


def test_null_counts_for_jobs_that_are_submitted_later_and_in_other_threads_for_none(lab):
    with dask.config.set({"jobqueue.gpu": {"walltime": None}}):
        with SLURMCluster(config_name="gpu") as cluster, SLURMCluster() as other:
            lab.hold()
            cluster.scale(jobs=1)
            other.scale(jobs=1)
            until(lambda: cluster.job_ids and other.job_ids)
            scripts = [lab.script(job) for job in (*cluster.job_ids, *other.job_ids)]
    assert ["#SBATCH -t " in text for text in scripts] == [False, True]
    assert "dask-hpc-" not in str(dask.config.get("jobqueue"))


def test_a_job_class_finds_keys_of_its_own_in_the_profile(lab):
    class Job(SLURMCluster.job_cls):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            flavor = dask.config.get(f"jobqueue.{self.config_name}.flavor")
            self.job_header += f"\n#SBATCH --comment={flavor}"

    with dask.config.set({"jobqueue.gpu": {"flavor": "sweet"}}):
        assert "--comment=sweet" in script(job_cls=Job)


@pytest.mark.parametrize("name", ["gup", "pbs", "local"])
def test_an_unknown_profile_is_one_line_with_those_that_there_are(gpu, name):
    with pytest.raises(
        ConfigError, match=rf"jobqueue\.{name} .*available sections: slurm, gpu\."
    ) as error:
        SLURMCluster(config_name=name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("profile", "line"),
    [
        ({"processes": 4}, r"jobqueue\.gpu\.processes: 4 processes cannot share 2 cores"),
        ({"cores": 0}, r"jobqueue\.gpu\.cores: must be an integer"),
        ({"interface": "ib 0"}, r"jobqueue\.gpu\.interface: must be a name"),
        ({"log-directory": "my logs"}, r"jobqueue\.gpu\.log-directory: my logs has a space"),
    ],
)
def test_what_no_job_can_have_is_said_of_the_profile_that_says_it(lab, profile, line):
    with dask.config.set({"jobqueue.gpu": profile}):
        with pytest.raises(ConfigError, match=line):
            resolve.resolve(SLURM, {"config_name": "gpu"})
