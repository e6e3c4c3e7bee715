"""Why a job runs and no worker of it comes: what its log most likely means."""

import re
import time

import pytest

import dask_hpc
from dask_hpc import diagnosis
from dask_hpc.diagnosis import last_lines, likely_cause, tail

ADDRESS = "tcp://10.0.0.1:8786"
LOGS = {
    "slurm_script: line 9: /home/me/.venv/bin/python: No such file or directory": (
        "Python is not there"
    ),
    "slurm_script: line 9: /opt/conda/bin/python3.12: Permission denied": "Python is not there",
    "/usr/bin/python3: Error while finding module specification for 'distributed.cli.dask_worker' "
    "(ModuleNotFoundError: No module named 'distributed')": "package distributed",
    "ValueError: 'ib0' is not a valid network interface. Valid network interfaces are: ['lo', "
    "'eth0']": "no network interface ib0",
    "OSError: [Errno 28] No space left on device": "disk is full",
    "OSError: [Errno 122] Disk quota exceeded: '/scratch/me'": "disk is full",
    "OSError: Timed out trying to connect to tcp://10.0.0.1:8786 after 30 s": ADDRESS,
    "distributed.comm.core - ERROR - Connection refused": ADDRESS,
    "OSError: [Errno 113] No route to host": ADDRESS,
    "slurm_script: line 4: module: command not found": "job-script-prologue",
    "Lmod has detected the following error: These module(s) exist but cannot be loaded": (
        "job-script-prologue"
    ),
    "distributed.nanny - INFO - Start Nanny at: 'tcp://10.0.0.7:1234'": None,
    "": None,
}


@pytest.mark.parametrize("log", LOGS)
def test_the_end_of_a_log_has_a_likely_cause(log):
    found = likely_cause(f"some line before\n{log}\n", ADDRESS)
    if LOGS[log] is None:
        assert found == ""
    else:
        assert LOGS[log] in found
        assert "\n" not in found


def test_every_cause_names_what_to_change():
    for _, words in diagnosis.CAUSES:
        assert "jobqueue.yaml" in words


def test_of_a_long_log_only_the_end_is_read(tmp_path):
    path = tmp_path / "job.err"
    path.write_text("x" * 100_000 + "\nthe end\n")
    assert tail(path, most=20).endswith("\nthe end\n")
    assert len(tail(path, most=20)) == 20
    assert tail(tmp_path / "not-there") == ""


def test_the_last_lines_that_say_something_are_shown_in_one():
    assert last_lines("a\n\nb\nc\n  \nd\n\n") == "b | c | d"


def test_a_job_that_runs_for_long_without_a_worker_is_told_once_with_its_log(lab, caplog, tmp_path):
    lab.hold()
    caplog.set_level("INFO", "dask_hpc")
    logs = tmp_path / "logs"
    arguments = {"log_directory": str(logs), "death_timeout": 2}
    with dask_hpc.SLURMCluster(**arguments) as cluster:
        cluster.scale(jobs=1)
        end = time.monotonic() + 20
        while not cluster.job_ids:
            assert time.monotonic() < end
            time.sleep(0.05)
        name = cluster._dummy_job.job_name
        (logs / f"{name}-100.err").write_text("OSError: [Errno 28] No space left on device\n")
        lab.state("100", "RUNNING", "None", "node7")
        time.sleep(6)
    said = [r.getMessage() for r in caplog.records if "no worker of it has come" in r.getMessage()]
    assert len(said) == 1
    assert re.match(r"Job 100 runs on node7 since \d+ s, and no worker of it has come\. ", said[0])
    assert "Its log " in said[0]
    assert "No space left on device - likely, the disk is full" in said[0]
