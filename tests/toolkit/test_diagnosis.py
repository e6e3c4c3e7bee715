"""Why a job runs and no worker of it comes: what its log most likely means."""

import re

import pytest

import dask_hpc
from dask_hpc.resilience import diagnosis
from dask_hpc.resilience.diagnosis import last_lines, likely_cause
from dask_hpc.resilience.tracked_job import JobKind, RestartHistory, TrackedJob

from .conftest import reported, until

ADDRESS = "tcp://10.0.0.1:8786"
PYTHON = "/home/me/.venv/bin/python"

# Of real workers, shortened in the middle.
NO_INTERFACE = """\
2026-11-28 02:25:21,670 - distributed.nanny - INFO - Nanny at 'not-running' closed.
2026-11-28 02:25:21,671 - distributed.dask_worker - INFO - End worker
Traceback (most recent call last):
  File "/x/distributed/core.py", line 509, in start
    await wait_for(self.start_unsafe(), timeout=timeout)
ValueError: 'ib7' is not a valid network interface. Valid network interfaces are: ['lo', 'eth0']

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/x/distributed/core.py", line 517, in start
    raise RuntimeError(f"{type(self).__name__} failed to start.") from exc
RuntimeError: Nanny failed to start.
"""
TIMED_OUT = """\
2026-11-28 02:25:13,914 - distributed.worker - INFO - Waiting to connect to:  tcp://10.0.0.1:8786
2026-11-28 02:25:14,002 - distributed.dask_worker - INFO - Timed out starting worker
2026-11-28 02:25:14,002 - distributed.dask_worker - INFO - End worker
"""
SLOW = """\
2026-11-28 02:25:13,914 - distributed.nanny - INFO -         Start Nanny at: 'tcp://10.0.0.7:1'
2026-11-28 02:25:14,002 - distributed.dask_worker - INFO - Timed out starting worker
"""
CONNECT = """\
Traceback (most recent call last):
  File "/x/distributed/comm/core.py", line 342, in connect
OSError: Timed out trying to connect to tcp://10.0.0.1:8786 after 30 s

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/x/distributed/core.py", line 517, in start
RuntimeError: Worker failed to start.
"""
CANCELLED = """\
Traceback (most recent call last):
  File "/x/distributed/comm/tcp.py", line 557, in connect
asyncio.exceptions.CancelledError

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/x/distributed/comm/core.py", line 336, in connect
TimeoutError

The above exception was the direct cause of the following exception:

"""
PRELOAD = """\
Traceback (most recent call last):
  File "/x/distributed/preloading.py", line 120, in _import_module
    import_module(name)
ModuleNotFoundError: No module named 'ourthings'
"""
LMOD = """\
Lmod has detected the following error:  The following module(s) are unknown: "nosuch"

Please check the spelling or version number. Also try "module spider ..."
"""
ALIVE = (
    "2026-11-28 02:25:13 - distributed.nanny - INFO -         Start Nanny at: 'tcp://10.0.0.7:1'\n"
)
ENDED = "slurmstepd: error: *** JOB 12 ON node1 CANCELLED AT 2026-11-28T02:25:13 ***\n"
BASH = "/var/spool/slurmd/job00012/slurm_script: line"

# The log → what of it is shown, and what is said of it; None: nothing.
LOGS = {
    f"{BASH} 9: {PYTHON}: No such file or directory\n": (PYTHON, "Python does not exist"),
    f"{BASH} 4: module: command not found\n{BASH} 9: {PYTHON}: No such file or directory\n": (
        f"{BASH} 9",
        "Python does not exist",
    ),
    f"{BASH} 9: {PYTHON}: Permission denied\n{ENDED}": (PYTHON, "Python does not exist"),
    f"job.sh: 9: {PYTHON}: not found\n": (PYTHON, "Python does not exist"),
    f"{PYTHON}: Command not found.\n": (PYTHON, "Python does not exist"),
    # Another Python than the workers', in a line before.
    f"{BASH} 4: python2: command not found\n": ("python2", "job-script-prologue"),
    "/usr/bin/python3: Error while finding module specification for 'distributed.cli.dask_worker' "
    "(ModuleNotFoundError: No module named 'distributed')\n": (
        "distributed",
        "package distributed:",
    ),
    "/usr/bin/python3: No module named distributed\n": ("distributed", "package distributed:"),
    PRELOAD: ("ModuleNotFoundError: No module named 'ourthings'", "package ourthings:"),
    NO_INTERFACE: ("ValueError: 'ib7' is not a valid", "no network interface ib7"),
    "Traceback (most recent call last):\n  File x\nOSError: [Errno 28] No space left on device\n": (
        "OSError: [Errno 28] No space left on device",
        "disk is full",
    ),
    "bash: line 3: echo: write error: Disk quota exceeded\n": ("quota", "disk is full"),
    TIMED_OUT: ("Timed out starting worker", f"cannot reach the scheduler at {ADDRESS}"),
    CONNECT: ("OSError: Timed out trying", f"cannot reach the scheduler at {ADDRESS}"),
    CANCELLED + CONNECT: (
        "OSError: Timed out trying",
        f"cannot reach the scheduler at {ADDRESS}: check interface",
    ),
    SLOW: ("Timed out starting worker", "death-timeout"),
    f"{BASH} 4: module: command not found\n": ("module: command", "job-script-prologue"),
    LMOD: ("Lmod has detected", "job-script-prologue"),
    # What is not known to be the reason is shown, and no more.
    "curl: (28) Connection timed out after 5000 ms\n": ("curl: (28)", None),
    "cat: /scratch/me/tasks.python: Permission denied\n": ("cat: ", None),
    CONNECT.replace(ADDRESS, "tcp://192.0.2.1:1"): ("OSError: Timed out", None),
    f"{BASH} 4: module: command not found\n{ALIVE}": ("Start Nanny", None),
    f"{LMOD}{ALIVE}": ("Start Nanny", None),
    f"{PRELOAD}{ALIVE}{ALIVE.replace('Start Nanny at', 'Registered to')}": ("Registered", None),
    "Traceback (most recent call last):\n  File x\nPermissionError: [Errno 13] Permission denied: "
    "'/data/python.txt'\n": ("PermissionError: [Errno 13]", None),
    "Traceback (most recent call last):\n  File x": ("File x", None),
    ALIVE: ("Start Nanny", None),
    "": ("", None),
}


