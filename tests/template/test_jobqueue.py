"""The rendered configuration means to dask-jobqueue what the answers say."""

import json
import re
import sys
from pathlib import Path

import dask
import dask_jobqueue
import jinja2
import pytest
import yaml

import dask_hpc
from dask_hpc import batch

from .conftest import ANSWERS, JOB_SCRIPT, REPOSITORY, TEMPLATE, environment, run
from .rendering import BATCH_SYSTEMS

SHIPPED = yaml.safe_load(Path(dask_jobqueue.__file__).with_name("jobqueue.yaml").read_text())
# Old names that dask-jobqueue 0.9 still ships, and warns about.
DEPRECATED = {"extra", "env-extra", "job-extra"}
# Keys that concern Dask's developers, not a lab.
NOT_SHOWN = {"worker-command"}
BATCH = [name for name in BATCH_SYSTEMS if batch.get(name).cluster_class]


def current_keys(batch_system):
    """Return the keys that dask-jobqueue reads for a batch system, without those that go."""
    return set(SHIPPED["jobqueue"][batch.get(batch_system).section]) - DEPRECATED


def jobqueue(project, batch_system):
    """Return the batch system's section of a project's configuration."""
    config = yaml.safe_load((project / "config/jobqueue.yaml").read_text())
    return config["jobqueue"][batch.get(batch_system).section]


def job_script(python, project, home, cluster="SLURMCluster", module="dask_jobqueue"):
    """Return the job script of a bare cluster that reads the project's config/ folder."""
    code = JOB_SCRIPT.format(module=module, cluster=cluster)
    command = [python, "-W", "error::FutureWarning", "-c", code]
    env = environment(home, DASK_CONFIG=str(project / "config"))
    return run(command, cwd=home, env=env)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return a function: a project to its job script, by dask-jobqueue's own class."""
    monkeypatch.chdir(tmp_path)  # the log directory is made where Python runs

    def script(project, batch_system="slurm"):
        text = (project / "config/jobqueue.yaml").read_text()
        return script_here(text, batch_system, dask_jobqueue)

    return script


# Where each batch system's manual has these options is said in docs/reference/batch-systems.md.
SCRIPTS = {
    "slurm": [
        "#SBATCH -J demo-lab",
        "#SBATCH -A physics",
        "#SBATCH -p short",
        "#SBATCH -t 00:42:00",
        "#SBATCH --cpus-per-task=12",
        "#SBATCH --mem=24G",
        "#SBATCH --nodes=1",
        "#SBATCH --no-requeue",
        "#SBATCH -o dask-logs/demo-lab-%J.out",
    ],
    "pbs": [
        "#PBS -N demo-lab",
        "#PBS -A physics",
        "#PBS -q short",
        "#PBS -l walltime=00:42:00",
        "#PBS -l select=1:ncpus=12:mem=24GB",
        "#PBS -r n",
        "#PBS -o dask-logs/",
    ],
    "sge": [
        "#$ -N demo-lab",
        "#$ -P physics",
        "#$ -q short",
        "#$ -l h_rt=00:42:00",
        "#$ -pe smp 12",
        "#$ -r n",
        "#$ -o dask-logs/",
    ],
    "oar": [
        "#OAR -n demo-lab",
        "#OAR --project physics",
        "#OAR -q short",
        "#OAR -l /nodes=1/core=12,walltime=00:42:00",
        "#OAR -O dask-logs/%jobid%.out",
    ],
    "lsf": [
        "#BSUB -J demo-lab",
        '#BSUB -P "physics"',
        "#BSUB -q short",
        "#BSUB -W 00:42",
        "#BSUB -n 12",
        '#BSUB -R "span[hosts=1]"',
        "#BSUB -M 25769804",  # kB, LSF's own unit where its lsf.conf says nothing else
        "#BSUB -rn",
    ],
    "htcondor": [
        "MY.DaskWorkerCores = 12",
        f"MY.DaskWorkerMemory = {24 * 2**30}",
        f"MY.DaskWorkerDisk = {10 * 2**30}",
        "LogDirectory = dask-logs",
    ],
}


@pytest.mark.parametrize("batch_system", BATCH)
def test_the_job_script_has_every_answer(script, rendered, batch_system, monkeypatch):
    monkeypatch.delenv("LSF_ENVDIR", raising=False)
    text = script(rendered(batch_system), batch_system)
    lines = text.strip().splitlines()
    description = batch.get(batch_system)
    assert lines[0] == "#!/usr/bin/env " + ("bash" if description.directive else "condor_submit")
    for line in SCRIPTS[batch_system]:
        assert line in lines
    for option in [
        "--nworkers 4",
        "--nthreads 3",
        "--memory-limit 6.00GiB",
        "--interface ib7",
        "--death-timeout 60",
    ]:
        assert option in text


