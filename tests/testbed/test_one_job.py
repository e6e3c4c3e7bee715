"""`dask hpc run` on real Slurm: a program, Dask's scheduler and its workers in one job."""

import re
import shlex
import subprocess
import textwrap
import time
import urllib.request
from dataclasses import dataclass

import pytest

from hpc_testbed import ssh_config

# Small workers, which start soon: two on each node.
SMALL = (
    "export DASK_JOBQUEUE__SLURM__CORES=2 DASK_JOBQUEUE__SLURM__PROCESSES=2 "
    "DASK_JOBQUEUE__SLURM__MEMORY='1 GiB'"
)
HEAD = """\
import os, signal, subprocess, sys, time
import psutil
from dask.distributed import Client
from dask_hpc import get_cluster

def node(i, seconds=0.2):
    time.sleep(seconds)
    return os.environ["SLURMD_NODENAME"], i

def listening(*processes):
    found = {c.laddr.ip for p in processes for c in p.net_connections() if c.status == "LISTEN"}
    return sorted(found)
"""


@dataclass
class Job:
    """A submitted program."""

    lab: object
    id: str
    folder: str

    @property
    def state(self):
        """Slurm's word, and the exit code as sacct has it."""
        end = time.monotonic() + 60
        while True:
            # A job that has lost a node has a line for each of its sizes, the last one last.
            lines = self.lab.shell(f"sacct -nPX -j {self.id} -o state,exitcode").stdout.splitlines()
            state, code = lines[-1].split("|") if lines else ("", "")
            # slurmdbd hears of a job's end later than squeue.
            if state not in ("", "PENDING", "RUNNING", "RESIZING") or time.monotonic() > end:
                return state.partition(" ")[0], code  # "CANCELLED by 2001"
            time.sleep(0.3)

    @property
    def printed(self):
        return self._read("out")

    @property
    def said(self):
        return self._read("err")

    def _read(self, kind):
        path = f"{self.folder}/dask-logs/demo-lab-{self.id}.{kind}"
        return self.lab.shell(f"cat {path} 2> /dev/null || true").stdout

    def until(self, text, seconds=90):
        """Wait until the program has printed that."""
        end = time.monotonic() + seconds
        while text not in self.printed:
            assert time.monotonic() < end, f"no {text!r} in {self.printed!r}, {self.said!r}"
            time.sleep(0.2)

    def wait(self, seconds=240):
        """Wait until the job is over."""
        end = time.monotonic() + seconds
        while self.id in self.lab.testbed.jobs(completing=True):
            assert time.monotonic() < end, f"it hangs: {self.printed!r}, {self.said!r}"
            time.sleep(0.3)
        return self


@pytest.fixture
def submit(lab):
    """Submit a program with `dask hpc run`; its folder is its own."""
    lab.shell("rm -rf one-job && mkdir one-job")

    def submit(code, *arguments, nodes=2, settings="", name="program"):
        folder = f"{lab.home}/one-job"
        text = HEAD + textwrap.dedent(code)
        lab.shell(f"printf %s {shlex.quote(text)} > {folder}/{name}.py")
        done = lab.shell(
            f"{SMALL} {settings}; cd {folder} && "
            f"dask hpc run --nodes {nodes} {name}.py {shlex.join(arguments)}"
        )
        return Job(lab, re.fullmatch(r"Submitted batch job (\d+)\n", done.stdout)[1], folder)

    return submit


