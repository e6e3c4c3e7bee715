"""The JSON Schema that editors check a project's jobqueue.yaml with."""

import json
import sys
from pathlib import Path

import pytest

from dask_hpc import batch
from dask_hpc.config import fields, files
from docs import keys

from .conftest import run
from .rendering import BATCH_SYSTEMS

GOOD = "dask-hpc: {batch-system: slurm}\njobqueue: {slurm: {cores: 8, memory: 16 GiB}}\n"


def is_valid(path) -> bool:
    """Return whether check-jsonschema, which reads YAML as editors do, finds nothing."""
    from check_jsonschema import main

    with pytest.raises(SystemExit) as end:
        main(["--schemafile", str(keys.FILE), str(path)], prog_name="check-jsonschema")
    return end.value.code == 0


def test_the_file_is_what_the_table_says():
    """Otherwise: python -m docs.keys."""
    assert keys.FILE.read_text() == keys.text()
    run([sys.executable, "-m", "check_jsonschema", "--check-metaschema", keys.FILE])


def test_the_table_has_dask_jobqueues_keys_and_no_others():
    theirs = {key for section in files.jobqueue_defaults().values() for key in section}
    assert theirs - set(fields.RENAMED) == set(fields.FIELDS)


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS)
def test_each_batch_systems_file_is_valid_and_names_the_schema(rendered, batch_system):
    path = rendered(batch_system) / "config/jobqueue.yaml"
    first = path.read_text().splitlines()[0]
    there = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
    assert there.read_text() == keys.text()
    assert is_valid(path)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "",
        "jobqueue: {slurm: {account: null, death_timeout: 1 min, queue: ''}}",
        "jobqueue: {gpu: {queue: gpu, job-extra-directives: [--gres=gpu:1]}}",
        "jobqueue: {htcondor: {job-extra-directives: {+Group: lab, request_gpus: 1}}}",
        "distributed: {scheduler: {worker-ttl: 2 minutes}}\nlabextension: {initial: []}\narray: {}",
    ],
)
def test_what_dask_reads_stays_valid(tmp_path, text):
    (tmp_path / "jobqueue.yaml").write_text(text or "{}")
    assert is_valid(tmp_path / "jobqueue.yaml")


@pytest.mark.parametrize(
    "change",
    [
        "acount: lab",
        "cores: four",
        "cores: 0",
        "cores: 100000",
        "processes: '4'",
        "memory: 16",
        "memory: much",
        "walltime: 90",
        "interface: ib 0",
        "worker-extra-args: --lifetime 1h",
        "job-script-prologue: module load x",
        "job-extra-directives: {+Group: lab}",
        "scheduler-options: [port]",
        "log-directory: 5",
        "partition: short",
        "env-extra: [module load x]",
        "disk: 1 GiB",
    ],
)
def test_a_typical_mistake_is_not_valid(tmp_path, change):
    (tmp_path / "jobqueue.yaml").write_text(f"jobqueue:\n  slurm:\n    {change}\n")
    assert not is_valid(tmp_path / "jobqueue.yaml")


@pytest.mark.parametrize(
    "change",
    ["batch-system: slrum", "batch-sytem: slurm", "idle-timeout: 30", "max-resubmits: -1"],
)
def test_a_mistake_in_our_own_section_is_not_valid(tmp_path, change):
    (tmp_path / "jobqueue.yaml").write_text(f"dask-hpc: {{{change}}}\n")
    assert not is_valid(tmp_path / "jobqueue.yaml")


def test_editors_show_each_keys_line_and_propose_the_batch_systems_keys():
    found = json.loads(keys.text())
    for key, field in fields.FIELDS.items():
        assert found["definitions"]["jobqueue"][key]["description"] == field.doc
    for name in BATCH_SYSTEMS:
        if (section := batch.get(name).section) is not None:
            proposed = found["properties"]["jobqueue"]["properties"][section]["properties"]
            known = set(files.jobqueue_defaults()[section]) - set(fields.RENAMED)
            assert set(proposed) == known


def test_the_schema_is_a_file_that_dask_does_not_read(rendered):
    assert not list(Path(rendered("slurm"), "config").glob("*.json"))
