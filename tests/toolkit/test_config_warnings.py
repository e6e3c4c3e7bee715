"""Warnings and errors about names, when a cluster is made: keys of files, and arguments."""

import copy
import warnings
from pathlib import Path

import dask
import pytest
import yaml

import dask_hpc
from dask_hpc import ConfigError, ConfigWarning, SLURMCluster
from dask_hpc.config import warnings as config_warnings


@pytest.fixture
def files(lab, tmp_path, monkeypatch):
    """Yield a function that adds keys to the lab's file, beside those that are in force."""
    monkeypatch.setattr(config_warnings, "_said", set())
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setattr(dask.config, "paths", [str(folder)])

    def write(content: str, name: str = "jobqueue.yaml") -> Path:
        (folder / name).write_text(content)
        dask.config.update(dask.config.config, yaml.safe_load(content))  # as at the start of Python
        return folder / name

    before = copy.deepcopy(dask.config.config)
    yield write
    dask.config.config.clear()
    dask.config.config.update(before)


def said(make=SLURMCluster, **arguments) -> list[str]:
    """Return the warnings given while a cluster is made."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with make(**arguments):
            pass
    return [str(w.message) for w in caught if issubclass(w.category, ConfigWarning)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "jobqueue: {slurm: {acount: lab}}",
            "jobqueue.slurm.acount: unknown key, ignored; did you mean account?",
        ),
        (
            "jobqueue: {slurm: {wall-time: '1:00'}}",
            "jobqueue.slurm.wall-time: unknown key, ignored; did you mean walltime?",
        ),
        (
            "jobqueue: {slurm: {project: lab}}",
            "jobqueue.slurm.project: renamed: use account",
        ),
        (
            "dask-hpc: {batch-sytem: slurm}",
            "dask-hpc.batch-sytem: unknown key; did you",
        ),
        ("jobqeue: {slurm: {cores: 2}}", "jobqeue: unknown section; did you"),
        ("jobqueue: {slurm: {memory: 99MB}}", "jobqueue.slurm.memory: 99MB is too small: use"),
    ],
    ids=lambda text: text[:24],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # dask-jobqueue's own word about `project`
def test_a_doubtful_key_is_warned_of_with_its_file_and_the_right_one(files, content, line):
    path = files(content)
    [only] = said()
    assert only.startswith(f"{path}:1: {line}")


@pytest.mark.filterwarnings("error::FutureWarning")
@pytest.mark.parametrize(
    ("old", "shown"),
    [
        ("job-extra: [--exclusive]", "#SBATCH --exclusive\n"),
        ("env_extra: [module load x]", "module load x\n"),
        ("extra: [--no-dashboard]", "--no-dashboard"),
        ("project: thesis, account: null", "#SBATCH -A thesis\n"),
        ("header-skip: ['--mem']", "#SBATCH --cpus-per-task=2\n#SBATCH -t"),
        ("extra: [], job-extra: [], env-extra: []", "#SBATCH -J"),
    ],
)
def test_of_old_names_dask_jobqueue_says_nothing_beside_ours_and_they_count(files, old, shown):
    files(f"jobqueue: {{slurm: {{{old}}}}}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)
        with SLURMCluster() as cluster:
            assert shown in cluster.job_script()
    config_warnings._said.clear()
    assert len(said()) == (0 if "[]" in old else 1)


def test_old_names_that_stand_in_no_file_are_said_too(files):
    with dask.config.set({"jobqueue.slurm.job-extra": ["--exclusive"]}):
        [only] = said()
    assert only == "jobqueue.slurm.job-extra: renamed: use job-extra-directives"


@pytest.mark.parametrize("mark", ["#SBATCH ", "  #SBATCH  ", ""])
def test_a_directive_may_have_its_mark(files, mark):
    with SLURMCluster(job_extra_directives=[f"{mark}--gres=gpu:1"]) as cluster:
        assert "\n#SBATCH --gres=gpu:1\n" in cluster.job_script()


@pytest.mark.parametrize("comment", ["#PBS -l x", "# --exclusive", "##SBATCH --exclusive"])
def test_a_directive_that_is_a_comment_is_said(files, comment):
    line = f"job_extra_directives: '{comment}' is a comment, which Slurm ignores"
    assert said(job_extra_directives=[comment]) == [f"argument {line}"]


@pytest.mark.parametrize("section", ["[cores, 4]", "text"])
def test_a_section_without_keys_is_said_and_refused_where_it_is_in_force(files, section):
    path = files(f"jobqueue: {{slurm: {section}}}")
    line = "has no keys; write one per line, as in `cores: 4`, without a leading hyphen"
    with pytest.warns(ConfigWarning) as caught:
        with pytest.raises(ConfigError, match=r"^jobqueue\.slurm in jobqueue.yaml has no keys; "):
            SLURMCluster()
    assert [str(w.message) for w in caught] == [f"{path}:1: jobqueue.slurm: {line}"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "batch-system: slurm",
            "batch-system: has no effect at the top level; indent it under `da",
        ),
        ("idle-timeout: 1 hour", "idle-timeout: has no effect at the top level; indent it"),
        ("slurm: {cores: 2}", "slurm: has no effect at the top level; indent it under `jobq"),
        (
            "jobqueue: {slurm: null, cores: 2, death_timeout: 5}",
            "jobqueue: no effect outside of a section: cores, death_timeout; indent ",
        ),
        ("jobqueue: [slurm]", "jobqueue: has no sections; add one, indented, such as `slurm:`"),
    ],
)
def test_what_stands_at_the_wrong_depth_is_said(lab, tmp_path, monkeypatch, content, line):
    monkeypatch.setattr(config_warnings, "_said", set())
    path = tmp_path / "config.yaml"
    path.write_text(content)
    monkeypatch.setattr(dask.config, "paths", [str(path)])
    [only] = said()
    assert only.startswith(f"{path}:1: {line}")


@pytest.mark.parametrize(
    "content", ["scheduler: threads", "pbs: null", "casper: {pbs: {cores: 1}}"]
)
def test_what_others_read_at_the_top_is_passed_over(lab, tmp_path, monkeypatch, content):
    monkeypatch.setattr(config_warnings, "_said", set())
    path = tmp_path / "config.yaml"
    path.write_text(content)
    monkeypatch.setattr(dask.config, "paths", [str(path)])
    assert said() == []


def test_the_same_is_said_once_in_a_process(files):
    files("jobqueue: {slurm: {acount: lab}}")
    assert len(said()) == 1
    assert said() == said(dask_hpc.get_cluster) == []


def test_the_line_shown_is_the_users(files):
    files("jobqueue: {slurm: {acount: lab}}")
    with pytest.warns(ConfigWarning) as caught:
        dask_hpc.get_cluster().close()
    assert caught[0].filename == __file__


def test_sections_that_do_not_count_for_this_cluster_are_passed_over(files):
    files("jobqueue: {pbs: {acount: lab}, gpu: {qeueu: gpu, memory: 99MB}}")
    assert said() == []
    assert [line.partition(": ")[2][:24] for line in said(config_name="gpu")] == [
        "jobqueue.gpu.qeueu: unkn",
        "jobqueue.gpu.memory: 99M",
    ]


def test_a_value_that_is_not_in_force_is_passed_over(files):
    files("jobqueue: {slurm: {memory: 99MB}}")
    assert said(memory="1 GiB") == []
    with dask.config.set({"jobqueue.slurm.memory": "1 GiB"}):
        assert said() == []


def test_without_a_batch_system_a_misspelt_one_is_warned_of(files):
    files("dask-hpc: {batch-sytem: slurm}")
    with dask.config.set({"dask-hpc.batch-system": None}):
        [only] = said(dask_hpc.get_cluster, processes=1, cores=1)
    assert "did you mean batch-system?" in only


def test_a_misspelt_key_is_warned_of_although_the_cluster_then_lacks_it(files):
    files("jobqueue: {slurm: {cors: 2, cores: null}}")
    with pytest.warns(ConfigWarning, match=r"slurm\.cors: .*did you mean cores"):
        with pytest.raises(ConfigError, match="cores is not set"):
            SLURMCluster()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"acount": "x"}, "(acount=...): unknown argument; did you mean account?"),
        (
            {"wall_time": "1:00"},
            "(wall_time=...): unknown argument; did you mean walltime?",
        ),
        ({"mem": "x"}, "(mem=...): unknown argument; use memory"),
        ({"Cores": 2}, "(Cores=...): unknown argument; did you mean cores?"),
        (
            {"log-directory": "x"},
            "(log-directory=...): unknown argument; did you mean log_",
        ),
        ({"partition": "x"}, "(partition=...): unknown argument; use queue."),
        ({"zzz": 1}, "(zzz=...): unknown argument."),
        ({"nprocs": 2}, "(nprocs=...): use processes=."),
        ({"threads": 2}, "(threads=...): use cores= (of one job) and processes=."),
        ({"dashboard_address": ":1"}, '(dashboard_address=...): use scheduler_options={"dash'),
        ({"workers": {}}, "(workers=...): unknown argument; did you mean n_workers?"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_that_there_is_not_is_one_line_with_the_right_name(lab, arguments, line):
    with pytest.raises(ConfigError) as error:
        SLURMCluster(**arguments)
    assert str(error.value).startswith(f"SLURMCluster{line}")
    assert "\n" not in str(error.value)


def test_an_account_is_called_project_by_other_batch_systems(lab):
    with pytest.raises(ConfigError, match=r"account=.*use project"):
        dask_hpc.LSFCluster(account="lab")


@pytest.mark.parametrize(
    ("old", "new", "value", "shown"),
    [
        ("project", "account", "other", "#SBATCH -A other\n"),
        ("extra", "worker_extra_args", ["--no-dashboard"], "--no-dashboard"),
        ("env_extra", "job_script_prologue", ["module load x"], "module load x\n"),
        ("job_extra", "job_extra_directives", ["--exclusive"], "#SBATCH --exclusive\n"),
    ],
)
@pytest.mark.filterwarnings("error::FutureWarning")  # dask-jobqueue has nothing left to say
def test_an_old_name_works_and_the_new_one_is_said(files, old, new, value, shown):
    with pytest.warns(ConfigWarning, match=rf"\({old}=...\) was renamed: use {new}$"):
        with SLURMCluster(**{old: value}) as cluster:
            assert shown in cluster.job_script()


def test_arguments_of_a_job_class_of_the_users_own_are_known(lab):
    class Job(SLURMCluster.job_cls):
        def __init__(self, *args, flavor=None, **kwargs):
            super().__init__(*args, **kwargs)
            self.job_header += f"\n#SBATCH --comment={flavor}"

    with SLURMCluster(job_cls=Job, flavor="sweet") as cluster:
        assert "--comment=sweet" in cluster.job_script()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, "sbatch is installed, but no configuration names"),
        ({"batch-system": None}, ""),
        (None, ""),
    ],
)
def test_a_batch_system_without_a_configuration_is_told(lab, monkeypatch, section, words):
    monkeypatch.setattr(config_warnings, "_said", set())
    if section is None:  # neither the one nor the other
        monkeypatch.setenv("PATH", "")
    with dask.config.set({"dask-hpc": section or {}}), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        config_warnings.warn_about_no_configuration()
    assert [str(one.message)[: len(words)] for one in told] == ([words] if words else [])