@pytest.mark.parametrize("batch_system", BATCH)
def test_blank_answers_leave_their_options_out(script, blank, batch_system):
    text = script(blank(batch_system), batch_system)
    assert not re.search(r"^#\S+ (-[ApPq]|--project)\b", text, re.MULTILINE)
    assert "--interface" not in text


@pytest.mark.parametrize("account", ["00123", "yes", "it's", "Müller"])
def test_odd_accounts_reach_the_job_script(script, render, account):
    assert f"#SBATCH -A {account}" in script(render(account=account)).splitlines()


def test_dask_jobqueue_reads_the_folder_alone(render, tmp_path):
    text = job_script(sys.executable, render(account="00123"), tmp_path)
    assert "#SBATCH -A 00123" in text.splitlines()


@pytest.mark.parametrize("batch_system", BATCH)
class TestEveryBatchSystem:
    def test_its_words_are_those_of_the_toolkits_description(self, batch_system):
        loader = jinja2.FileSystemLoader(REPOSITORY / "templates" / "batch_systems")
        words = jinja2.Environment(loader=loader).get_template(f"{batch_system}.jinja").module.words
        assert {"label", "cluster_class", "section", "submit", "walltime_key"} <= set(words)
        description = batch.get(batch_system)
        assert words == {word: getattr(description, word) for word in words}

    def test_only_keys_that_dask_jobqueue_ships_and_no_old_ones(self, rendered, batch_system):
        project = rendered(batch_system)
        config = yaml.safe_load((project / "config/jobqueue.yaml").read_text())
        assert set(config) == {"jobqueue", "dask-hpc"}
        assert config["dask-hpc"] == {"batch-system": batch_system, "idle-timeout": "30 minutes"}
        assert set(jobqueue(project, batch_system)) <= current_keys(batch_system)

    def test_every_key_is_there_or_explained(self, rendered, batch_system):
        """Whoever reads the file learns of all keys: each has a comment that names it."""
        project = rendered(batch_system)
        text = (project / "config/jobqueue.yaml").read_text()
        explained = re.findall(r"^ +# ([a-z-]+(?:, [a-z-]+)*): \S", text, re.MULTILINE)
        names = {name for names in explained for name in names.split(", ")}
        assert current_keys(batch_system) - NOT_SHOWN <= names
        # A key is explained right above its line.
        for key in jobqueue(project, batch_system):
            line = re.search(rf"(?:^ +#.*\n)+ +{key}:", text, re.MULTILINE)
            assert line, key
            assert key in line[0]

    def test_every_answer_that_was_left_blank_says_what_to_ask(self, blank, batch_system):
        text = (blank(batch_system) / "config/jobqueue.yaml").read_text()
        description = batch.get(batch_system)
        questions = [key for key in (description.account_key, description.queue_key) if key]
        for key in [*questions, "interface"]:
            assert re.search(rf"# Left blank:.*(?:\n +#.*)*\n +# {key}: \"\.\.\.\"", text), key
            assert not re.search(rf"^ +{key}:", text, re.MULTILINE)

    def test_all_commented_lines_together_are_valid_when_uncommented(self, rendered, batch_system):
        text = (rendered(batch_system) / "config/jobqueue.yaml").read_text()
        config = yaml.safe_load(uncomment_all(text, batch_system))["jobqueue"]
        section = batch.get(batch_system).section
        assert set(config[section]) == current_keys(batch_system) - NOT_SHOWN
        assert set(config) == {section, "gpu"}
        assert set(config["gpu"]) <= current_keys(batch_system)

    def test_the_file_is_narrow_enough_to_read(self, rendered, batch_system):
        text = (rendered(batch_system) / "config/jobqueue.yaml").read_text()
        assert max(map(len, text.splitlines())) <= 120


ITEM = r'(?:\S+|".*"|\[.*\]|\(.*\))(?: +#.*)?$'


def uncomment_all(text, batch_system):
    """Return the file as it is when every line of YAML in a comment is taken out of it."""
    keys = "|".join([*current_keys(batch_system), "gpu"])
    yaml_line = rf"(?:{keys}):(?: {ITEM}|$)| *- .*$|   *[+\w-]+:(?: {ITEM}|$)"
    # Of an option that the file sets already, the line in the comment is another way to say it.
    return re.sub(rf"^( +)# (?={yaml_line})", r"\1", text, flags=re.MULTILINE)


