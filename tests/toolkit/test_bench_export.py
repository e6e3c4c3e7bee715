"""`dask hpc bench export`: what is kept is useful, and names nobody."""

import json

import jsonschema
import pytest
from click.testing import CliRunner

from dask_hpc.batch import BATCH_SYSTEMS
from dask_hpc.bench import compare, computing, data, export, files, points, record
from dask_hpc.bench.backends import BACKENDS
from dask_hpc.bench.backends.cold_start import DEFAULT, NO_NANNY, SPAWN
from dask_hpc.bench.gil import MODES
from dask_hpc.bench.workloads import WORKLOADS
from dask_hpc.cli.main import main

SECRETS = ["alice", "login.site.example", "/home/lab-secret", "physics-account", "bigmem-queue"]
SECRETS += ["node-of-site-17", "4711042"]
EVERYTHING = " ".join(SECRETS)
SCHEMA = json.loads(export.SCHEMA_FILE.read_text())

HEADER = {
    "schema": record.SCHEMA,
    "version": record.VERSION,
    "workload": "sleep",
    "started": "2026-11-24T07:15:23.123+00:00",
    "command": f"dask hpc bench run sleep --out {EVERYTHING}",
    "plan": {"tasks": 500, "note": EVERYTHING},
    "versions": {"dask": "2026.8.0", "python": "3.12.1+alice", "alice": "1.0", "click": "alice"},
    "machine": {
        "host": "login.site.example",
        "user": "alice",
        "system": "Linux 6.18.44-alice",
        "architecture": "x86_64",
        "cores": 64,
        "usable_cores": 32,
        "load_1min": 0.25,
        "gil": True,
        "alice": "alice",
    },
}
START = {
    "slots": 120,
    "jobs": 4,
    "threads": 30,
    "backend": "cluster",
    "batch_system": "slurm",
    "queue": "bigmem-queue",
    "job_script": f"#SBATCH -A physics-account\ncd {EVERYTHING}",
    "job_ids": ["4711042"],
    "nodes": ["node-of-site-17", "login.site.example"],
    "settings": {
        "SLURM_VERSION": "24.11.5",
        "SchedulerParameters": "bf_interval=5,alice=3,bf_window=alice,sched_interval=5",
        "PriorityType": "priority/alice",
        "alice": "alice",
    },
    "phases": {"cluster": 0.3, "all_workers": 0.5, "alice": 1.0, "queue": "alice"},
    "first_of_command": True,
    "cold_total_s": 7.5,
    "directives": [EVERYTHING],
}
ROW = {
    "workload": "sleep",
    "backend": "cluster",
    "slots": 120,
    "tasks": 500,
    "seconds": 1.0,
    "started": "2026-11-24T07:15:23.123+00:00",
    "repeat": 1,
    "makespan_s": 5.123456,
    "status": "ok",
    "note": EVERYTHING,
    "alice": 1,
}
TRACE = {
    "slots": 2,
    "slot_hosts": ["node-of-site-17", "login.site.example"],
    "slot_workers": [0, 1],
    "task_slots": [0, 1],
    "starts_ms": [0.5, 1.0],
    "ends_ms": [1000.5, 1001.0],
    "note": EVERYTHING,
}
FAILED = {**ROW, "status": "failed", "error": f"job 4711042 of alice failed: {EVERYTHING}"}
ENVIRONMENT = {
    "digest": "sha256:" + "0a" * 32,
    "packages": 141,
    "system_packages": {
        "slurmctld": "24.11.5-4+deb13u1",
        "python3": "3.13.5-1~alice",
        "slurm-alice": "1",
    },
}


def write(path, **changes):
    with record.Writer(path) as writer:
        writer.write("header", **{**HEADER, **changes})
        writer.write("start", **START)
        writer.write("row", **ROW)
        writer.write("row", **FAILED)
        writer.write("trace", **TRACE)
        writer.write("environment", **ENVIRONMENT)
        writer.write("end", finished="2026-11-24T07:16", by="alice")
    return path


