"""What is left on real Slurm when Python ends, and the commands that show and cancel it."""

import re
import shlex
import textwrap
import time

import pytest

from hpc_testbed import TestbedError

# 4 jobs of 32 cores fill the testbed's 4 nodes; the others wait.
PROGRAM = """
import os, sys, time
from dask_hpc import SLURMCluster
cluster = SLURMCluster(cores=32, processes=1, memory="4 GiB", {arguments})
cluster.scale(jobs={jobs})
cluster.wait_for_workers({workers}, timeout=120)
while len(cluster.job_ids) < {jobs}:
    time.sleep(0.1)
print(os.getpid(), *cluster.job_ids, flush=True)
time.sleep(600)
"""


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.2)
    return value


@pytest.fixture
def member(lab):
    """Yield a member who works in a terminal of a login node."""
    member = Member(lab)
    yield member
    for pid, service in member.started:
        lab.testbed.run(f"kill -9 {pid}", service=service, check=False)


class Member:
    def __init__(self, lab):
        self.lab = lab
        self.started = []

    def shell(self, command, **options):
        return self.lab.shell(command, **options)

    def start(self, name, jobs=6, workers=4, arguments="", service="login1"):
        """Start a script and return its process id once its workers are there, and its jobs."""
        code = PROGRAM.format(jobs=jobs, workers=workers, arguments=arguments)
        out = f"{self.lab.home}/{name}.out"
        self.shell(
            f"rm -f {out}; setsid python -c {shlex.quote(code)} > {out} 2>&1 < /dev/null &",
            service=service,
        )

        def answer():
            text = self.lab.testbed.run(f"cat {out}", check=False).stdout
            assert "Traceback" not in text, text
            return re.search(r"(?m)^(\d+) ([\d ]+)$", text)

        pid, ids = until(answer, 180).groups()
        self.started.append((pid, service))
        return pid, sorted(ids.split())

    def watchdog(self, pid, service="login1"):
        return self.lab.testbed.run(
            f"pgrep -P {pid} -f [w]atchdog/process.py", service=service, check=False
        ).stdout.strip()

    def kill(self, *pids, number=9, service="login1"):
        self.lab.testbed.run(f"kill -{number} {' '.join(pids)}", service=service)

    def jobs(self):
        return sorted(self.lab.testbed.jobs())

    def files(self):
        state = "~/.local/state/dask-hpc"
        return self.lab.testbed.run(f"ls {state} | grep json", check=False).stdout.split()


@pytest.mark.parametrize(
    "number",
    [9, *(pytest.param(number, marks=pytest.mark.full) for number in (15, 1))],
    ids=["kill -9", "SIGTERM", "SIGHUP"],
)
def test_no_job_pending_or_running_is_left_when_a_script_is_killed(member, number):
    pid, jobs = member.start("killed")
    assert member.jobs() == jobs
    member.kill(pid, number=number)
    until(lambda: not member.jobs(), 20)
    until(lambda: not member.files())


def test_no_job_is_left_when_python_is_killed_while_it_submits(member):
    code = """
        import os, threading, time
        from dask_hpc import SLURMCluster
        from dask_hpc.watchdog.client import WatchdogClient
        # Killed when sbatch has just been started: nobody reads its answer.
        told = WatchdogClient._write
        def tell(self, text):
            told(self, text)
            if "? " in text and len(self._answers) == 3:
                threading.Timer(0.02, os.kill, (os.getpid(), 9)).start()
        WatchdogClient._write = tell
        cluster = SLURMCluster(cores=1, processes=1)
        cluster.scale(jobs=6)
        time.sleep(60)
    """
    with pytest.raises(TestbedError, match="failed with exit code 137"):
        member.lab.python(textwrap.dedent(code))
    # A submission under way goes on: only when the last sbatch has ended do no more jobs come.
    until(lambda: not member.lab.testbed.run("pgrep -x sbatch", check=False).stdout)
    until(lambda: not member.jobs(), 20)


@pytest.mark.full
def test_no_job_is_left_when_a_notebooks_kernel_is_killed(member, lab):
    code = """
        import jupyter_client, os, signal, sys, time
        manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
        client.execute_interactive(
            "from dask_hpc import SLURMCluster; cluster = SLURMCluster(cores=32, processes=1);"
            "cluster.scale(jobs=6); cluster.wait_for_workers(4, timeout=120)",
            timeout=120,
            output_hook=lambda message: None,  # how the wait goes on
        )
        print(os.popen("squeue --me -h | wc -l").read().strip(), flush=True)
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while os.popen("squeue --me -h").read() and time.monotonic() < end:
            time.sleep(0.2)
        print(os.popen("squeue --me -h | wc -l").read().strip())
    """
    assert lab.python(textwrap.dedent(code)).split() == ["6", "0"]


@pytest.mark.full
def test_killed_with_its_watchdog_it_leaves_what_dask_hpc_jobs_cancels(member):
    """Two clusters on two login nodes; the one on login1 and its watchdog are killed."""
    alive, kept = member.start("alive", jobs=1, workers=1, service="login2")
    dead, left = member.start("dead", jobs=5, workers=3, arguments="death_timeout=10")
    waiting = member.shell("squeue --me -h -t PENDING -o %i").stdout.split()
    assert len(waiting) == 2
    member.shell(f"scontrol hold {' '.join(waiting)}")
    member.kill(member.watchdog(dead), dead)

    # Too early: it may be a login node that is slow.
    assert "Nothing to cancel" in member.shell("dask hpc cancel --orphaned --yes").stdout
    assert member.jobs() == sorted(left + kept)
    # Its running jobs end by death-timeout.
    until(lambda: member.jobs() == sorted(waiting + kept), 90)
    until(lambda: ": orphaned" in member.shell("dask hpc jobs", service="login2").stdout, 90)

    shown = member.shell("dask hpc jobs", service="login2").stdout
    assert re.search(rf"on \S+, process {alive}, started .*: alive\n", shown)
    assert re.search(rf"(?m)^  {kept[0]} +running +node\d +\S+ of 0:30:00$", shown)
    assert re.search(rf", process {dead}, started .*: orphaned \(no heartbeat for .*\)\n", shown)
    for job in waiting:
        assert re.search(
            rf"(?m)^  {job} +pending +- +-\n    held by you: .*\(JobHeldUser\)$", shown
        )
    with pytest.raises(TestbedError, match="failed with exit code 1"):
        member.shell("dask hpc cancel --orphaned < /dev/null")
    assert member.jobs() == sorted(waiting + kept)
    # It may be any login node.
    said = member.shell("dask hpc cancel --orphaned --yes", service="login2").stdout
    assert said.endswith("Cancelled 2 jobs.\n")
    until(lambda: member.jobs() == kept, 20)

    [ended] = {*left} - {*waiting, *sorted({*left} - {*waiting})[1:]}
    log = member.shell(f"cd / && dask hpc logs -n 500 {ended}").stdout
    assert f"{ended}.err <==" in log
    assert "distributed" in log
    member.kill(alive, service="login2")
    until(lambda: not member.jobs(), 20)
    assert member.shell("dask hpc jobs").stdout == "You have no clusters with jobs.\n"