def uncomment(text, *lines):
    """Return the file with these lines taken out of their comments; each stands there once."""
    for line in lines:
        text, count = re.subn(
            rf"^( {{4,}})# ( *{re.escape(line)})(?=\s*(?:#|$))", r"\1\2", text, flags=re.MULTILINE
        )
        assert count == 1, line
    return text


def script_here(text, batch_system, module, **arguments):
    """Return a job script by a class of this process, with the configuration `text` in force."""
    sections = yaml.safe_load(text)["jobqueue"]
    settings = {f"{name}.{key}": keys[key] for name, keys in sections.items() for key in keys}
    with dask.config.set({f"jobqueue.{key}": value for key, value in settings.items()}):
        cluster_class = getattr(module, batch.get(batch_system).cluster_class)
        with cluster_class(**arguments) as cluster:
            return cluster.job_script()


# What a site may want, by the lines to uncomment: then these lines are in the script, those not.
BLOCKS = [
    (
        "slurm",
        ["- --mem-per-cpu=2G", "job-directives-skip:", '- "--mem="'],
        ["#SBATCH --mem-per-cpu=2G", "#SBATCH --nodes=1"],
        "--mem=",
    ),
    ("slurm", ["job-directives-skip:", '- "--mem="'], ["#SBATCH --nodes=1"], "#SBATCH --mem"),
    ("slurm", ["- --exclusive"], ["#SBATCH --exclusive"], None),
    ("slurm", ["- --qos=normal"], ["#SBATCH --qos=normal"], None),
    (
        "slurm",
        ["job-cpu: 12", "job-mem: 24G"],
        ["#SBATCH --cpus-per-task=12", "#SBATCH --mem=24G"],
        None,
    ),
    (
        "slurm",
        ["job-script-prologue:", "- module load gcc", "- export OMP_NUM_THREADS=1"],
        ["module load gcc", "export OMP_NUM_THREADS=1"],
        None,
    ),
    ("slurm", ["local-directory: $TMPDIR"], [" --local-directory $TMPDIR "], None),
    (
        "slurm",
        ["worker-extra-args:", "- --worker-port=30000:30100", "- --nanny-port=30101:30200"],
        [" --worker-port=30000:30100 --nanny-port=30101:30200"],
        None,
    ),
    (
        "slurm",
        ['python: "apptainer exec /path/to/lab.sif python3"'],
        ["\napptainer exec /path/to/lab.sif python3 -m distributed.cli.dask_worker "],
        sys.executable,
    ),
    (
        "pbs",
        ['resource-spec: "nodes=1:ppn=12,mem=24gb"'],
        ["#PBS -l nodes=1:ppn=12,mem=24gb"],
        "select",
    ),
    ("pbs", ["- -l place=excl"], ["#PBS -l place=excl", "#PBS -l select=1:"], None),
    ("pbs", ["job-directives-skip:", '- "-l select"'], ["#PBS -l walltime"], "select"),
    ("sge", ['resource-spec: "h_vmem=2G"'], ["#$ -l h_vmem=2G", "#$ -l h_rt="], None),
    ("sge", ["job-directives-skip:", '- "h_rt="'], ["#$ -pe smp 12"], "h_rt"),
    (
        "oar",
        ['resource-spec: "/nodes=1/cpu=1/core=12"'],
        ["#OAR -l /nodes=1/cpu=1/core=12,walltime=00:42:00"],
        None,
    ),
    ("oar", ["- -t besteffort"], ["#OAR -t besteffort"], None),
    ("lsf", ["ncpus: 12", "mem: 17179869184"], ["#BSUB -n 12", "#BSUB -M 17179870"], None),
    ("lsf", ["lsf-units: mb"], ["#BSUB -M 25770"], None),
    ("lsf", ['- -R "rusage[mem=16GB]"'], ['#BSUB -R "rusage[mem=16GB]"'], None),
    (
        "htcondor",
        ["job-extra-directives:", "accounting_group: group_lab", "+MaxRuntime: 3600"],
        ["accounting_group = group_lab", "+MaxRuntime = 3600"],
        None,
    ),
    (
        "htcondor",
        ["job-directives-skip:", "- Stream_Output", "- Stream_Error"],
        ["LogDirectory"],
        "Stream_",
    ),
]


