"""The example of docs/how-to/lab-admin.md is what the template and the toolkit make of it."""

import re

import dask
import pytest
import yaml

from dask_hpc import SLURMCluster
from dask_hpc.config import syntax

from .conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "how-to" / "lab-admin.md").read_text().split("## An example", 1)[1]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def ginsburg(render, tmp_path, monkeypatch):
    """Put the example's configuration in force, with scratch space in this test's folder."""
    answers, by_hand = map(yaml.safe_load, blocks("yaml"))
    project = render(**answers["default_context"])
    rendered = syntax.read(project / "config/jobqueue.yaml")
    settings = yaml.safe_dump(dask.config.merge(rendered, by_hand))
    settings = yaml.safe_load(settings.replace("/burg/", f"{tmp_path}/burg/"))
    # No network of Ginsburg's here.
    settings["jobqueue"]["slurm"]["scheduler-options"]["interface"] = "lo"
    monkeypatch.setenv("USER", "ab1234")
    named = {
        f"jobqueue.{section}.{key}": value
        for section, keys in settings["jobqueue"].items()
        for key, value in keys.items()
    }
    with dask.config.set(named):
        yield settings


def script(tmp_path, **arguments):
    with SLURMCluster(**arguments) as cluster:
        return cluster.job_script().replace(str(tmp_path), "")


def test_the_job_script_begins_as_the_page_says(ginsburg, tmp_path):
    (expected,) = blocks("bash")
    assert script(tmp_path, config_name="highmem").startswith(expected)


def test_without_a_profile_a_job_is_a_usual_node(ginsburg, tmp_path):
    lines = script(tmp_path).splitlines()
    assert "#SBATCH --mem=160G" in lines
    assert "#SBATCH --constraint=mem768" not in lines
    assert any("--interface ib0" in line for line in lines)


def test_the_gpu_profile_asks_for_one(ginsburg, tmp_path):
    lines = script(tmp_path, config_name="gpu").splitlines()
    assert {"#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=16", "#SBATCH -A stats"} <= set(lines)


def test_nothing_about_the_files_is_doubtful(ginsburg):
    from dask_hpc.config.lint import lint

    assert lint([("config/jobqueue.yaml", ginsburg)]) == []