def invoke(source, out):
    return CliRunner().invoke(main, ["bench", "export", str(source), "--out", str(out)])


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_no_secret_of_any_place_is_in_the_export(tmp_path):
    result = invoke(write(tmp_path / "a.jsonl"), tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out.jsonl").read_text()
    assert [secret for secret in [*SECRETS, "secret", "site"] if secret in text] == []


def test_what_is_measured_is_kept(tmp_path):
    invoke(write(tmp_path / "a.jsonl"), tmp_path / "out.jsonl")
    header, start, row, failed, trace, environment, end = read(tmp_path / "out.jsonl")
    assert header["started"] == "2026-11-24"
    assert header["versions"] == {"dask": "2026.8.0", "python": "3.12.1"}
    assert header["machine"] == {
        **{"host": "host1", "system": "Linux 6.18", "architecture": "x86_64", "cores": 64},
        **{"usable_cores": 32, "load_1min": 0.25, "gil": True},
    }
    assert start["nodes"] == ["host2", "host1"]
    assert start["settings"] == {
        "SLURM_VERSION": "24.11.5",
        "SchedulerParameters": "bf_interval=5,sched_interval=5",
    }
    assert start["phases"] == {"cluster": 0.3, "all_workers": 0.5}
    names_somebody = {"started", "note", "alice"}
    kept = {key: value for key, value in ROW.items() if key not in names_somebody}
    assert row == {"kind": "row", "run": 1, **kept}
    assert failed["status"] == "failed"
    assert trace["slot_hosts"] == ["host2", "host1"]
    assert trace["ends_ms"] == TRACE["ends_ms"]
    assert "note" not in trace
    assert environment["digest"] == ENVIRONMENT["digest"]
    assert environment["system_packages"] == {"slurmctld": "24.11.5-4+deb13u1"}
    assert end == {"kind": "end", "run": 1}


def test_each_line_is_valid_by_the_schema(tmp_path):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    invoke(write(tmp_path / "a.jsonl"), tmp_path / "out.jsonl")
    for line in read(tmp_path / "out.jsonl"):
        jsonschema.validate(line, SCHEMA, jsonschema.Draft7Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"kind": "row", "run": 1, **FAILED}, SCHEMA)


@pytest.mark.parametrize("value", [EVERYTHING, [EVERYTHING], {"alice": EVERYTHING}, None, True])
def test_values_of_a_wrong_form_are_left_out(tmp_path, value):
    lines = {"header": HEADER, "start": START, "row": FAILED, "environment": ENVIRONMENT}
    needed = {"schema", "version", "workload", "slots", "status"}
    with record.Writer(tmp_path / "a.jsonl") as writer:
        for kind, line in lines.items():
            wrong = {key: value for key in line if key not in needed}
            writer.write(kind, **{**line, **wrong})
    result = invoke(tmp_path / "a.jsonl", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    assert "alice" not in (tmp_path / "out.jsonl").read_text()


def test_a_line_that_cannot_do_without_a_wrong_value_is_an_error_that_does_not_repeat_it(tmp_path):
    path = write(tmp_path / "a.jsonl", workload="of alice")
    result = invoke(path, tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert result.output == f"Error: {path}: header has no valid workload\n"
    assert not (tmp_path / "out.jsonl").exists()


def test_the_command_says_what_is_kept_what_is_not_and_where_it_is(tmp_path):
    out = tmp_path / "out.jsonl"
    printed = invoke(write(tmp_path / "a.jsonl"), out).output
    assert "  row.makespan_s: 5.123456\n" in printed
    assert "  row.status: ok, failed\n" in printed
    left_out = next(line for line in printed.splitlines() if line.startswith("Left out: "))
    for key in ("header.command", "header.machine.user", "start.job_script", "row.error"):
        assert key in left_out
    assert printed.endswith(f"Written: {out} (7 lines). Look at it before you send it.\n")


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "out.jsonl").write_text("here first")
    result = invoke(write(tmp_path / "a.jsonl"), tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert result.output.endswith("out.jsonl exists: give another file with --out\n")
    assert (tmp_path / "out.jsonl").read_text() == "here first"
    assert "cannot write" in invoke(tmp_path / "a.jsonl", tmp_path / "missing/out.jsonl").output


def test_an_export_of_several_runs_is_read_as_these_runs(tmp_path):
    for number in range(2):
        write(tmp_path / "runs" / f"{number}.jsonl")
    invoke(tmp_path / "runs", tmp_path / "out.jsonl")
    found = record.read_all(tmp_path / "out.jsonl")
    assert [[row["run"] for row in run.measured] for run in found] == [[1], [2]]
    invoke(tmp_path / "runs/0.jsonl", tmp_path / "one.jsonl")
    point, start = compare.compare(found, compare.load(tmp_path / "one.jsonl"))
    assert [len(side) for side in (point.times.a, point.times.b, start.times.a)] == [2, 1, 2]


def test_the_schema_knows_the_names_of_this_version():
    kinds = SCHEMA["definitions"]
    row, start = kinds["row"]["properties"], kinds["start"]["properties"]
    assert set(row["workload"]["enum"]) >= set(WORKLOADS)
    assert set(row["backend"]["enum"]) == set(BACKENDS)
    assert set(row["mode"]["enum"]) == {*MODES, *files.MODES, *computing.MODES, *data.MODES}
    assert set(row["work"]["enum"]) == set(computing.WORKS)
    assert set(row["format"]["enum"]) == {files.CSV, files.NETCDF}
    assert set(row["how"]["enum"]) == {DEFAULT, SPAWN, NO_NANNY}
    columns = points.Point(4, 40, 0.1, 3).columns()
    assert set(columns) <= set(row)
    assert set(row["way"]["enum"]) == {points.HARNESS, points.GATHER, points.SWEEP}
    assert set(row["lengths"]["enum"]) == {points.EQUAL, points.UNEVEN}
    assert set(start["phases"]["properties"]) == set(record.PHASES)
    known = set(start["batch_system"]["enum"])
    assert {name for name, it in BATCH_SYSTEMS.items() if it.cluster_class is not None} == known