def test_the_dashboards_link_leads_there_from_the_login_node_and_through_the_tunnel(submit, lab):
    # The hub's variable comes with the environment of whoever submits.
    job = submit(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                print(cluster.dashboard_link, client.dashboard_link, flush=True)
                time.sleep(120)
        """,
        settings="JUPYTERHUB_SERVICE_PREFIX=/user/alice/",
    )
    job.until("/status")
    link, same = job.printed.split()
    assert link == same
    look = (
        "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read())"
    )
    assert "Dask" in lab.shell(f"python -c {shlex.quote(look)} {link}").stdout
    told = re.search(
        r"^Dashboard: (\S+) .*`(ssh .*) login1`, then (\S+)\)$", job.said, re.MULTILINE
    )
    assert told[1] == link
    with ssh_config(lab.testbed) as config:
        words = ["-F", config, "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "login1"]
        tunnel = subprocess.Popen([*told[2].split(), *words])
        try:
            assert "Dask" in until_answered(told[3])
        finally:
            tunnel.terminate()
            tunnel.wait()
    lab.shell(f"scancel {job.id}")
    job.wait()


def until_answered(address, seconds=30):
    """Return the page, once the tunnel is there."""
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(address, timeout=30).read().decode()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.2)


def nothing_runs(lab, seconds=15):
    """Whether alice has no process on any node, after that long at most."""
    nodes = lab.testbed.node_states()
    end = time.monotonic() + seconds
    while True:
        left = [
            f"{node}: {line}"
            for node in nodes
            for line in lab.testbed.run(
                "pgrep -u alice -a || true", service=node, user="root"
            ).stdout.splitlines()
        ]
        if not left or time.monotonic() > end:
            assert left == []
            return True
        time.sleep(0.3)


def test_the_results_come_from_several_nodes_with_several_processes_each(submit, lab):
    login = lab.shell("hostname -I").stdout.split()
    job = submit(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=3)
                cluster.wait_for_workers(len(cluster.plan), timeout=120)
                results = client.gather(client.map(node, range(60), pure=False))
                print(type(cluster).__name__, os.environ["SLURMD_NODENAME"])
                print(sum(i for _, i in results), len({n for n, _ in results}))
                workers = cluster.scheduler.workers.values()
                print(sorted(w.memory_limit * 3 // 2**20 for w in workers))
                print(sorted({w.host for w in workers}))
                mine = psutil.Process()
                print(*listening(mine))
                def theirs():
                    worker = psutil.Process()
                    nanny = worker.parent().parent()  # between them is the forkserver
                    return listening(worker, nanny)
                print(sorted({tuple(found) for found in client.run(theirs).values()}))
            print("closed")
        """,
        nodes=3,
    ).wait()
    # Warnings, as in a shell, that SMALL overrides the lab's file.
    assert re.fullmatch(
        r"(.* ConfigWarning: .*\n(  .*\n)?)*Dashboard: .*\n(\d of 6 workers\n)*", job.said
    )
    lines = job.printed.splitlines()
    kind, first = lines[0].split()
    assert kind == "AllocationCluster"
    assert first.startswith("node")
    assert lines[1] == "1770 3"
    # Two workers share nine tenths of a node's 1024 MiB, on the first node with the program.
    limits = [int(number) for number in re.findall(r"\d+", lines[2])]
    assert all(number in (921, 920) for number in limits[:2])
    assert all(number in (1382, 1381) for number in limits[2:])
    hosts = re.findall(r"[\d.]+", lines[3])
    assert len(hosts) == 3
    assert not set(hosts) & set(login)
    # Scheduler, dashboard, workers and nannies: all on ib0 and nowhere else; workers' web servers,
    # without pages, on the loopback.
    assert lines[4] in hosts
    assert sorted(set(re.findall(r"[\d.]+", lines[5])) - {"127.0.0.1"}) == hosts
    assert lines[6] == "closed"
    assert job.state == ("COMPLETED", "0:0")
    assert nothing_runs(lab)


ENDS = {
    "exit3": ("sys.exit(3)", "FAILED", "3:0", ""),
    "raises": ("raise RuntimeError('mine')", "FAILED", "1:0", "RuntimeError: mine"),
    "interrupted": (
        "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
        *("FAILED", "0:2", "KeyboardInterrupt"),
    ),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "FAILED", "0:9", ""),
}


