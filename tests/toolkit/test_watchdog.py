"""What becomes of jobs when Python ends without cancelling them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import pytest
import yaml

import dask_hpc
from dask_hpc import batch
from dask_hpc.watchdog import client, registry
from dask_hpc.watchdog import process as watchdog_process

from . import conftest


def until(condition, seconds=60):
    conftest.until(condition, seconds)


class Site:
    """A cancel command that writes down how it is called, and the watchdog's way to it."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        self.says("")
        self.about = {
            "cancel": [str(folder / "cancel"), "--extra"],
            "over": ["already over"],
            "pattern": r"job (?P<job_id>\d+)",
            "registry": str(folder / "state" / "one.json"),
            "entry": {"host": "login1", "pid": 1, "started": 0.0, "batch": "slurm"},
            "pauses": [0.05] * 40,
        }

    def says(self, text):
        """From now on it fails with these words; it works if there are none."""
        lines = f"echo '{text}' >&2; exit 1" if text else ""
        path = self.folder / "cancel"
        draft = path.with_suffix(".new")
        draft.write_text(f'#!/bin/sh\necho "$@" >> {self.log}\n{lines}\n')
        draft.chmod(0o755)
        draft.replace(path)

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def entry(self):
        return Path(self.about["registry"])

    def ended(self, pid):
        """Check that the watchdog `pid` is gone, and so is what it kept."""
        until(lambda: not Path(f"/proc/{pid}").exists())
        assert not self.entry.exists()
        assert not list(self.folder.glob("tmp/*"))


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(client.tempfile, "tempdir", str(tmp_path / "tmp"))
    return Site(tmp_path)


PARENT = """
import asyncio, json, os, signal, sys, tempfile, time
from dask_hpc.watchdog import client
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests were started by nohup
about, tempfile.tempdir = json.loads(sys.argv[1]), sys.argv[2]
async def main():
    cluster = client.WatchdogClient(lambda: about, lambda text: print(text, flush=True))
    for job in ("7", "8", "9"):
        with cluster.record_submission():
            cluster.set_job_state(job, False)
    cluster.set_job_state("8", True)
    print(cluster._process.pid, flush=True)
    {then}
asyncio.run(main())
"""