@pytest.mark.parametrize(("batch_system", "lines", "present", "absent"), BLOCKS)
def test_a_block_for_a_site_gives_what_it_says(
    rendered, tmp_path, monkeypatch, batch_system, lines, present, absent
):
    monkeypatch.chdir(tmp_path)  # the log directory is made where Python runs
    text = (rendered(batch_system) / "config/jobqueue.yaml").read_text()
    script = script_here(uncomment(text, *lines), batch_system, dask_jobqueue)
    for line in present:
        assert line in script
    if absent:
        assert absent not in script


GPU = {
    "slurm": (['queue: "gpu"', "- --gres=gpu:1"], ["#SBATCH -p gpu", "#SBATCH --gres=gpu:1"]),
    "pbs": (
        ['queue: "gpu"', 'resource-spec: "select=1:ncpus=4:mem=32gb:ngpus=1"'],
        ["#PBS -q gpu", "#PBS -l select=1:ncpus=4:mem=32gb:ngpus=1", "#PBS -r n"],
    ),
    "sge": (
        ['queue: "gpu.q"', "- -pe smp 4", "- -r n", "- -l gpu=1"],
        ["#$ -q gpu.q", "#$ -pe smp 4", "#$ -l gpu=1"],
    ),
    "oar": (
        ['queue: "gpu"', 'resource-spec: "/nodes=1/gpu=1"'],
        ["#OAR -q gpu", "#OAR -l /nodes=1/gpu=1,walltime=00:42:00"],
    ),
    "lsf": (
        ['queue: "gpu"', "- -rn", '- -gpu "num=1"'],
        ["#BSUB -q gpu", '#BSUB -gpu "num=1"', "#BSUB -n 4"],
    ),
    "htcondor": (["request_gpus: 1"], ["request_gpus = 1", "MY.DaskWorkerCores = 4"]),
}


@pytest.mark.parametrize("batch_system", BATCH)
def test_the_gpu_profile_says_what_differs_and_the_rest_is_as_above(
    rendered, tmp_path, monkeypatch, batch_system
):
    monkeypatch.chdir(tmp_path)
    text = (rendered(batch_system) / "config/jobqueue.yaml").read_text()
    # The profile is the end of the file, of which every line is uncommented.
    before, _, profile = text.rpartition("  # gpu:\n")
    profile = re.sub(r"^  # ", "  ", profile, flags=re.MULTILINE)
    lines, expected = GPU[batch_system]
    for line in lines:
        assert f" {line}\n" in profile
    script = script_here(f"{before}  gpu:\n{profile}", batch_system, dask_hpc, config_name="gpu")
    for line in expected:
        assert line in script.splitlines()
    assert "--memory-limit 28.80GiB" in script
    assert "--interface ib7" in script
    for line in SCRIPTS[batch_system]:
        if re.search("physics|demo-lab|00:42", line) and "/core=" not in line:
            assert line in script.splitlines()


def test_without_a_batch_system_nothing_about_one_is_configured(blank):
    text = (blank("none") / "config/jobqueue.yaml").read_text()
    assert yaml.safe_load(text) == {"dask-hpc": {"batch-system": "none"}}


@pytest.mark.parametrize("batch_system", BATCH)
def test_only_slurm_is_said_to_have_been_run_for_real(rendered, batch_system):
    readme = (rendered(batch_system) / "README.md").read_text()
    assert ("only Slurm was run as a whole site" in readme) is (batch_system != "slurm")
    label = batch.get(batch_system).label
    assert f"what this project does with {label}" in readme or batch_system == "slurm"


def test_the_notebooks_table_of_names_is_true():
    """Each key of the table exists today, and each argument with it; old names are really gone."""
    notebook = json.loads((TEMPLATE / "notebooks/01-cluster.ipynb").read_text())
    lines = [line for cell in notebook["cells"] for line in cell["source"] if line[0] == "|"]
    cells = [[re.findall(r"`([\w-]+)`", cell) for cell in line.split("|")[1:4]] for line in lines]
    rows = [row for row in cells if any(row)]
    assert len(rows) >= 20
    current = set().union(*map(current_keys, BATCH))
    keys = {key for _, _, found in rows for key in found}
    assert keys == current - NOT_SHOWN
    for old, today, found in rows:
        if found:
            assert [name.replace("_", "-") for name in today] == found
        for name in set(old) - set(today):
            # project has gone where account has come
            assert name.replace("_", "-") not in current_keys("slurm")
            assert name.replace("_", "-") not in current_keys("pbs")


def test_the_answers_of_all_tests_are_complete():
    assert set(ANSWERS) == {
        name
        for name in json.loads((REPOSITORY / "cookiecutter.json").read_text())
        if not name.startswith("_")
    }
