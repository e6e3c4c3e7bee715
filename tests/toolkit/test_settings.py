"""Settings of a cluster's jobs: arguments of any type, and where a value comes from."""

import subprocess
import sys
from datetime import timedelta

import dask
import pytest
import yaml

import dask_hpc
from dask_hpc import ConfigError, ConfigWarning, batch
from dask_hpc.config import fields, files, options, resolve, sources, summary, syntax

SLURM = batch.get("slurm")


@pytest.mark.parametrize(
    ("name", "walltime", "written", "seconds"),
    [
        ("slurm", timedelta(days=2), "48:00:00", 172800),
        ("slurm", timedelta(minutes=90), "01:30:00", 5400),
        ("pbs", timedelta(seconds=59.5), "00:01:00", 60),
        ("sge", timedelta(hours=1), "01:00:00", 3600),
        ("oar", timedelta(hours=36), "36:00:00", 129600),
        ("lsf", timedelta(hours=2), "02:00", 7200),
        ("lsf", timedelta(minutes=1, seconds=1), "00:02", 120),
    ],
)
def test_a_walltime_may_be_a_timedelta_in_each_batch_systems_words(
    lab, name, walltime, written, seconds
):
    job = {"cores": 2, "memory": "1 GiB", "processes": 1}
    settings = resolve.resolve(batch.get(name), {**job, "walltime": walltime})
    assert settings.get("walltime") == settings.arguments["walltime"] == written
    assert settings.walltime == seconds


@pytest.mark.parametrize("value", [timedelta(minutes=2), "2 minutes", 120, 120.0])
def test_a_death_timeout_of_each_type_is_seconds(lab, value):
    settings = resolve.resolve(SLURM, {"death_timeout": value})
    assert settings.death_timeout == settings.get("death-timeout") == 120