@contextlib.contextmanager
def parent(site, then="time.sleep(600)"):
    """Yield a process with a cluster of jobs 7 and 9, and its watchdog's process id."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT.format(then=then),
            json.dumps(site.about),
            str(site.folder / "tmp"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", batch.BATCH_SYSTEMS)
def test_every_cancel_command_ends_with_the_jobs(name):
    command = batch.get(name).cancel_command
    if name != "none":
        assert command(["1", "2"]) == [*command([]), "1", "2"]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, marks=pytest.mark.full),
    ],
)
def test_all_jobs_that_are_not_over_are_cancelled_with_one_call(site, number):
    with parent(site) as (process, pid):
        until(site.entry.exists)
        process.send_signal(number)
        process.wait()
        site.ended(pid)
    assert site.calls() == ["--extra 7 9"]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, marks=pytest.mark.full),
    ],
)
def test_a_signal_to_all_of_a_session_finds_the_watchdog_at_work(site, number):
    with parent(site) as (process, pid):
        until(site.entry.exists)
        assert os.getsid(pid) == pid  # nor does the end of the terminal's session find it
        os.kill(pid, number)
        assert not site.calls()
        process.kill()
        process.wait()
        site.ended(pid)
    assert site.calls() == ["--extra 7 9"]


def test_a_fork_that_lives_on_does_not_hold_it_up(site):
    then = "pid = os.fork(); pid or time.sleep(600); print(pid, flush=True); time.sleep(600)"
    with parent(site, then) as (process, pid):
        fork = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            site.ended(pid)
            assert Path(f"/proc/{fork}").exists()
        finally:
            os.kill(fork, signal.SIGKILL)
    assert site.calls() == ["--extra 7 9"]


def test_it_tries_again_until_the_batch_system_answers(site):
    site.says("no controller")
    with parent(site) as (process, pid):
        process.kill()
        until(lambda: len(site.calls()) >= 3)
        site.says("")
        site.ended(pid)
    assert set(site.calls()) == {"--extra 7 9"}


def test_jobs_that_are_over_are_no_reason_to_try_again(site):
    site.says("7: already over")
    with parent(site) as (process, pid):
        process.kill()
        site.ended(pid)
    assert site.calls() == ["--extra 7 9"]


def test_jobs_that_can_not_be_cancelled_stay_known_as_left(site):
    site.about["pauses"] = [0.01]
    site.says("no controller")
    with parent(site) as (process, pid):
        until(site.entry.exists)
        process.kill()
        until(lambda: not Path(f"/proc/{pid}").exists())
    assert json.loads(site.entry.read_text())["jobs"] == ["7", "9"]


def test_a_command_that_takes_one_job_is_called_for_each(site):
    site.about["one_by_one"] = True
    with parent(site) as (process, pid):
        process.kill()
        site.ended(pid)
    assert site.calls() == ["--extra 7", "--extra 9"]


def test_it_cancels_in_the_environment_that_it_is_given(site):
    site.about["environment"] = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    (site.folder / "cancel").write_text(
        f'#!/bin/sh\nenv > {site.folder}/env\necho "$@" >> {site.log}\n'
    )
    with parent(site) as (process, pid):
        process.kill()
        site.ended(pid)
    assert site.calls() == ["--extra 7 9"]
    found = (site.folder / "env").read_text()
    assert "LC_ALL=C\n" in found
    assert "HOME=" not in found


def test_a_job_whose_id_nobody_has_read_is_cancelled_too(site):
    then = (
        "import contextlib; stack = contextlib.ExitStack();"
        "print(stack.enter_context(cluster.record_submission()).name, flush=True); time.sleep(600)"
    )
    with parent(site, then) as (process, pid):
        answer = Path(process.stdout.readline().strip())
        process.kill()
        process.wait()
        time.sleep(0.3)
        assert not site.calls()  # it waits a moment, so that one call does for all
        answer.write_text("Welcome!\nSubmitted batch job 11\n")
        site.ended(pid)
    assert site.calls() == ["--extra 7 9 11"]


def test_a_submission_that_takes_long_holds_up_no_other_job(site, monkeypatch):
    monkeypatch.setattr(watchdog_process, "SUBMIT_GRACE_S", 0.1)
    monkeypatch.setattr(watchdog_process, "SUBMIT_TIMEOUT_S", 0.5)
    child = watchdog_process.Watchdog(os.getpid(), site.about)
    child.handle_message("+ 7")
    child.handle_message(f"? {site.folder / 'never'}")
    child.cancel_remaining()
    assert site.calls() == ["--extra 7"]
    assert not child.jobs


def test_the_last_that_is_written_is_what_is_left(site):
    site.about |= {"one_by_one": True, "pauses": []}
    (site.folder / "cancel").write_text(
        f'#!/bin/sh\necho "$@" >> {site.log}\ntest "$2" != 9 || exit 1\n'
    )
    child = watchdog_process.Watchdog(os.getpid(), site.about)
    for job in "789":
        child.handle_message(f"+ {job}")
    child.cancel_remaining()
    child.stopping = True
    child.update_registry()  # returns by itself
    assert json.loads(site.entry.read_text())["jobs"] == ["9"]
    assert site.calls() == ["--extra 7", "--extra 8", "--extra 9"]


def test_after_a_clean_close_nothing_is_left(site):
    async def life():
        cluster = client.WatchdogClient(lambda: site.about, pytest.fail)
        with cluster.record_submission() as answer:
            answer.write(b"job 7")
            cluster.set_job_state("7", False)
        until(site.entry.exists)
        pid = cluster._process.pid
        cluster.set_job_state("7", True)
        await cluster.close()
        return pid

    site.ended(asyncio.run(life()))
    assert not site.calls()


def test_closing_clears_up_after_a_watchdog_that_was_killed(site):
    async def life():
        cluster = client.WatchdogClient(lambda: site.about, pytest.fail)
        with cluster.record_submission():
            cluster.set_job_state("7", False)
        until(site.entry.exists)
        cluster._process.kill()
        cluster._process.wait()
        cluster.set_job_state("7", True)
        await cluster.close()
        return cluster._process.pid

    site.ended(asyncio.run(life()))


def test_a_watchdog_that_was_killed_is_started_again_with_all_jobs(site):
    async def life():
        cluster = client.WatchdogClient(lambda: site.about, pytest.fail)
        for job in ("7", "8"):
            with cluster.record_submission():
                cluster.set_job_state(job, False)
        first = cluster._process
        first.kill()
        first.wait()
        cluster.set_job_state("8", True)
        cluster.set_job_state("9", False)
        cluster.check()
        second = cluster._process.pid
        until(site.entry.exists)
        # As if Python had ended.
        cluster._socket.close()
        site.ended(second) if cluster._process.wait() == 0 else pytest.fail("it failed")

    asyncio.run(life())
    assert site.calls() == ["--extra 7 9"]


def test_one_that_is_killed_again_and_again_is_given_up_and_that_is_said_once(site):
    said = []

    async def life():
        cluster = client.WatchdogClient(lambda: site.about, said.append)
        for job in "1234567":
            with cluster.record_submission():
                cluster.set_job_state(job, False)
            if cluster._process:
                cluster._process.kill()
                cluster._process.wait()
            cluster.check()
        await cluster.close()

    asyncio.run(life())
    assert len(said) == 1
    assert "it ended 3 times" in said[0]
    assert not site.entry.exists()  # the cluster lives: it must not look left


def test_where_it_can_not_be_started_the_cluster_works_and_it_is_said_once(
    lab, monkeypatch, caplog
):
    monkeypatch.setattr(client.sys, "executable", "/nowhere/python")
    lab.hold()
    with dask_hpc.SLURMCluster(python="python3") as cluster:
        cluster.scale(jobs=2)
        until(lambda: len(cluster.job_ids) == 2)
    [line] = [r.getMessage() for r in caplog.records if "watchdog" in r.getMessage()]
    assert "/nowhere/python" in line
    assert len(lab.calls("scancel")) == 1


def test_a_home_that_can_not_be_written_is_said_once_and_jobs_are_cancelled_all_the_same(site):
    (site.folder / "state").write_text("no folder")
    with parent(site, "time.sleep(0.5); cluster.check(); time.sleep(600)") as (process, pid):
        line = process.stdout.readline()
        process.kill()
        until(lambda: not Path(f"/proc/{pid}").exists())
    assert line.startswith("`dask hpc jobs` cannot show this cluster: ")
    assert "state" in line
    assert site.calls() == ["--extra 7 9"]


PROGRAM = """
import os, sys, time, dask_hpc
cluster = dask_hpc.SLURMCluster()
cluster.scale(jobs=2)
while len(cluster.job_ids) < 2: time.sleep(0.02)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param("os._exit(5)", 5, marks=pytest.mark.full),
        ("os.kill(os.getpid(), 9)", -9),
        pytest.param("os.kill(os.getpid(), 15)", -15, marks=pytest.mark.full),
        pytest.param("sys.exit(3)", 3, marks=pytest.mark.full),
        pytest.param("1 / 0", 1, marks=pytest.mark.full),
    ],
)
def test_however_a_script_ends_no_job_is_left(lab, tmp_path, monkeypatch, end, code):
    lab.hold()
    (tmp_path / "config").mkdir()
    settings = {"jobqueue": {"slurm": dask.config.get("jobqueue.slurm")}}
    (tmp_path / "config" / "lab.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)],
        env=os.environ | {"DASK_CONFIG": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    until(lambda: lab.calls("scancel"))
    [call] = lab.calls("scancel")
    assert sorted(call) == ["--quiet", "100", "101"]
    until(lambda: not registry.entries())


def test_the_registry_is_private_whatever_the_umask(site):
    before = os.umask(0)
    try:
        with parent(site):
            until(site.entry.exists)
    finally:
        os.umask(before)
    assert site.entry.parent.stat().st_mode & 0o077 == 0
    assert site.entry.stat().st_mode & 0o077 == 0
