"""Sweeps in processes of their own, which are killed, interrupted, or large."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dask_hpc import SweepError, sweep

from .conftest import until

# Each call is noted in a file, so that the test sees what was computed, and how often.
PROGRAM = """
import logging, os, sys, time
import distributed
import dask_hpc


def work(x):
    with open(f"calls-{os.getpid()}", "a") as file:
        file.write(f"{x}\\n")
    time.sleep(0.002)
    if x % 50 == 7:
        raise ValueError(x)
    return x * x


def numbers(n):
    for number in range(n):
        yield number


if __name__ == "__main__":
    # A worker's log may have a heartbeat that the end of the cluster has interrupted.
    options = {"n_workers": 1, "threads_per_worker": 4, "silence_logs": logging.CRITICAL}
    with dask_hpc.LocalCluster(**options, processes=False, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            results = dask_hpc.sweep(work, range(int(sys.argv[1])))
            print(hash(tuple(map(str, results))))
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the program; nothing of it is left after the test."""
    (tmp_path / "program.py").write_text(PROGRAM)
    started = []

    def start(number, **options):
        command = [sys.executable, "program.py", str(number)]
        env = {**os.environ, "PYTHONHASHSEED": "0"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=env, **pipes, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def calls(folder, process):
    """Return every input that a process has computed, as often as it has."""
    return [int(x) for x in (folder / f"calls-{process.pid}").read_text().split()]


def saved(folder):
    """Return the inputs that have a record, whole, in the folder now."""
    try:
        results = sweep.results(folder / "results")
    except SweepError:
        return set()  # nothing yet
    return {n for n, _ in results.items()} | {failure.input for failure in results.failed}


def kill_and_resume(folder, start, number, moments):
    """Kill runs after so many seconds of computing; return what the last run printed."""
    for seconds in moments:
        known = saved(folder)
        process = start(number)
        until(lambda process=process: list(folder.glob(f"calls-{process.pid}")))
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not known & set(calls(folder, process))
        assert known <= saved(folder)
    known = saved(folder)
    output, errors = (process := start(number)).communicate()
    assert process.returncode == 0, errors
    new = calls(folder, process)
    assert len(new) == len(set(new)) == number - len(known)
    assert set(new) | known == set(range(number))
    return output


def test_a_killed_sweep_goes_on_where_it_was(tmp_path, start):
    """Nothing that was saved is computed again, and the results are the right ones."""
    kill_and_resume(tmp_path, start, 300, [random.uniform(0.05, 0.2)])
    found = list(sweep.results(tmp_path / "results"))
    assert len(found) == 300
    assert all(found[n] == n * n for n in range(300) if n % 50 != 7)


@pytest.mark.full
def test_ten_kills(tmp_path, start):
    moments = [random.uniform(0, 2) for _ in range(10)]
    killed = kill_and_resume(tmp_path, start, 30_000, moments)
    for path in tmp_path.glob("results/*"):
        path.unlink()
    assert start(30_000).communicate()[0] == killed


def test_ctrl_c_ends_in_one_line(tmp_path, start):
    process = start(100_000)
    until(lambda: saved(tmp_path))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    last = errors.strip().splitlines()[-1]
    assert re.fullmatch(
        r"KeyboardInterrupt: Sweep interrupted\. \d+ of 100000 inputs are saved in results\. "
        r"Run the same line again to go on\.",
        last,
    )
    assert errors.count("Traceback") == 1
    assert not (tmp_path / "results/sweep.lock").exists()


MILLION = """
import distributed, os, psutil, sys, threading, time
import dask_hpc

def same(x):
    return x

if __name__ == "__main__":
    # The scheduler has a process of its own, so that its memory can be told.
    from distributed.scheduler import Scheduler
    import subprocess
    code = ("import asyncio; from distributed import Scheduler\\n"
            "async def main():\\n"
            "    async with Scheduler(port=0, dashboard=False, host='127.0.0.1',"
            " scheduler_file='scheduler.json') as s:\\n"
            "        await s.finished()\\n"
            "asyncio.run(main())")
    scheduler = subprocess.Popen([sys.executable, "-c", code])
    workers = []
    try:
        while not os.path.exists("scheduler.json"):
            time.sleep(0.1)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file"]
        command += ["scheduler.json", "--nthreads", "4", "--no-nanny", "--no-dashboard"]
        workers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        most = {"client": 0, "scheduler": 0}
        def watch():
            while True:
                for name, pid in {"client": os.getpid(), "scheduler": scheduler.pid}.items():
                    most[name] = max(most[name], psutil.Process(pid).memory_info().rss)
                time.sleep(0.2)
        with distributed.Client(scheduler_file="scheduler.json") as client:
            client.wait_for_workers(1)
            threading.Thread(target=watch, daemon=True).start()
            begin = time.time()
            results = dask_hpc.sweep(same, (n for n in range(1_000_000)))
            seconds = time.time() - begin
            assert len(results) == 1_000_000
            assert results[-1] == 999_999
            print(seconds, *most.values())
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
"""


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_million_inputs_pass_in_bounded_memory(tmp_path):
    (tmp_path / "program.py").write_text(MILLION)
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, client, scheduler = map(float, done.stdout.split())
    print(
        f"{seconds:.0f} s, client {client / 2**20:.0f} MiB, scheduler {scheduler / 2**20:.0f} MiB"
    )
    assert client < 2**30
    assert scheduler < 2**30


DEADLY = """
import os
import distributed
import dask_hpc

def work(x):
    if x == 42:
        os._exit(1)
    return x

if __name__ == "__main__":
    options = {"n_workers": 2, "threads_per_worker": 1}
    with dask_hpc.LocalCluster(**options, dashboard_address=None) as cluster:
        with distributed.Client(cluster):
            (failure,) = dask_hpc.sweep(work, range(200), progress=False).failed
            print(failure)
"""


@pytest.mark.full
def test_an_input_that_kills_its_worker_is_found_and_named(tmp_path):
    (tmp_path / "program.py").write_text(DEADLY)
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("42: distributed.scheduler.KilledWorker: "), done.stderr
    assert psutil.pid_exists(os.getpid())
    assert len(sweep.results(Path(tmp_path, "results"))) == 200