def test_an_idle_timeout_may_be_a_timedelta():
    assert options.idle_timeout(timedelta(minutes=2)) == 120
    with pytest.raises(ConfigError, match="argument idle_timeout: must be a time"):
        options.idle_timeout(timedelta(minutes=-2))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"walltime": ["1:00:00"]}, "argument walltime: ['1:00:00'] is more than one text."),
        ({"queue": timedelta(1)}, "argument queue: must be text, not datetime.timedelta(days=1)."),
        ({"account": b"lab"}, "argument account: must be text, not b'lab'."),
        ({"python": object}, "argument python: must be text, not <class 'object'>."),
        ({"memory": ["1 GiB"]}, "argument memory: ['1 GiB'] can't be read; say for example"),
        ({"death_timeout": [60]}, "argument death_timeout: must be a time in seconds, not [60]."),
        ({"job_extra_directives": 5}, "argument job_extra_directives: must be a list of options"),
        ({"job_directives_skip": 5}, "argument job_directives_skip: must be a list, not 5."),
        ({"worker_extra_args": {"a": 1}}, "argument worker_extra_args: must be a list, not {"),
        ({"worker_extra_args": [None]}, "argument worker_extra_args: None is no text; put it in"),
        ({"scheduler_options": [1]}, "argument scheduler_options: must be a mapping, like {"),
        ({"log_directory": 5}, "argument log_directory: must be the name of a folder, not 5."),
        ({"interface": 5}, "argument interface: must be a name as `ip address` shows it"),
        ({"cores": "2"}, "argument cores: must be a whole number, 1 or more, not '2'."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_of_another_type_is_one_line_with_its_name(lab, arguments, line):
    with pytest.raises(ConfigError) as error:
        dask_hpc.SLURMCluster(**arguments)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_disk_that_is_no_amount_is_one_line(lab):
    settings = {"jobqueue.htcondor": {"cores": 2, "memory": "1 GiB", "disk": "much"}}
    with dask.config.set(settings), pytest.raises(ConfigError, match=r"\.disk: 'much' can't be"):
        resolve.resolve(batch.get("htcondor"), {})


def test_lists_may_be_of_any_kind(lab):
    arguments = {
        "job_extra_directives": (word for word in ["--exclusive"]),
        "job_script_prologue": {"module load x": None}.keys(),
        "worker_extra_args": ("--lifetime", 60),
    }
    settings = resolve.resolve(SLURM, arguments)
    assert settings.arguments["job_extra_directives"] == ["--exclusive"]
    assert settings.arguments["job_script_prologue"] == ["module load x"]
    assert settings.arguments["worker_extra_args"] == ["--lifetime", "60"]


def test_an_argument_takes_precedence_and_none_does_not(lab):
    settings = resolve.resolve(SLURM, {"queue": "long", "account": None, "job_name": "mine"})
    found = [settings.get(key) for key in ("queue", "account", "name", "walltime", "cores")]
    assert found == ["long", "lab", "mine", "00:10:00", 2]


def test_an_empty_name_of_a_cluster_is_none(lab):
    assert resolve.resolve(SLURM, {"name": ""}).arguments["name"] is None


def test_a_walltime_that_slurm_does_not_read_is_a_warning(lab):
    with pytest.warns(ConfigWarning, match="argument walltime: 'soon' is not one that Slurm reads"):
        assert resolve.resolve(SLURM, {"walltime": "soon"}).walltime is None


def test_a_key_of_another_batch_system_is_not_judged(lab):
    with dask.config.set({"jobqueue.slurm.mem": "16 GiB"}):
        resolve.resolve(SLURM, {})


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def file(lab, tmp_path, monkeypatch):
    """Yield a function that puts a file in force, over the lab's settings."""

    def write(text):
        path = tmp_path / "dask" / "jobqueue.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        monkeypatch.setattr(dask.config, "paths", [str(path)])
        files.reread()
        dask.config.update(dask.config.config, yaml.safe_load(text))
        return path

    before = {
        **dask.config.config["jobqueue"],
        "slurm": {**dask.config.config["jobqueue"]["slurm"]},
    }
    yield write
    dask.config.config["jobqueue"] = before
    files.reread()


def test_an_error_names_file_and_line(file):
    path = file("jobqueue:\n  slurm:\n    queue: short\n    cores: four\n")
    with pytest.raises(ConfigError) as error:
        dask_hpc.SLURMCluster()
    line = "jobqueue.slurm.cores: must be a whole number, 1 or more, not 'four'."
    assert str(error.value) == f"{path}:4: {line}"


def test_an_error_in_a_profile_names_the_profiles_line(file):
    path = file("jobqueue:\n  slurm: {cores: 2}\n  gpu:\n    memory: lots\n")
    try:
        with pytest.raises(ConfigError, match=rf"^{path}:4: jobqueue\.gpu\.memory: 'lots' can't"):
            dask_hpc.SLURMCluster(config_name="gpu")
    finally:
        del dask.config.config["jobqueue"]["gpu"]


def test_what_a_program_sets_is_not_said_to_be_the_files(file):
    file("jobqueue:\n  slurm:\n    cores: 4\n")
    with dask.config.set({"jobqueue.slurm.cores": "many"}):
        assert sources.where("jobqueue", "slurm", "cores") == "jobqueue.slurm.cores"


def test_setup_prints_where_each_value_is_from(file, monkeypatch):
    path = file(
        "dask-hpc:\n  idle-timeout: 1 hour\njobqueue:\n  slurm:\n    queue: long\n"
        "    worker-extra-args: [--no-nanny]\n  gpu:\n    queue: gpu\n"
    )
    monkeypatch.setattr(dask.config, "refresh", lambda: None)
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__CORES", "2")
    before = dict(dask.config.config["dask-hpc"])
    try:
        rows = [line.split() for line in summary.describe()]
    finally:
        dask.config.config["dask-hpc"] = before
        del dask.config.config["jobqueue"]["gpu"]
    for row in (
        ["queue", "(partition)", "long", f"{path}:5"],
        ["cores", "2", "the", "variable", "DASK_JOBQUEUE__SLURM__CORES"],
        ["worker-extra-args", "['--no-nanny']", f"{path}:6"],
        ['get_cluster(config_name="gpu")', "changes"],
        ["queue", "(partition)", "gpu", f"{path}:8"],
        ["idle-timeout", "1", "hour", f"{path}:2"],
        ["max-resubmits", "5", "default"],
    ):
        assert row in rows


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("jobqueue:\n\tslurm: {}\n", "2: not valid YAML (a tab): YAML is indented with spaces;"),
        ("a: b: c\n", "1: not valid YAML (mapping values are not allowed here): put text with a"),
        ("a: [1, 2\nb: 3\n", "2: not valid YAML (expected ',' or ']', but got ':'): compare its"),
        ("a: @x\n", "1: not valid YAML (found character '@' that cannot start any token): compare"),
    ],
)
def test_a_file_that_yaml_cannot_read_is_one_line_with_the_remedy(tmp_path, text, line):
    path = tmp_path / "jobqueue.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        syntax.read(path)
    assert str(error.value).startswith(f"{path}:{line}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["SLURMCluster", "get_cluster"])
def test_the_import_of_a_cluster_says_so_too(tmp_path, name):
    """Dask's own error is a traceback with the parser's words in several lines."""
    path = tmp_path / "jobqueue.yaml"
    path.write_text("jobqueue:\n  slurm:\n\tcores: 4\n")
    code = f"from dask_hpc import {name}"
    environment = {"DASK_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"dask_hpc.errors.ConfigError: {path}:3: not valid YAML (a tab)")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, ": No such file or directory."),
        (b"a: \xff\n", " is not valid YAML: 'utf-8' codec can't decode byte 0xff in position 3: "),
        (b"- jobqueue\n", " holds no sections: it should begin like `jobqueue:`."),
    ],
)
def test_a_file_that_is_no_yaml_of_dasks(tmp_path, content, line):
    path = tmp_path / "jobqueue.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        syntax.read(path)
    assert str(error.value).startswith(f"{path}{line}")


def test_a_file_with_nothing_but_comments_is_empty(tmp_path):
    (tmp_path / "jobqueue.yaml").write_text("# later\n")
    assert syntax.read(tmp_path / "jobqueue.yaml") == {}


def test_dasks_error_is_explained_with_the_file_and_not_its_link(tmp_path):
    path, link = tmp_path / "jobqueue.yaml", tmp_path / "link.yaml"
    path.write_text("a: [1\n")
    link.symlink_to(path)
    malformed = ValueError(f"A dask config file at '{link}' is malformed, original error: x")
    assert str(syntax.explain(malformed)).startswith(f"{path}:2: not valid YAML")
    path.write_text("a: [1]\n")  # repaired meanwhile
    assert syntax.explain(malformed) is None
    assert syntax.explain(ValueError("malformed")) is None


def test_each_field_is_complete():
    for field in [*fields.FIELDS.values(), *fields.OWN_FIELDS.values()]:
        assert field.doc.endswith(".")
        assert len(field.doc) < 100
