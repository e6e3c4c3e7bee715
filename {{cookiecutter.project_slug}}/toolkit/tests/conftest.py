"""A stand-in for Slurm's commands, for what happens around them; no results are measured with it.

It runs job scripts as processes of this machine. Tests of real Slurm are elsewhere, on a testbed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

# Before Dask is imported: how the tests end is not for the settings of whoever runs them to decide,
# and dask-jobqueue writes a file into the home.
HOME = tempfile.mkdtemp(prefix="dask-hpc-tests-")
os.environ.update(HOME=HOME, DASK_CONFIG=f"{HOME}/dask", DASK_ROOT_CONFIG=f"{HOME}/none")
for variable in [name for name in os.environ if name.startswith("SLURM_")]:
    del os.environ[variable]

import dask  # noqa: E402

dask.config.paths[:] = [f"{HOME}/dask"]  # not what is linked into this environment
dask.config.PATH = f"{HOME}/dask"
dask.config.refresh()


def pytest_unconfigure():
    shutil.rmtree(HOME, ignore_errors=True)


# Python's path may hold a space, which a #! line can't: for the shell the second line starts
# Python, for Python it is a text.
COMMAND = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@" #'''
import json, os, pathlib, signal, subprocess, sys

here = pathlib.Path({folder!r})
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(json.dumps([name, *arguments]) + "\\n")
trouble = here / f"{{name}}.says"
if trouble.exists():
    sys.exit(trouble.read_text())  # to stderr, exit code 1

if name == "sbatch":
    with open(here / "lock", "w") as lock:
        import fcntl
        fcntl.flock(lock, fcntl.LOCK_EX)
        job = 100 + len(list(here.glob("*.script")))
        script = here / f"{{job}}.script"
        script.write_text(pathlib.Path(arguments[0]).read_text())
    if not (here / "hold").exists():
        with open(here / f"{{job}}.log", "w") as log:
            process = subprocess.Popen(
                ["bash", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        (here / f"{{job}}.pid").write_text(str(process.pid))
    print(f"Submitted batch job {{job}}")
elif name == "squeue":
    [ids] = [a.split("=")[1].split(",") for a in arguments if a.startswith("--jobs=")]
    for job in ids:
        state = here / f"{{job}}.state"
        pid = here / f"{{job}}.pid"
        if state.exists():
            print(f"{{job}}|{{state.read_text()}}")
        elif pid.exists() and pathlib.Path(f"/proc/{{pid.read_text()}}").exists():
            print(f"{{job}}|RUNNING|None|node1")
        elif pid.exists():
            print(f"{{job}}|COMPLETED|None|node1")
        else:
            print(f"{{job}}|PENDING|Priority|")
elif name == "scancel":
    for job in [a for a in arguments if not a.startswith("-")]:
        (here / f"{{job}}.state").write_text("CANCELLED|None|node1")
        pid = here / f"{{job}}.pid"
        if pid.exists():
            try:
                os.killpg(int(pid.read_text()), signal.SIGTERM)
            except ProcessLookupError:
                pass
"""


class Slurm:
    """The stand-in's folder: what was called, and what it is to answer."""

    def __init__(self, folder: Path):
        self.folder = folder

    def calls(self, command: str) -> list[list[str]]:
        """Arguments of every call of `command`, oldest first."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call[1:] for call in map(json.loads, lines) if call[0] == command]

    def says(self, command: str, text: str | None) -> None:
        """From now on `command` fails with these words; None: it works again."""
        path = self.folder / f"{command}.says"
        path.write_text(text) if text is not None else path.unlink()

    def hold(self) -> None:
        """From now on jobs stay pending."""
        (self.folder / "hold").touch()

    def state(self, job: str, state: str, reason: str = "None", node: str = "") -> None:
        """squeue says this of `job` from now on."""
        (self.folder / f"{job}.state").write_text(f"{state}|{reason}|{node}")

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


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins of sbatch, squeue and scancel, first on PATH; no job outlives the test."""
    folder = tmp_path / "slurm"
    (folder / "bin").mkdir(parents=True)
    for name in ("sbatch", "squeue", "scancel"):
        command = folder / "bin" / name
        command.write_text(COMMAND.format(python=sys.executable, folder=str(folder)))
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    stand_in = Slurm(folder)
    yield stand_in
    for pid in stand_in.running():
        os.killpg(pid, signal.SIGKILL)


SETTINGS = {
    "account": "lab",
    "queue": "short",
    "cores": 2,
    "processes": 2,
    "memory": "1 GiB",
    "walltime": "00:10:00",
    "interface": "lo",
    "log-directory": "logs",
    "scheduler-options": {"dashboard_address": ":0"},
}


@pytest.fixture
def lab(slurm, monkeypatch, tmp_path):
    """A lab's configuration in force: jobs of 2 cores in 2 processes, all of it in the yaml."""
    from dask_hpc import _jobqueue  # noqa: F401 - its defaults first, the lab's over them

    monkeypatch.chdir(tmp_path)
    settings = {f"jobqueue.slurm.{key}": value for key, value in SETTINGS.items()}
    with dask.config.set({"dask-hpc.scheduler": "slurm", **settings}):
        yield slurm