@pytest.mark.parametrize(
    "ways", [["exit3", "killed"], pytest.param(["raises", "interrupted"], marks=pytest.mark.full)]
)
def test_the_programs_end_is_the_jobs_however_it_ends_and_nothing_is_left(submit, lab, ways):
    program = """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=1)
                cluster.wait_for_workers(2, timeout=120)
                print(sum(client.gather(client.map(abs, range(-100, 0)))))
                {end}
        """
    # All at once, in the same folder.
    submitted = {
        name: submit(program.format(end=ENDS[name][0]), nodes=1, name=name) for name in ways
    }
    for name, job in submitted.items():
        _, state, code, said = ENDS[name]
        assert job.wait().printed == "5050\n"
        assert job.state == (state, code)
        assert said in job.said
    assert nothing_runs(lab)


@pytest.mark.full
def test_sbatch_wait_has_the_programs_exit_code(lab, submit):
    submit("", nodes=1)  # for its folder
    code = "import sys; print(7 * 6); sys.exit(7)"
    done = lab.shell(
        f"{SMALL}; cd one-job && echo {shlex.quote(code)} > seven.py && "
        "dask hpc run --dry-run seven.py | sbatch --wait",
        check=False,
    )
    assert done.returncode == 7


def test_a_folder_that_the_nodes_do_not_see_is_warned_of_before(lab):
    done = lab.shell(
        f"{SMALL}; python=$(command -v dask); cd $(mktemp -d) && echo 'print(1)' > program.py && "
        "$python hpc run program.py"
    )
    assert "looks like a local disk that compute nodes cannot see" in done.stderr
    job = re.fullmatch(r"Submitted batch job (\d+)\n", done.stdout)[1]
    assert Job(lab, job, "/nowhere").wait().state[0] == "FAILED"


@pytest.mark.full
def test_scancel_ends_everything_at_once(submit, lab):
    job = submit(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=2)
                cluster.wait_for_workers(4, timeout=120)
                print("there")
                client.gather(client.map(time.sleep, [600] * 8, pure=False))
        """
    )
    job.until("there")
    lab.shell(f"scancel {job.id}")
    job.wait(30)
    assert job.state[0] == "CANCELLED"
    assert nothing_runs(lab)


@pytest.mark.full
def test_where_all_workers_die_again_and_again_the_job_ends_with_a_line(submit, lab):
    job = submit(
        """
        import dask
        import dask_hpc.allocation.cluster as allocation
        allocation.RESTART_PAUSE_S = 0.1  # doubled for each restart that was, so 0.4 s
        # The workers are what ends, not the tasks.
        dask.config.set({"distributed.scheduler.allowed-failures": 10})
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=1)
                cluster.wait_for_workers(2, timeout=120)
                futures = client.map(node, range(40), seconds=10, pure=False)
                cluster._restarts = dict.fromkeys(cluster._restarts, 2)  # one is left
                for n in range(2):
                    cluster.wait_for_workers(2, timeout=120)
                    workers = map(psutil.Process, client.run(os.getpid).values())
                    nannies = {worker.parent().ppid() for worker in workers}
                    for nanny in nannies:
                        os.kill(nanny, signal.SIGKILL)
                    while cluster.scheduler.workers:
                        time.sleep(0.1)
                client.gather(futures)
        """,
        nodes=1,
    ).wait()
    assert job.state == ("FAILED", "1:0")
    lines = [line for line in job.said.splitlines() if "on node" in line]
    assert [line.endswith("restarting them.") for line in lines] == [True, False]
    assert lines[-1].startswith("No workers are left: the last ones, on node")
    assert "FutureCancelledError" in job.said
    assert nothing_runs(lab)


@pytest.mark.full
@pytest.mark.parametrize("fault", ["pause-node", "cut-node"])
def test_a_node_that_fails_midway_leaves_its_tasks_to_the_others(submit, lab, fault):
    job = submit(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=3)
                cluster.wait_for_workers(6, timeout=120)
                print(*cluster.worker_spec)
                results = client.gather(client.map(node, range(200), seconds=1, pure=False))
                print("sum", sum(i for _, i in results), len(results))
        """,
        nodes=3,
    )
    job.until("node")
    last = job.printed.split()[-1]
    with lab.testbed.fault(fault, node=last):
        job.wait()
    assert job.printed.splitlines()[1] == "sum 19900 200"
    assert (
        f"The workers on {last} ended (Node failure on {last}): moving their tasks to" in job.said
    )
    assert job.state == ("COMPLETED", "0:0")
    assert nothing_runs(lab)


