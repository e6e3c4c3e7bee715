"""A home of the tests' own, and fakes for batch systems' commands (see fake_batch_system.py).

Tests of real Slurm are elsewhere, on a testbed.
"""

from __future__ import annotations

import ast
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

# Before Dask is imported: how the tests end is not for the settings of whoever runs them to decide,
# and dask-jobqueue writes a file into the home.
HOME = tempfile.mkdtemp(prefix="dask-hpc-tests-", dir="/tmp")
os.environ.update(HOME=HOME, DASK_CONFIG=f"{HOME}/dask", DASK_ROOT_CONFIG=f"{HOME}/none")
# For jobs, some of which are killed and leave their files.
os.environ["TMPDIR"] = f"{HOME}/tmp"
Path(HOME, "tmp").mkdir()
for variable in [name for name in os.environ if name.startswith(("SLURM_", "XDG_"))]:
    del os.environ[variable]

import dask  # noqa: E402

from . import fake_batch_system  # noqa: E402
from .fake_batch_system import FAKE_COMMANDS  # noqa: E402

dask.config.paths[:] = [f"{HOME}/dask"]  # not what is linked into this environment
dask.config.PATH = f"{HOME}/dask"
dask.config.refresh()


def pytest_unconfigure():
    shutil.rmtree(HOME, ignore_errors=True)


RUN_FAKE = (
    f"import sys; sys.path.insert(0, {str(Path(fake_batch_system.__file__).parent)!r}); "
    "from fake_batch_system import main; main(*sys.argv[1:])"
)


class FakeBatchSystem:
    """A fake's folder: what was called, and what it is to answer."""

    def __init__(self, name: str, folder: Path):
        self.commands = FAKE_COMMANDS[name]
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        for command in filter(None, (*self.commands.commands, self.commands.accounting)):
            # Through the shell, since Python's path may hold a space, which a #! line can't.
            # As a module, since a program's code is compiled each time.
            words = [sys.executable, "-SE", "-c", RUN_FAKE, str(folder), name, command]
            path = folder / "bin" / command
            path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            path.chmod(0o755)

    def calls(self, command: str) -> list[list[str]]:
        """Arguments of every call of `command`, oldest first."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call[1:] for call in map(ast.literal_eval, lines) if call[0] == command]

    def says(self, command: str, text: str | None) -> None:
        """From now on `command` fails with these words; None: it works again."""
        path = self.folder / f"{command}.says"
        path.write_text(text) if text is not None else path.unlink()

    def hold(self) -> None:
        """From now on jobs stay pending."""
        (self.folder / "hold").touch()

    def state(self, job: str, state: str, reason: str = "None", node: str = "") -> None:
        """Let squeue say this of `job` from now on."""
        self.row(job, f"{state}|{reason}|{node}")

    def row(self, job: str, row: str) -> None:
        """Let the list command say this of `job` from now on, in its own words."""
        (self.folder / f"{job}.state").write_text(row)

    def kill(self, job: str, state: str, reason: str = "None") -> None:
        """Kill a job's processes, and let squeue say this of it."""
        self.state(job, state, reason, "node1")
        os.killpg(self.pid(job), signal.SIGKILL)

    def pid(self, job: str) -> int:
        """Return the process id, and group, of a job."""
        return int((self.folder / f"{job}.pid").read_text())

    def script(self, job: str) -> str:
        return (self.folder / f"{job}.script").read_text()

    def running(self) -> list[int]:
        """Process ids of jobs that are there."""
        pids = [int(path.read_text()) for path in self.folder.glob("*.pid")]
        return [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _zombie(pid)]

    def all_gone(self, seconds: float = 15) -> bool:
        """Whether no job's process is left, after waiting that long at most."""
        end = time.monotonic() + seconds
        while self.running() and time.monotonic() < end:
            time.sleep(0.05)
        return not self.running()