@pytest.mark.parametrize(
    ("shebang", "cause"),
    [
        ("#!/usr/bin/env zsh", "the compute node has no zsh: check shebang in jobqueue.yaml"),
        ("#!/usr/bin/env bash", "a line of job-script-prologue in jobqueue.yaml failed"),
    ],
)
def test_a_shell_that_the_node_does_not_have_is_told_by_its_key(shebang, cause):
    log = "env: 'zsh': No such file or directory\n"
    assert likely_cause(log, ADDRESS, PYTHON, shebang) == cause


@pytest.mark.parametrize("log", LOGS)
def test_what_matters_in_a_log_is_shown_and_a_cause_only_if_it_is_known(log):
    shown, cause = LOGS[log]
    log = f"Welcome to the cluster: python not found, timed out\n{log}"
    assert shown in last_lines(log)
    found = likely_cause(log, ADDRESS, PYTHON)
    if cause is None:
        assert found == ""
    else:
        assert cause in found
        assert "\n" not in found


def test_every_cause_names_what_to_change():
    for _, words in diagnosis.CAUSES:
        assert "jobqueue.yaml" in words


def test_the_last_lines_that_say_something_are_shown_in_one():
    assert last_lines("a\n\nb\nc\n  \nd\n\n") == "b | c | d"


def test_a_job_that_runs_for_long_without_a_worker_is_told_with_its_log(lab, tmp_path):
    lab.hold()
    logs = tmp_path / "logs"
    with dask_hpc.SLURMCluster(log_directory=str(logs), death_timeout=0.5) as cluster:
        cluster.scale(jobs=1)
        until(lambda: cluster.job_ids)
        name = cluster._dummy_job.job_name
        line = "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
        (logs / f"{name}-100.err").write_text(line)
        lab.state("100", "RUNNING", "None", "node7")
        until(lambda: reported(cluster))
        [said] = reported(cluster)
    assert re.match(
        r"Job 100 has been running on node7 for .* s, but no worker has connected\. ", said
    )
    assert "The log " in said
    assert "No space left on device - likely cause: the disk is full" in said


@pytest.mark.parametrize(
    ("python", "known"), [("$HOME/x/python", ""), ("'/a b/python'", "/a b/python")]
)
def test_a_python_that_is_named_by_a_variable_is_any(lab, python, known):
    with dask_hpc.SLURMCluster(python=python) as cluster:
        assert cluster._control.output.python == known


JOB = TrackedJob("0", "7", JobKind({}, 1), RestartHistory())
NOTHING = {
    "no file": (
        {},
        r"There is no log at .*/dask-worker-7\.err",
    ),
    "of one's own": (
        {"job_extra_directives": ["--output=own-%j.out"], "job_directives_skip": ["-e ", "-o "]},
        r"There is no log at .*/own-7\.out",
    ),
    "thrown away": (
        {"job_extra_directives": ["-o /dev/null", "-e /dev/null"]},
        "There is no log: job-extra-directives in jobqueue.yaml send output to /dev/null",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_a_job_whose_output_is_not_seen_is_not_said_to_have_printed_nothing(lab, tmp_path, case):
    arguments, words = NOTHING[case]
    with dask_hpc.SLURMCluster(**arguments) as cluster:
        assert re.fullmatch(words + r"\.", cluster._control.diagnosis.examine(JOB))


def test_the_log_is_the_one_that_the_users_directives_name(lab, tmp_path):
    own = ["--output=own-%j.out", "--error=%x/own-%j.err"]
    (tmp_path / "dask-worker").mkdir()
    (tmp_path / "dask-worker" / "own-7.err").write_text("bash: line 2: module: command not found\n")
    with dask_hpc.SLURMCluster(job_extra_directives=own) as cluster:
        said = cluster._control.diagnosis.examine(
            TrackedJob("0", "7", JobKind({}, 1), RestartHistory())
        )
        assert said.startswith(f"The log {tmp_path}/dask-worker/own-7.err ends with: bash: line 2")
        assert "own-7" not in cluster._control.output.hint()
        assert f"{tmp_path}/dask-worker" in cluster._control.output.hint()
        (tmp_path / "dask-worker" / "own-7.err").write_text("")
        said = cluster._control.diagnosis.examine(
            TrackedJob("0", "7", JobKind({}, 1), RestartHistory())
        )
        assert said == f"The log {tmp_path}/dask-worker/own-7.err is empty."