@pytest.mark.full
@pytest.mark.parametrize("fault", ["pause-node", "kill-node"])  # the workers run on, or end
def test_a_program_on_a_node_that_fails_ends_with_it(submit, lab, fault):
    job = submit(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=2)
                cluster.wait_for_workers(4, timeout=120)
                print(*cluster.worker_spec)
                client.gather(client.map(node, range(400), seconds=1, pure=False))
        """
    )
    job.until("node")
    first = job.printed.split()[0]
    with lab.testbed.fault(fault, node=first):
        job.wait()
    assert job.state[0] == "CANCELLED"
    assert f"{first}, which ran the program, has failed: ending this job." in job.said
    assert nothing_runs(lab)


@pytest.mark.full
def test_the_program_hears_of_the_walltimes_end_before(submit, lab):
    job = submit(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=1)
                client.gather(client.map(time.sleep, [600] * 4, pure=False))
        """,
        nodes=1,
        settings="DASK_JOBQUEUE__SLURM__QUEUE=tiny DASK_JOBQUEUE__SLURM__WALLTIME=00:01:00",
    ).wait()
    assert job.state[0] == "TIMEOUT"
    left = re.findall(r"This job reaches its walltime in (\d+) s: save your results", job.said)
    assert len(left) == 1
    assert 5 <= int(left[0]) <= 20
    assert nothing_runs(lab)


def test_no_scheduler_starts_on_the_login_node(lab):
    done = lab.shell(
        "salloc --quiet --account=lab --nodes=1 --time=1 bash -c "
        "'DASK_HPC_ALLOCATION=$SLURM_JOB_ID python -c \"import dask_hpc; dask_hpc.get_cluster()\"'",
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "dask_hpc.errors.ConfigError: This program is not running on a node of its job: submit it "
        "with `dask hpc run`."
    )


@pytest.mark.full
@pytest.mark.parametrize(
    ("outer", "submission"),
    [
        pytest.param(
            "--mem-per-cpu=300M", "dask hpc run --nodes 2 program.py", marks=pytest.mark.full
        ),
        (
            "--ntasks=2 --distribution=cyclic --hint=nomultithread",
            "dask hpc run --nodes 2 --dry-run program.py | sbatch",
        ),
    ],
)
def test_it_may_be_typed_inside_another_job_whose_variables_it_inherits(
    submit, lab, outer, submission
):
    folder = f"{lab.home}/one-job"
    program = HEAD + textwrap.dedent(
        """
        if __name__ == "__main__":
            with get_cluster() as cluster, Client(cluster) as client:
                cluster.scale(jobs=2)
                cluster.wait_for_workers(4, timeout=120)
                subprocess.run(["srun", "--overlap", "--ntasks=1", "true"], check=True)
                print("sum", client.submit(sum, [1, 2]).result(), flush=True)
        """
    )
    lab.shell(f"printf %s {shlex.quote(program)} > {folder}/program.py")
    script = f". .venv/bin/activate; {SMALL}; cd one-job; {submission}"
    options = f"-A lab -p short -t 5 -o one-job/outer.out {outer}"
    lab.shell(f"sbatch --wait {options} --wrap={shlex.quote(script)}")
    said = lab.shell("cat one-job/outer.out").stdout
    job = Job(lab, re.search(r"Submitted batch job (\d+)", said)[1], folder).wait()
    assert job.state == ("COMPLETED", "0:0"), job.said
    assert "sum 3" in job.printed
