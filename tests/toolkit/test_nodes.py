"""What a YAML file says that is gone once it has been read."""

import pytest
import yaml

from dask_hpc.config import files
from dask_hpc.config.lint import lint, lint_keys


def said(tmp_path, text: str, only=None) -> list[str]:
    """Return what is said of a file with this text, which begins with the line's number."""
    path = tmp_path / "jobqueue.yaml"
    path.write_text(text)
    files.reread()
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        content = {}
    return [line.removeprefix(f"{path}:") for line in lint_keys([(path, content)], only)]


def section(*lines: str) -> str:
    return "jobqueue:\n  slurm:\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("account: 00123", 'account: YAML reads 00123 as the number 83; put it in quotes: "00123"'),
        ("account: 1_000", "account: YAML reads 1_000 as the number 1000; put it in quotes"),
        ("account: 1.0e+5", "account: YAML reads 1.0e+5 as the number 100000.0; put it in quotes"),
        ("account: 0x1F", "account: YAML reads 0x1F as the number 31; put it in quotes"),
        ("queue: on", 'queue: YAML reads on as the truth value True; put it in quotes: "on"'),
        ("queue: no", 'queue: YAML reads no as the truth value False; put it in quotes: "no"'),
        (
            "name: 2026-11-28T10:00:00Z",
            "name: YAML reads 2026-11-28T10:00:00Z as the date 2026-11-28 10:00:00+00:00; put",
        ),
        (
            "walltime: 10:00:00",
            "walltime: YAML reads 10:00:00 as the number 36000; put it in quotes",
        ),
        (
            "job-extra-directives: [1:30]",
            "job-extra-directives: YAML reads 1:30 as the number 90; put",
        ),
        ("cores: 010", "cores: YAML reads 010 as the number 8, since it begins with 0"),
    ],
)
def test_text_that_yaml_takes_for_something_else_is_named_with_its_line(tmp_path, written, line):
    [only] = said(tmp_path, section("shebang: '#!/bin/sh'", written))
    assert only.startswith(f"4: jobqueue.slurm.{line}")


@pytest.mark.parametrize(
    ("key", "value"), [("account", "00123"), ("queue", "on"), ("walltime", "10:00:00")]
)
def test_in_quotes_as_said_it_is_what_was_written(tmp_path, key, value):
    text = section(f'{key}: "{value}"')
    assert said(tmp_path, text) == []
    assert yaml.safe_load(text)["jobqueue"]["slurm"][key] == value


@pytest.mark.parametrize(
    "written",
    [
        "account: 123",  # the same in the job script
        "account: 2026-11-28",
        "walltime: 90",
        "walltime: 00:30:00",  # text, since it begins with 0
        "account: 1e5",
        "queue: null",
        "job-mem: 0",
        "job-cpu: 8",
        "cores: 16",
        "job-extra-directives: [--nodes=1, -c 4]",
        "scheduler-options: {port: 0x10, dashboard: off}",
    ],
)
def test_nothing_is_said_of_what_arrives_as_it_is_written(tmp_path, written):
    assert said(tmp_path, section(written)) == []


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path):
    [only] = said(tmp_path, section("cores: 4", "queue: short", "cores: 8"))
    assert only == (
        "5: jobqueue.slurm.cores is also set in line 3; only line 5 takes effect: "
        "delete the other one"
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("jobqueue: {}\ndistributed: {}\njobqueue: {}\n", ["3: jobqueue is also set in line 1"]),
        ("jobqueue:\n  slurm: {}\n  slurm: {}\n", ["3: jobqueue.slurm is also set in line 2"]),
        ("a: {b: 1, c: {b: 1}}\nd: {b: 1}\n", []),
        ("x: &x {b: 1}\ny: *x\nz: {<<: *x, c: 2}\n", []),
        ("", []),
        ("a: [", []),
    ],
)
def test_keys_of_all_depths_are_looked_at(tmp_path, text, lines):
    found = said(tmp_path, text)
    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True))


def test_of_two_spellings_dask_takes_the_first_and_so_it_is_said(tmp_path):
    text = section("log-directory: a", "log_directory: b")
    [only] = said(tmp_path, text)
    assert "log_directory is also set in line 3; only line 3 takes effect" in only
    import dask.config

    assert dask.config.update({}, yaml.safe_load(text), priority="old")["jobqueue"]["slurm"] == {
        "log-directory": "a"
    }


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (
            "idle-timeout: 30:00",
            'idle-timeout: must be a time with a unit, such as "30 minutes", not',
        ),
        (
            "max-resubmits: 010",
            "max-resubmits: YAML reads 010 as the number 8, since it begins with 0",
        ),
        ("batch-system: no", "batch-system: unknown batch system 'no'; use one of slurm, pbs"),
        ("worker-dashboards: 'no'", "worker-dashboards: must be true or false, not 'no'"),
    ],
)
def test_our_own_section_is_looked_at_as_it_is_typed(tmp_path, written, line):
    [only] = said(tmp_path, f"dask-hpc:\n  {written}\n")
    assert only.startswith(f"2: dask-hpc.{line}")


def test_sections_that_do_not_matter_are_passed_over(tmp_path):
    text = section("account: 00123")
    assert said(tmp_path, text, only={"pbs"}) == []
    assert len(said(tmp_path, text, only={"slurm"})) == 1


def test_setup_says_it_with_the_file(tmp_path):
    path = tmp_path / "jobqueue.yaml"
    path.write_text(section("walltime: 10:00:00"))
    [only] = lint([(path, yaml.safe_load(path.read_text()))])
    assert only.startswith(f"{path}:3: jobqueue.slurm.walltime: YAML reads 10:00:00 as")
