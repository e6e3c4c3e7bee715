"""Micro-benchmarks of what the toolkit does often, in one process: `make bench-micro`.

pytest does not collect this file by itself, so `make test` does not spend time on it; a test in
test_micro.py runs each function once.
"""

import asyncio

import dask
import pytest

from dask_hpc import SLURMCluster, batch
from dask_hpc.batch import JobState, commands
from dask_hpc.batch.watcher import JobWatcher
from dask_hpc.bench import metrics, record, report
from dask_hpc.config.resolve import resolve

SLURM = batch.get("slurm")
JOBS, ROWS = 1000, 1000
SQUEUE = "".join(f"{n}|RUNNING|None|node{n % 64}|1:02:03|22:57:57|lab-{n}\n" for n in range(JOBS))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Put the configuration of a lab in force, away from this machine's own."""
    monkeypatch.chdir(tmp_path)
    section = {
        **{"account": "physics", "queue": "short", "walltime": "01:00:00", "cores": 16},
        **{"processes": 4, "memory": "64 GiB", "interface": "lo", "log-directory": "logs"},
        "job-extra-directives": ["--exclusive", "--constraint=fast"],
        "job-script-prologue": ["module load gcc", "export OMP_NUM_THREADS=1"],
        "scheduler-options": {"dashboard": False, "dashboard_address": ":0"},
    }
    settings = {f"jobqueue.slurm.{key}": value for key, value in section.items()}
    # Certificates would be files, which only a cluster that starts removes.
    own = {"dask-hpc.batch-system": "slurm", "dask-hpc.security": False}
    with dask.config.set({**own, **settings}):
        yield


@pytest.mark.usefixtures("lab")
def test_job_script(benchmark):
    async def measure():
        cluster = SLURMCluster(asynchronous=True)  # not awaited, so that it does not start
        return benchmark(cluster.job_script)

    assert "#SBATCH -A physics" in asyncio.run(measure())


@pytest.mark.usefixtures("lab")
def test_configuration(benchmark):
    settings = benchmark(resolve, SLURM, {"cores": 8})
    assert settings.cores == 8


def test_squeue_of_1000_jobs(benchmark):
    jobs = benchmark(SLURM.parse_list, SQUEUE)
    assert len(jobs) == JOBS


def test_watcher_of_1000_jobs(benchmark, monkeypatch):
    """Poll once: the command, its answer, and what has changed, which is nothing."""

    async def answer(*_, **__):
        return SQUEUE

    monkeypatch.setattr(commands, "run", answer)
    with asyncio.Runner() as runner:
        watcher = JobWatcher(SLURM, *map(str, range(JOBS)))
        runner.run(watcher.poll())  # from unknown to running
        benchmark(lambda: runner.run(watcher.poll()))
    assert watcher.status("7").state is JobState.RUNNING
    assert len(watcher.active) == JOBS


def test_report_of_1000_rows(benchmark, tmp_path):
    with record.Writer(tmp_path / "strong-scaling.jsonl") as writer:
        version = {"schema": record.SCHEMA, "version": record.VERSION}
        writer.write("header", **version, workload="strong-scaling", started="2026-11-24")
        for number in range(ROWS):
            slots = (20, 50, 100, 120)[number % 4]
            ideal = metrics.ideal_s(500, 1.0, slots)
            makespan = ideal + 0.1 + number / 1e5
            point = {"backend": "cluster", "slots": slots, "tasks": 500, "seconds": 1.0}
            values = {"ideal_s": ideal, "makespan_s": makespan, "overhead_s": makespan - ideal}
            values |= {"efficiency": ideal / makespan, "speedup": 500 / makespan}
            values["speedup_bound"] = metrics.speedup_bound(500, slots)
            writer.write("row", **point, **values, workload="strong-scaling", status="ok")
    # Drawing takes a second, so pytest-benchmark would not choose more rounds either.
    paths = benchmark.pedantic(report.write, [tmp_path], rounds=5, warmup_rounds=1)
    assert paths[-1].name == "report.html"
