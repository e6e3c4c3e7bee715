"""Files and variables that go before the lab's file, and whether what is said of them helps."""

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import dask
import pytest
import yaml

from dask_hpc import ConfigError, ConfigWarning, SLURMCluster
from dask_hpc.config import files, shadowed, summary
from dask_hpc.config import warnings as config_warnings

LAB = {
    "account": "lab",
    "cores": 2,
    "processes": 2,
    "memory": "1 GiB",
    "queue": "short",
    "job-extra-directives": ["--gres=gpu:1"],
}
# As dask-jobqueue once wrote it into people's homes, with some of it filled in.
OLD = """
jobqueue:
  slurm:
    name: dask-worker
    cores: null
    memory: null
    extra: []
    project: thesis
    account: thesis
    env-extra: ["module load python"]
    job-extra: null
    job-extra-directives: []
"""


class Member:
    """A member with a home, who uses a lab's project in an environment."""

    def __init__(self, folder: Path, monkeypatch):
        self.project, self.home = folder / "lab", folder / "home"
        self.file = self.home / ".config" / "dask" / "jobqueue.yaml"
        self.file.parent.mkdir(parents=True)
        (self.project / "config").mkdir(parents=True)
        self.labs = self.project / "config" / "jobqueue.yaml"
        self.labs.write_text(yaml.safe_dump({"jobqueue": {"slurm": LAB}}))
        monkeypatch.setattr(sys, "prefix", str(folder / "env"))
        monkeypatch.setattr(dask.config, "paths", [f"{folder}/env/etc/dask", str(self.file.parent)])
        monkeypatch.setattr(config_warnings, "_said", set())
        files.install(self.project, folder / "env")

    def starts_python(self) -> None:
        """Read the files that are there now, as the import of Dask would."""
        files.reread()
        config_warnings._said.clear()
        found = dask.config.collect(paths=dask.config.paths)
        dask.config.config["jobqueue"]["slurm"] = {
            **files.jobqueue_defaults()["slurm"],
            "log-directory": "logs",
            "scheduler-options": {"dashboard_address": ":0"},
            **found.get("jobqueue", {}).get("slurm", {}),
        }


@pytest.fixture
def member(lab, tmp_path, monkeypatch):
    before = dask.config.config["jobqueue"]["slurm"]
    yield Member(tmp_path, monkeypatch)
    dask.config.config["jobqueue"]["slurm"] = before
    files.reread()


def follow(line: str) -> None:
    """Type the command that the line names."""
    [command] = re.findall("`(mv .*?|unset .*?)`", line)
    if command.startswith("unset "):
        del os.environ[command.removeprefix("unset ")]
    else:
        subprocess.run(shlex.split(command), check=True)


def said() -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with SLURMCluster():
            pass
    return [str(w.message) for w in caught if issubclass(w.category, ConfigWarning | FutureWarning)]


def test_nothing_is_said_without_such_a_file_and_of_one_that_says_the_same(member):
    member.starts_python()
    assert said() == []
    member.file.write_text("jobqueue: {slurm: {account: lab}}")
    member.starts_python()
    assert said() == []


def test_null_that_hides_what_a_job_needs_is_one_line_and_its_remedy_works(member):
    member.file.write_text(OLD)
    member.starts_python()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the error says it, and nothing else says it again
        with pytest.raises(ConfigError, match="cores is not set: ") as error:
            SLURMCluster()
    assert f"{member.file} sets null and overrides {member.labs}, which sets 2." in str(error.value)
    follow(str(error.value))
    member.starts_python()
    assert said() == []


