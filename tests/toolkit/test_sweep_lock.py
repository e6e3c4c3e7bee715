"""One process at a time saves results in a folder."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from dask_hpc import SweepInUseError
from dask_hpc._sweep import lock
from dask_hpc._sweep.lock import NAME, FolderLock, owner_of


@pytest.fixture
def other(tmp_path):
    """Return a function that writes another process's lock, with some changes."""

    def write(**changes):
        first = FolderLock(tmp_path)
        first.acquire()
        text = json.dumps({**json.loads((tmp_path / NAME).read_text()), **changes})
        (tmp_path / NAME).write_text(text)
        return text

    return write


@pytest.fixture
def dead_pid():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_second_sweep_is_refused_by_name(tmp_path):
    first = FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(SweepInUseError) as caught:
        FolderLock(tmp_path).acquire()
    line = str(caught.value)
    for part in (str(tmp_path), socket.gethostname(), f"process {os.getpid()}", "since "):
        assert part in line
    assert line.endswith("Wait until it ends, or choose another folder with out=.")
    assert owner_of(tmp_path) in line
    first.release()
    FolderLock(tmp_path).acquire()


def test_nothing_is_left_after_release(tmp_path):
    first = FolderLock(tmp_path)
    first.acquire()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    first.release()
    assert list(tmp_path.iterdir()) == []
    assert owner_of(tmp_path) is None


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, other, dead_pid):
    other(pid=dead_pid)
    assert owner_of(tmp_path) is None
    FolderLock(tmp_path).acquire()
    assert f"process {os.getpid()}" in owner_of(tmp_path)


def test_another_process_with_the_same_number_does_not_keep_the_lock(tmp_path, other):
    other(created=time.time() - 10_000)
    FolderLock(tmp_path).acquire()


def test_another_computer_cannot_be_asked(tmp_path, other, dead_pid):
    other(pid=dead_pid, host="node7", user="bob")
    os.utime(tmp_path / NAME, (time.time() - 7300,) * 2)
    with pytest.raises(SweepInUseError) as caught:
        FolderLock(tmp_path).acquire()
    line = str(caught.value)
    assert "a sweep of bob on node7" in line
    assert "silent for 2 h" in line
    assert line.endswith(f"If it does not, remove {tmp_path / NAME}.")


def test_a_damaged_lock_is_refused(tmp_path):
    (tmp_path / NAME).write_text("{")
    with pytest.raises(SweepInUseError, match="remove "):
        FolderLock(tmp_path).acquire()


def test_only_one_of_many_takes_over(tmp_path, other, dead_pid):
    other(pid=dead_pid)
    taken, refused = [], []
    start = threading.Barrier(8)

    def take():
        mine = FolderLock(tmp_path)
        start.wait()
        try:
            mine.acquire()
            taken.append(mine)
        except SweepInUseError:
            refused.append(mine)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_process_that_was_killed_while_it_took_over(tmp_path, other, dead_pid, monkeypatch):
    monkeypatch.setattr(lock, "TAKE_OVER_S", 0.1)
    other(pid=dead_pid)
    mark = tmp_path / ".sweep.lock-taking-over"
    mark.touch()
    with pytest.raises(SweepInUseError, match=f"removed {mark}"):
        FolderLock(tmp_path).acquire()
    mark.unlink()
    FolderLock(tmp_path).acquire()


def test_without_links_a_file_is_created(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    FolderLock(tmp_path).acquire()
    with pytest.raises(SweepInUseError):
        FolderLock(tmp_path).acquire()


def test_a_heartbeat_is_shown_and_a_lost_lock_ends_the_sweep(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(lock.time, "monotonic", lambda: clock[0])
    first = FolderLock(tmp_path)
    first.acquire()
    os.utime(tmp_path / NAME, (1, 1))
    first.beat()
    assert (tmp_path / NAME).stat().st_mtime > 1000
    os.utime(tmp_path / NAME, (1, 1))
    clock[0] += 9
    first.beat()
    assert (tmp_path / NAME).stat().st_mtime == 1  # not yet again
    clock[0] += 2
    (tmp_path / NAME).unlink()  # by hand, and somebody else comes
    FolderLock(tmp_path).acquire()
    with pytest.raises(SweepInUseError, match="another process has taken this folder"):
        first.beat()
    first.release()
    assert (tmp_path / NAME).exists()  # it is the other's
