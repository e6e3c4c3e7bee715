"""The rendered configuration means to dask-jobqueue what the answers say."""

import json
import re
import sys
from pathlib import Path

import dask_jobqueue
import pytest
import yaml

from .conftest import ANSWERS, TEMPLATE, environment, run

SHIPPED = yaml.safe_load(Path(dask_jobqueue.__file__).with_name("jobqueue.yaml").read_text())
# Old names that dask-jobqueue 0.9 still ships, and warns about.
DEPRECATED = {"extra", "env-extra", "job-extra"}
# Keys that concern Dask's developers, not a lab.
NOT_SHOWN = {"worker-command"}

JOB_SCRIPT = """
import {module} as module
with module.SLURMCluster() as cluster:
    print(cluster.job_script())
"""


def job_script(python, project, home, module="dask_jobqueue"):
    """Return the job script of a bare SLURMCluster() that reads the project's config/ folder."""
    command = [python, "-W", "error::FutureWarning", "-c", JOB_SCRIPT.format(module=module)]
    env = environment(home, DASK_CONFIG=str(project / "config"))
    return run(command, cwd=home, env=env)


@pytest.fixture
def script(render, tmp_path):
    """Return a function: answers to job script, by dask-jobqueue's own class."""

    def script(**answers):
        return job_script(sys.executable, render(**answers), tmp_path)

    return script


def test_the_job_script_has_every_answer(script):
    lines = script(**ANSWERS).strip().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    for line in [
        "#SBATCH -J demo-lab",
        "#SBATCH -A physics",
        "#SBATCH -p short",
        "#SBATCH -t 00:42:00",
        "#SBATCH --cpus-per-task=12",
        "#SBATCH --mem=24G",
        "#SBATCH --nodes=1",
        "#SBATCH --no-requeue",
        "#SBATCH -o dask-logs/demo-lab-%J.out",
    ]:
        assert line in lines
    worker = lines[-1]
    for option in [
        "--nworkers 4",
        "--nthreads 3",
        "--memory-limit 6.00GiB",
        "--interface ib7",
        "--death-timeout 60",
    ]:
        assert option in worker


def test_blank_answers_leave_their_options_out(script):
    text = script(account="", queue="")
    assert not re.search(r"^#SBATCH -[Ap]", text, re.MULTILINE)
    assert "--interface" not in text


@pytest.mark.parametrize("account", ["00123", "yes", "it's", "Müller"])
def test_odd_accounts_reach_the_job_script(script, account):
    assert f"#SBATCH -A {account}" in script(account=account).splitlines()


def test_only_keys_that_dask_jobqueue_ships_and_none_of_the_old_ones(render):
    config = yaml.safe_load((render(**ANSWERS) / "config/jobqueue.yaml").read_text())
    assert set(config) == {"jobqueue", "dask-hpc"}
    assert set(config["jobqueue"]["slurm"]) <= set(SHIPPED["jobqueue"]["slurm"]) - DEPRECATED


def test_every_key_is_there_or_explained(render):
    """Whoever reads the file learns of all keys: each stands in it with a comment that names it."""
    text = (render(**ANSWERS) / "config/jobqueue.yaml").read_text()
    explained = re.findall(r"^ +# ([a-z-]+(?:, [a-z-]+)*): \S", text, re.MULTILINE)
    names = {name for names in explained for name in names.split(", ")}
    expected = set(SHIPPED["jobqueue"]["slurm"]) - DEPRECATED - NOT_SHOWN
    assert expected <= names
    # A key is explained right above its line.
    for key in yaml.safe_load(text)["jobqueue"]["slurm"]:
        line = re.search(rf"(?:^ +#.*\n)+ +{key}:", text, re.MULTILINE)
        assert line, key
        assert f"# {key}" in line[0]


def test_commented_lines_are_valid_when_uncommented(render):
    """A member who removes a `# ` before a key gets what the comment says."""
    text = (render() / "config/jobqueue.yaml").read_text()
    known = "|".join(SHIPPED["jobqueue"]["slurm"])
    uncommented = re.sub(
        rf"^( +)# (?=(?:{known}):(?: [\S]+| \".*\")?$|  - )", r"\1", text, flags=re.M
    )
    before = yaml.safe_load(text)["jobqueue"]["slurm"]
    after = yaml.safe_load(uncommented)["jobqueue"]["slurm"]
    assert {"account", "queue", "interface", "python", "local-directory"} <= set(after) - set(
        before
    )
    assert after["job-script-prologue"] == ["module load ..."]
    assert after["job-directives-skip"] == ["--mem="]
    assert set(after) <= set(SHIPPED["jobqueue"]["slurm"])


def test_without_a_batch_system_nothing_about_one_is_configured(render):
    config = yaml.safe_load((render(scheduler="none") / "config/jobqueue.yaml").read_text())
    assert config == {"dask-hpc": {"scheduler": "none"}}


def test_the_notebooks_table_of_names_is_true():
    """Each key of the table exists today, and each argument with it; old names are really gone."""
    notebook = json.loads((TEMPLATE / "notebooks/01-cluster.ipynb").read_text())
    lines = [line for cell in notebook["cells"] for line in cell["source"] if line[0] == "|"]
    cells = [[re.findall(r"`([\w-]+)`", cell) for cell in line.split("|")[1:4]] for line in lines]
    rows = [row for row in cells if any(row)]
    assert len(rows) >= 20
    current = set(SHIPPED["jobqueue"]["slurm"]) - DEPRECATED
    keys = {key for _, _, found in rows for key in found}
    assert keys == current - NOT_SHOWN
    for old, today, found in rows:
        if found:
            assert [name.replace("_", "-") for name in today] == found
        for name in set(old) - set(today):
            assert name.replace("_", "-") not in current