def test_what_a_file_hides_is_one_line_with_both_values_and_its_remedy_works(member):
    member.file.write_text(OLD.replace("null", "3", 1).replace("null", "2 GiB", 1))
    member.starts_python()
    [only, *others] = sorted(said(), key=lambda line: "overrides" not in line)
    assert only.startswith(f"{member.file} overrides {member.labs}: jobqueue.slurm: ")
    for words in (
        "cores is 3 (lab: 2)",
        "memory is 2 GiB (lab: 1 GiB)",
        "account is thesis (lab: lab)",
        "job-extra-directives is [] (lab: ['--gres=gpu:1'])",
    ):
        assert words in only
    assert "queue" not in only.replace("jobqueue", "")
    # Not that it has old names, too, nor what dask-jobqueue says of these.
    assert [line for line in others if "name" in line or "renamed" in line] == []
    follow(only)
    member.starts_python()
    assert said() == []


def test_setup_says_the_same_and_where_each_value_is_from(member, monkeypatch):
    member.file.write_text("jobqueue: {slurm: {account: mine}}")
    member.starts_python()
    monkeypatch.setattr(dask.config, "refresh", lambda: None)
    with dask.config.set({"dask-hpc.batch-system": "slurm"}):
        lines = summary.describe()
    rows = [line.split() for line in lines]
    assert ["account", "mine", f"{member.file}:1"] in rows
    assert ["queue", "(partition)", "short", f"{member.labs}:9"] in rows
    [only] = summary.lint()
    assert only.startswith(f"{member.file} overrides {member.labs}: jobqueue.slurm: account is")


def test_a_file_with_more_in_it_is_not_to_be_moved_away(member):
    member.file.write_text("jobqueue: {slurm: {account: mine}}\ndistributed: {version: 2}")
    member.starts_python()
    [only] = said()
    assert only.endswith(
        "If this is not intended, delete its section jobqueue (but keep distributed)."
    )


def test_an_argument_goes_before_both_files_and_nothing_is_said(member):
    member.file.write_text("jobqueue: {slurm: {account: mine}}")
    member.starts_python()
    assert shadowed.describe_all({"slurm"}, ["account"]) == {}
    assert shadowed.describe_all({"gpu"}) == {}


def test_the_file_of_dask_config_is_named_with_the_variable(member, tmp_path, monkeypatch):
    own = tmp_path / "own.yaml"
    own.write_text("jobqueue: {slurm: {account: mine}}")
    monkeypatch.setenv("DASK_CONFIG", str(own))
    monkeypatch.setattr(dask.config, "paths", [*dask.config.paths, str(own)])
    member.starts_python()
    [only] = said()
    assert only.startswith(f"{own} overrides {member.labs}: ")
    assert only.endswith("`unset DASK_CONFIG` and restart Python.")


def test_a_variable_of_the_environment_is_named_and_its_remedy_works(member, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__CORES", "4")
    member.starts_python()
    only = said()[0]
    assert only.startswith(
        f"The environment variable DASK_JOBQUEUE__SLURM__CORES overrides {member.labs}: "
    )
    assert "cores is 4 (lab: 2)" in only
    follow(only)
    member.starts_python()
    assert said() == []


def test_what_is_wrong_with_a_value_is_said_with_where_it_is_from(member, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__CORES", "many")
    member.starts_python()
    variable = r"jobqueue.slurm.cores \(from the variable DASK_JOBQUEUE__SLURM__CORES\): must be"
    with pytest.raises(ConfigError, match=variable):
        SLURMCluster()
    monkeypatch.delenv("DASK_JOBQUEUE__SLURM__CORES")
    member.file.write_text("jobqueue: {slurm: {cores: many}}")
    member.starts_python()
    with pytest.raises(
        ConfigError, match=rf"^{re.escape(str(member.file))}:1: jobqueue.slurm.cores: must"
    ):
        SLURMCluster()


def test_the_sites_file_which_the_labs_goes_before_is_not_named(member, tmp_path, monkeypatch):
    site = tmp_path / "etc"
    site.mkdir()
    (site / "jobqueue.yaml").write_text("jobqueue: {slurm: {account: null, cores: 36}}")
    monkeypatch.setattr(dask.config, "paths", [str(site), *dask.config.paths])
    member.starts_python()
    assert said() == []
