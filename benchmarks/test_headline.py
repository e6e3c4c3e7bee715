"""CI's measurement of speedup: 500 tasks of 1 s on 20, 60, and 120 slots of the testbed.

pytest-benchmark's own clock times the whole command, starts of the clusters included; the figures
that matter come from the harness's record and are kept in ``extra_info``. The record and its figure
stay in build/benchmarks/speedup.
"""

import runpy
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
KEPT = REPOSITORY / "build" / "benchmarks" / "speedup"
SPEEDUP = runpy.run_path(str(Path(__file__).with_name("speedup.py")))


def test_500_one_second_tasks_on_slurm_are_as_quick_as_in_the_recorded_runs(lab, benchmark):
    from dask_hpc.bench import report

    out = "~/benchmark"
    command = f"{SPEEDUP['COMMAND']} --out {out}"
    benchmark.pedantic(lab.shell, args=[command], kwargs={"timeout": 240}, rounds=1, iterations=1)
    text = lab.shell(f"cat {out}/*.jsonl").stdout
    lab.shell(f"rm -r {out}")
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    (KEPT / "speedup.jsonl").write_text(text)
    report.write(KEPT)

    record = SPEEDUP["lines"](text)
    rows = [line for line in record if line["kind"] == "row"]
    first = next(line for line in record if line["kind"] == "start")
    environment = next(line for line in record if line["kind"] == "environment")
    benchmark.extra_info["makespan_s"] = {row["slots"]: row["makespan_s"] for row in rows}
    benchmark.extra_info["efficiency"] = SPEEDUP["efficiencies"](record)
    benchmark.extra_info["cold_total_s"] = first["cold_total_s"]
    benchmark.extra_info["phases"] = first["phases"]
    benchmark.extra_info["environment"] = environment

    assert [(row["slots"], row["status"]) for row in rows] == [(120, "ok"), (60, "ok"), (20, "ok")]
    assert [row["slots_used"] for row in rows] == [120, 60, 20]
    assert [row["hosts"] for row in rows] == [4, 2, 1]
    for slots, floor in SPEEDUP["floors"]().items():
        assert floor <= benchmark.extra_info["efficiency"][slots] <= 1, f"{slots} slots"
    assert first["cold_total_s"] < 60
    assert first["settings"]["SLURM_VERSION"][:2] in ("22", "24")
    assert "batch_sched_delay=0" in first["settings"]["SchedulerParameters"]
    assert environment["digest"].startswith("sha256:")
    assert {"slurmctld", "slurmd", "python3"} <= set(environment["system_packages"])


def test_more_slots_than_the_partition_has_are_refused_before_anything_starts(lab):
    done = lab.shell("dask hpc bench run sleep --slots 480", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: 480 slots requested, but partition short has 128 CPUs: reduce --slots\n"
    )


def test_a_run_below_the_recorded_ones_is_refused(tmp_path):
    path = tmp_path / "speedup.jsonl"
    path.write_text(
        '{"efficiency": {"20": 0.99, "60": 0.97, "120": 0.95}}\n'
        '{"efficiency": {"20": 0.98, "60": 0.94, "120": 0.96}}\n'
    )
    floors = SPEEDUP["floors"](path)
    assert floors == {20: 0.93, 60: pytest.approx(0.91), 120: pytest.approx(0.92)}
