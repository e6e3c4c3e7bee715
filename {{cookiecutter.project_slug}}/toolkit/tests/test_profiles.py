"""A profile says what differs; all else is as in the batch system's own section."""

import dask
import pytest

from dask_hpc import ConfigError, SLURMCluster, config, profiles, schedulers

SLURM = schedulers.get("slurm")
GPU = {"queue": "gpu", "cores": 6, "processes": 1, "job-extra-directives": ["--gres=gpu:1"]}


@pytest.fixture
def gpu(lab):
    """The lab's configuration with a profile called gpu."""
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
    filled = config.explicit(SLURM, {"config_name": "gpu", "queue": "mine", "cores": None})
    assert (filled["queue"], filled["cores"]) == ("mine", 6)


def test_without_a_profile_nothing_of_one_is_used(gpu):
    assert config.explicit(SLURM, {})["cores"] == 2
    assert config.explicit(SLURM, {"config_name": "slurm"})["cores"] == 2


def test_lists_are_replaced_and_mappings_completed(lab):
    base = {
        "jobqueue.slurm.job-extra-directives": ["--nodes=1"],
        "jobqueue.slurm.scheduler-options": {"dashboard_address": ":0", "interface": "lo"},
    }
    profile = {"job-extra-directives": ["--exclusive"], "scheduler-options": {"interface": "ib1"}}
    with dask.config.set({**base, "jobqueue.big": profile}):
        found = profiles.arguments(SLURM, "big")
    assert found == {
        "job_extra_directives": ["--exclusive"],
        "scheduler_options": {"dashboard_address": ":0", "interface": "ib1"},
    }


def test_a_key_that_is_null_or_unknown_counts_as_left_out(lab):
    with dask.config.set({"jobqueue.big": {"queue": None, "cors": 3, "memory": "4 GiB"}}):
        filled = config.explicit(SLURM, {"config_name": "big"})
    assert filled["memory"] == "4 GiB"
    assert not {"queue", "cors"} & set(filled)


@pytest.mark.parametrize("name", ["gup", "pbs", "local"])
def test_an_unknown_profile_is_one_line_with_those_that_there_are(gpu, name):
    with pytest.raises(ConfigError, match=rf"jobqueue\.{name} .*known: slurm, gpu\.") as error:
        SLURMCluster(config_name=name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("profile", "line"),
    [
        ({"processes": 4}, r"jobqueue\.gpu: 4 processes can't share 2 cores"),
        ({"cores": 0}, r"jobqueue\.gpu\.cores must be a whole number"),
        ({"interface": "ib 0"}, r"jobqueue\.gpu\.interface must be a name"),
        ({"log-directory": "my logs"}, r"jobqueue\.gpu\.log-directory: my logs has a space"),
    ],
)
def test_what_no_job_can_have_is_said_of_the_profile_that_says_it(lab, profile, line):
    with dask.config.set({"jobqueue.gpu": profile}):
        with pytest.raises(ConfigError, match=line):
            config.explicit(SLURM, {"config_name": "gpu"})
