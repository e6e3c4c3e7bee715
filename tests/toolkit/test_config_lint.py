"""What `config.lint` says about a lab's files."""

from pathlib import Path

import dask.config
import pytest
import yaml

from dask_hpc.config import summary
from dask_hpc.config.lint import lint

LAB = Path("config/jobqueue.yaml")
HOME = Path("home/jobqueue.yaml")
GOOD = """
dask-hpc: {batch-system: slurm}
jobqueue:
  slurm:
    account: lab
    cores: 8
    processes: 4
    memory: 16 GiB
    walltime: "01:00:00"
    job-extra-directives: ["--nodes=1"]
    log-directory: logs
    local_directory: /scratch/lab
    scheduler-options: {dashboard_address: ":8787", port: 8786}
"""


def said(change: str = "", home: str = "") -> list[str]:
    """Return what is said of a good file with these lines added to its slurm section."""
    text = GOOD + "".join(f"    {line}\n" for line in change.splitlines())
    files = [(LAB, yaml.safe_load(text))]
    return lint([*files, (HOME, yaml.safe_load(home))] if home else files)


def test_nothing_is_said_of_a_good_file():
    assert said() == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("acount: x", "acount: unknown key, ignored; did you mean account?"),
        (
            "wall-time: x",
            "wall-time: unknown key, ignored; did you mean walltime?",
        ),
        ("project: x", "project: renamed: use account"),
        ("job-extra: [x]", "job-extra: renamed: use job-extra-directives"),
        ("env_extra: [x]", "env-extra: renamed: use job-script-prologue"),
        ("worker-extra-args: --lifetime 1h", "worker-extra-args: must be a list, not '--lif"),
        ("job-script-prologue: module load x", "job-script-prologue: must be a list, not 'm"),
        ("walltime: soon", "walltime: 'soon' is not valid for Slurm: "),
        ("memory: 16", 'memory: 16 has no unit; use a form such as "16 GiB"'),
        (
            "memory: much",
            "memory: 'much' is not an amount of memory; use a form such as \"16 GiB\"",
        ),
        ("cores: 0", "cores: must be an integer, 1 or more, not 0"),
        ("processes: '4'", "processes: must be an integer, 1 or more, not '4'"),
        ("processes: 3", "processes: does not divide cores: 2 of 8 cores will be idle"),
        ("processes: 9", "processes: 9 processes cannot share 8 cores"),
        ("cores: 100000", "cores: must be for one job on one node, 8192 at most"),
        ("memory: 16 MiB", "memory: 16 MiB is too small: use at least 400 MiB"),
        ("memory: 9999 TiB", "memory: 9999 TiB is too large for a job on one node"),
        ("interface: ib 0", "interface: must be a name that `ip address` lists"),
        ("interface: [ib0]", "interface: must be a name that `ip address` lists"),
        ("scheduler-options: {interface: ib 0}", "scheduler-options: interface must be a name"),
        (
            "scheduler-options: {interfase: ib0}",
            "scheduler-options: interfase: not an argument of Dask's scheduler "
            "(did you mean interface?)",
        ),
        ("scheduler-options: [port]", "scheduler-options: must be a mapping, such as"),
        ("log-directory: 5", "log-directory: must be the name of a folder, not 5"),
        ("partition: x", "partition: unknown key, ignored; use queue"),
        ("time: x", "time: unknown key, ignored; use walltime"),
        ("mem: 16 GiB", "mem: unknown key, ignored; use memory"),
        ('queue: "None"', "queue: 'None' is text here; leave it empty, or use null"),
        ('walltime: "None"', "walltime: 'None' is text here; leave it empty, or use null"),
        ("name: my lab", "name: using my-lab instead of 'my lab', since job names"),
        ("shebang: bash", "shebang: must begin with #!, as in #!/bin/bash, not 'bash'"),
        (
            "job-extra-directives: [exclusive]",
            "job-extra-directives: 'exclusive' is not an option of sbatch: include the dashes",
        ),
        ('account: "a\\nb"', "account: 'a\\nb' has a line break or control character"),
        ('job-extra-directives: ["-x\\n"]', "job-extra-directives: '-x\\n' has a line break"),
    ],
)
def test_a_doubtful_key_is_named_with_its_file_and_what_to_write(change, line):
    # The later of two equal keys counts, in YAML as here.
    [only] = said(change)
    assert line in only
    assert only.startswith("config/jobqueue.yaml: jobqueue.slurm.")