def until(condition, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def reported(cluster):
    """Return the lines of trouble that a cluster has told."""
    return list(cluster._control.messages.recent)


def submissions(lab):
    """Return how many jobs were submitted."""
    return len(lab.calls("sbatch"))


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@contextlib.contextmanager
def _fake(name, tmp_path, monkeypatch):
    fake = FakeBatchSystem(name, tmp_path / "batch")
    monkeypatch.setenv("PATH", f"{fake.folder / 'bin'}:{os.environ['PATH']}")
    yield fake
    for pid in fake.running():
        os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def thread_clusters(monkeypatch):
    """Let `sweep` start clusters whose workers are threads, and return those that it started."""
    import dask_hpc

    started = []
    real = dask_hpc.get_cluster

    def get_cluster():
        started.append(real(n_workers=1, processes=False, dashboard_address=None))
        return started[-1]

    monkeypatch.setattr("dask_hpc._sweep.clients._get_cluster.get_cluster", get_cluster)
    return started


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins of sbatch, squeue and scancel, first on PATH; no job outlives the test."""
    with _fake("slurm", tmp_path, monkeypatch) as fake:
        yield fake


# Of a local cluster: Bokeh takes two seconds to import.
NO_DASHBOARD = {"dashboard_address": ":0", "scheduler_kwargs": {"dashboard": False}}
SETTINGS = {
    "cores": 2,
    "processes": 2,
    "memory": "1 GiB",
    "interface": "lo",
    "log-directory": "logs",
    "scheduler-options": {"dashboard_address": ":0"},
}
OWN_SETTINGS = {
    "slurm": {"account": "lab", "queue": "short", "walltime": "00:10:00"},
    "pbs": {"account": "lab", "queue": "short", "walltime": "00:10:00"},
    "sge": {
        "project": "lab",
        "queue": "short",
        "walltime": "00:10:00",
        "resource-spec": "h_vmem=512M",
        "job-extra-directives": ["-pe smp 2"],
    },
    "oar": {
        "project": "lab",
        "queue": "short",
        "walltime": "00:10:00",
        "memory-per-core-property-name": "memcore",
    },
    "lsf": {"project": "lab", "queue": "short", "walltime": "00:10"},
    "htcondor": {"disk": "1 GiB", "job-extra-directives": {"+Group": '"lab"'}},
}


@contextlib.contextmanager
def _settings_of(name, tmp_path, monkeypatch):
    # Its defaults first, the lab's over them.
    from dask_hpc._compat import jobqueue_import  # noqa: F401
    from dask_hpc.batch import watcher

    monkeypatch.chdir(tmp_path)
    # A test waits for what the poller sees; how rarely a site is asked is in test_watcher.py.
    monkeypatch.setattr(watcher, "POLL_S", watcher.FIRST_POLL_S)
    monkeypatch.setattr(watcher, "ACCOUNTING_PAUSE_S", 1.0)
    values = {**SETTINGS, **OWN_SETTINGS[name]}
    settings = {f"jobqueue.{name}.{key}": value for key, value in values.items()}
    with dask.config.set({"dask-hpc.batch-system": name, **settings}):
        yield


@pytest.fixture
def lab(slurm, monkeypatch, tmp_path):
    """Put a lab's configuration in force: jobs of 2 cores in 2 processes, all in the YAML file."""
    with _settings_of("slurm", tmp_path, monkeypatch):
        yield slurm


@pytest.fixture
def cluster(lab):
    """Yield a bare SLURMCluster(): everything comes from the configuration."""
    import dask_hpc

    with dask_hpc.SLURMCluster() as cluster:
        yield cluster


@pytest.fixture
def held(lab, cluster):
    """Two jobs of the test's `cluster` that wait in the queue: enough where no worker is needed."""
    lab.hold()
    cluster.scale(jobs=2)
    until(lambda: sorted(cluster.job_ids) == ["100", "101"])
    cluster._control.tracker.any_worker_came = True  # as if others had come before
    return cluster


@pytest.fixture(params=FAKE_COMMANDS)
def site(request, monkeypatch, tmp_path):
    """As `lab`, for each batch system in turn; `site.batch` is its description."""
    from dask_hpc import batch

    name = request.param
    with _fake(name, tmp_path, monkeypatch) as fake:
        fake.batch = batch.get(name)
        with _settings_of(name, tmp_path, monkeypatch):
            yield fake
