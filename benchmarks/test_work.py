"""The workloads files, numpy, and data on the Slurm testbed, as alice types them."""

import json

import pytest

OUT = "~/work-benchmark"
# Each workload with its options, and the number of its rows.
RUNS = {
    "files": ("--tasks 20 --sizes 0.02 --slots 4", 3),
    "numpy": ("", 6),
    "data": ("--sizes 0.1,1", 10),
}


@pytest.mark.full
@pytest.mark.parametrize("workload", RUNS)
def test_a_workload_runs_on_slurm_and_leaves_only_its_record(lab, workload):
    options, number = RUNS[workload]
    command = f"dask hpc bench run {workload} --repeats 1 {options} --out {OUT}"
    lab.shell(command, timeout=240)
    text = lab.shell(f"cat {OUT}/*.jsonl").stdout
    names = lab.shell(f"ls {OUT}; squeue --noheader --me").stdout.split()
    lab.shell(f"rm -r {OUT}")
    assert [name.partition("-")[0] for name in names] == [workload]  # no folder, and no job
    lines = [json.loads(line) for line in text.splitlines()]
    rows = [line for line in lines if line["kind"] == "row"]
    assert [row["status"] for row in rows] == ["ok"] * number
    assert lines[-1]["kind"] == "end"
    if workload == "numpy":  # however many CPUs the nodes claim
        assert {row["slots"] for row in rows} == {rows[0]["cores"]}


def test_a_folder_that_nodes_do_not_share_is_one_line(lab):
    command = "dask hpc bench run files --tasks 2 --slots 1 --out /tmp/not-shared"
    done = lab.shell(command, check=False)
    left = lab.shell("ls /tmp/not-shared; rm -r /tmp/not-shared").stdout
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "use an --out on a file system that all nodes share" in line
    assert [name.rpartition(".")[2] for name in left.split()] == ["jsonl"]