@pytest.mark.parametrize("memory", ["128GB", "40G", "500 mb", "17179869184 B", "1.5 TiB"])
def test_nothing_is_said_of_memory_in_a_unit_that_dask_reads(memory):
    assert said(f"memory: {memory}") == []
    assert said(f"memory: {memory!r}") == []


@pytest.mark.parametrize("key", ["project", "extra", "env-extra", "job-extra", "header-skip"])
@pytest.mark.parametrize("value", ["null", "[]"])
def test_nothing_is_said_of_an_old_name_that_says_nothing(key, value):
    assert said(f"{key}: {value}") == []


def test_an_old_name_beside_the_new_one_is_said_not_to_count():
    [only] = said("job-extra: [--exclusive]")
    assert only.endswith(
        "job-extra: renamed: use job-extra-directives, which is also set and takes precedence"
    )


@pytest.mark.parametrize(
    ("section", "key", "line"),
    [
        ("sge", "account", "account: unknown key"),
        ("lsf", "acount", "acount: unknown key"),
        ("htcondor", "walltime", "walltime: unknown key"),
        ("htcondor", "project", "project: unknown key"),
    ],
)
def test_a_key_of_another_batch_system_is_said_to_be_ignored(section, key, line):
    [only] = lint([(LAB, {"jobqueue": {section: {key: "x"}}})])
    assert only.startswith(f"config/jobqueue.yaml: jobqueue.{section}.{line}")


JOB = {"cores": 8, "memory": "16 GiB"}


@pytest.mark.parametrize(
    ("section", "settings", "lines"),
    [
        ("slurm", JOB, []),
        ("pbs", JOB, []),
        (
            "sge",
            JOB,
            ["cores: not requested from SGE unless job-extra-directives is set, too, as in -pe"],
        ),
        ("sge", {**JOB, "job-extra-directives": ["-pe smp 8"]}, []),
        (
            "oar",
            JOB,
            ["memory: not requested from OAR unless memory-per-core-property-name is set"],
        ),
        ("oar", {**JOB, "memory-per-core-property-name": "not_applicable"}, []),
        ("lsf", JOB, []),
        ("htcondor", JOB, ["cores: HTCondor jobs also need disk: set it in the same section"]),
        ("htcondor", {**JOB, "disk": "1 GiB", "job-extra-directives": {"+Group": "lab"}}, []),
        (
            "htcondor",
            {"job-extra-directives": ["+Group = lab"]},
            ["job-extra-directives: must be a mapping of keys to values for HTCondor, not ["],
        ),
        (
            "pbs",
            {"job-extra-directives": {"-j": "oe"}},
            ["job-extra-directives: must be a list of options for PBS, not {'-j': 'oe'}"],
        ),
        (
            "slurm",
            {"job-extra-directives": "--nodes=1"},
            ["job-extra-directives: must be a list of options for Slurm, not '--nodes=1'"],
        ),
    ],
)
def test_what_a_batch_systems_job_lacks_is_said(section, settings, lines):
    said = lint([(LAB, {"jobqueue": {section: settings}})])
    assert len(said) == len(lines)
    for line, beginning in zip(said, lines, strict=True):
        assert line.startswith(f"config/jobqueue.yaml: jobqueue.{section}.{beginning}")


def test_a_walltime_that_the_batch_system_does_not_read_is_said():
    [only] = said('walltime: "1h"')
    assert "'1h' is not valid for Slurm" in only


def test_the_file_that_counts_is_named_where_a_later_one_goes_before():
    [only] = said(home="jobqueue: {slurm: {processes: 3}}")
    assert only.startswith("home/jobqueue.yaml: jobqueue.slurm.processes: does not divide")


def test_our_own_section_is_looked_at_too():
    [only] = lint([(LAB, {"dask-hpc": {"batch-system": "slrum"}})])
    assert only.startswith(
        "config/jobqueue.yaml: dask-hpc.batch-system: unknown batch system 'slrum'; use one of "
    )
    [only] = lint([(LAB, {"dask-hpc": {"batch-sytem": "slurm"}})])
    assert "did you mean batch-system?" in only
    [only] = lint([(LAB, {"dask-hpc": "slurm"})])
    assert "has no keys" in only


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"job-queue": {"slurm": {}}}, "job-queue: unknown section; did you"),
        ({"jobqeue": {"slurm": {}}}, "jobqeue: unknown section; did you mean"),
        ({"dask-hcp": {}}, "dask-hcp: unknown section; did you mean dask-hpc?"),
        ({"jobqueue": {"slurmm": {"cores": 8}}}, "jobqueue.slurmm: not the name of a batch system"),
        ({"jobqueue": {"PBS": {"cores": 8}}}, "jobqueue.PBS: not the name of a batch system"),
        ({"jobqueue": {"slrum": {"cores": 8}}}, "jobqueue.slrum: not the name of a batch system"),
        ({"jobqueue": {"pds": {"cores": 8}}}, "jobqueue.pds: not the name of a batch system"),
    ],
)
def test_a_section_that_is_likely_a_slip_is_named(content, line):
    [only] = lint([(LAB, content)])
    assert only.startswith(f"config/jobqueue.yaml: {line}")


@pytest.mark.parametrize(
    "content",
    [
        {"dask_hpc": {"batch-system": "none"}},  # Dask takes - and _ for the same
        {"distributed": {}, "labextension": {}, "array": {}, "jobs": {}},
        {"jobqueue": {"slurm-gpu": {"cores": 8}}},
        {"jobqueue": {"gpu": {"cores": 8}, "large": {"cores": 8}}},
        {"jobqueue": {"slurm": {"cores": 8}, "slurn": {"cores": 8}}},  # beside it: a profile
    ],
)
def test_nothing_is_said_of_profiles_and_of_other_packages_sections(content):
    assert lint([(LAB, content)]) == []


@pytest.mark.parametrize(
    ("profile", "line"),
    [
        ("{walltime: 1h}", "walltime: '1h' is not valid for Slurm"),
        ("{processes: 5}", "processes: does not divide cores: 3 of 8 cores will be idle"),
        (
            "{cores: 2}",
            "processes: 4 processes cannot share 2 cores",
        ),  # those of the section itself
        ("{memory: 99MB}", "memory: 99MB is too small"),
        ('{queue: "gpu\\n"}', "queue: 'gpu\\n' has a line break"),
    ],
)
def test_a_profile_is_looked_at_with_what_it_leaves_out(profile, line):
    [only] = lint([(LAB, yaml.safe_load(GOOD + f"  gpu: {profile}"))])
    assert only.startswith(f"config/jobqueue.yaml: jobqueue.gpu.{line}")


def test_what_a_profile_has_from_its_batch_system_is_said_once():
    text = GOOD.replace("16 GiB", "99MB") + "  gpu: {queue: gpu, cores: null}\n"
    [only] = lint([(LAB, yaml.safe_load(text))])
    assert only.startswith("config/jobqueue.yaml: jobqueue.slurm.memory: ")


def test_our_section_written_with_an_underscore_is_looked_at_too():
    [only] = lint([(LAB, {"dask_hpc": {"batch-system": "slrum"}})])
    assert "unknown batch system 'slrum'" in only


def test_files_of_other_kinds_and_empty_sections_are_passed_over():
    files = [
        (LAB, {"distributed": {"x": 1}}),
        (LAB, {"jobqueue": None}),
        (LAB, {"jobqueue": {"slurm": None}}),
    ]
    assert lint(files) == []


def test_a_batch_system_without_a_section_is_said_to_have_none():
    files = [(LAB, yaml.safe_load("dask-hpc: {batch-system: slurm}"))]
    assert lint(files) == [
        "config/jobqueue.yaml: dask-hpc.batch-system: add a section jobqueue.slurm with cores and "
        "memory, which is missing"
    ]
    assert lint([*files, (HOME, {"jobqueue": {"slurm": {"cores": 8, "memory": "16 GiB"}}})]) == []


def test_an_unknown_key_of_a_variable_is_said_with_the_variables_name(monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__CORS", "4")
    monkeypatch.setattr(dask.config, "paths", [])
    assert summary.lint() == [
        "DASK_JOBQUEUE__SLURM__CORS: jobqueue.slurm.cors: unknown key, ignored; did you mean cores?"
    ]
