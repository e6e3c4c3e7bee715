"""The toolkit's clusters on real Slurm, from the lab's project, as alice."""

import re
import shlex

import pytest

from hpc_testbed import TestbedError

from .programs import script


def test_a_bare_slurmcluster_runs_tasks_in_jobs_of_the_labs_configuration(lab):
    program = script(
        """
        from dask_hpc import resources
        resources.MIN_TASK_S, resources.MIN_LOOKS = 0.5, 1  # instead of half a minute

        def task(i):
            # One of them has its memory for less time than passes between two heartbeats.
            block = bytearray((i == 0) * 300 << 20)
            del block
            time.sleep(0.3)
            return socket.gethostname()

        with SLURMCluster() as cluster, Client(cluster) as client:
            cluster.scale(jobs=2)
            cluster.wait_for_workers(8, timeout=180)
            job = cluster.job_ids[0]
            print(subprocess.getoutput(f"squeue -h -j {job} -o '%P %a %C %m %l'"))
            hosts = client.gather(client.map(task, range(64)))
            print(len(hosts), socket.gethostname() in hosts)
            print(job)
        """
    )
    done = lab.shell(f"python -c {shlex.quote(program)}")
    *lines, job = done.stdout.splitlines()
    assert lines == ["short lab 8 8G 30:00", "64 False"]
    assert lab.testbed.jobs() == []
    # 300 MiB and Dask's own memory, in each of four workers, with room to spare.
    used = re.search(
        r"its workers used up to 1\.[45] GiB .* Next time, ask for (.*)\.", done.stderr
    )
    assert re.match("memory: [23] GiB", used[1])  # one look may see only half of the tasks
    shown = lab.shell("dask hpc jobs --usage").stdout
    assert re.search(rf"^  {job} +cancelled .* of 8\.0 GiB$", shown, re.MULTILINE)
    assert "\nSlurm measures neither memory nor CPU time here." in shown


@pytest.mark.parametrize(
    ("ask", "jobs", "workers"),
    [
        ("cores=9", 2, 8),
        *(
            pytest.param(*row, marks=pytest.mark.full)
            for row in [("jobs=2", 2, 8), ("n=5", 2, 8), ("memory='8 GiB'", 1, 4)]
        ),
    ],
)
def test_scale_counts_jobs_cores_workers_and_memory_from_the_file(lab, ask, jobs, workers):
    printed = lab.python(
        script(
            f"""
            with SLURMCluster() as cluster:
                cluster.scale({ask})
                cluster.wait_for_workers({workers}, timeout=180)
                print(len(cluster.job_ids), len(cluster.scheduler_info["workers"]))
            """
        )
    )
    assert printed.split() == [str(jobs), str(workers)]


# Beside what test_configuration.py has of profiles.
@pytest.mark.full
def test_a_profile_takes_from_the_file_what_it_does_not_say_itself(lab):
    printed = lab.python(
        script(
            """
            import dask
            profile = {"queue": "long", "cores": 3, "processes": 1, "memory": "2 GiB"}
            with dask.config.set({"jobqueue.big": profile}):
                with get_cluster(config_name="big") as cluster:
                    cluster.scale(jobs=1)
                    cluster.wait_for_workers(1, timeout=60)
                    job = cluster.job_ids[0]
                    print(subprocess.getoutput(f"squeue -h -j {job} -o '%P %a %C %m %l'"))
            """
        )
    )
    assert printed.split() == ["long", "lab", "3", "2G", "30:00"]


def test_a_refused_job_is_raised_with_slurms_own_words(lab):
    printed = lab.python(
        script(
            """
            with SLURMCluster(account="nobody") as cluster:
                cluster.scale(jobs=1)
                try:
                    cluster.wait_for_workers(1, timeout=60)
                except SubmitError as error:
                    print(error)
            """
        )
    )
    assert "Invalid account" in printed
    assert printed.count("\n") == 1


@pytest.mark.full
def test_workers_that_do_not_come_in_time_are_counted_and_the_reason_said(lab):
    printed = lab.python(
        script(
            """
            limited = ["--qos=onejob"]
            with SLURMCluster(cores=2, processes=2, job_extra_directives=limited) as cluster:
                cluster.scale(jobs=2)
                cluster.wait_for_workers(2, timeout=60)
                try:
                    cluster.wait_for_workers(4, timeout=3)
                except WorkerStartTimeoutError as error:
                    print(error)
            """
        )
    )
    assert "2 of 4 workers" in printed
    assert re.search("limit", printed)
    assert printed.count("\n") == 1


# That nothing is reached on it is tried in test_slurm.py.
@pytest.mark.full
def test_a_scheduler_on_the_wrong_interface_gets_no_worker(lab):
    printed = lab.python(
        script(
            """
            options = {"interface": "eth0", "dashboard_address": ":0"}
            with SLURMCluster(cores=1, processes=1, scheduler_options=options) as cluster:
                cluster.scale(jobs=1)
                try:
                    cluster.wait_for_workers(1, timeout=8)
                except WorkerStartTimeoutError as error:
                    print(error)
            """
        )
    )
    assert "0 of 1 workers" in printed


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(
            "raise RuntimeError('in the middle')", 1, id="an exception", marks=pytest.mark.full
        ),
        pytest.param("os.kill(os.getpid(), 2); time.sleep(9)", 130, id="Ctrl-C"),
    ],
)
def test_no_job_is_left_after(lab, end, code):
    program = script(
        f"""
        with SLURMCluster(cores=1, processes=1) as cluster:
            cluster.scale(jobs=3)
            cluster.wait_for_workers(1, timeout=180)
            {end}
        """
    )
    with pytest.raises(TestbedError, match=f"failed with exit code {code}"):
        lab.python(program)
    assert lab.testbed.jobs() == []


def test_the_watcher_tells_what_became_of_the_jobs(lab):
    printed = lab.python(
        script(
            """
            with SLURMCluster(cores=1, processes=1) as cluster:
                cluster.scale(jobs=2)
                cluster.wait_for_workers(2, timeout=180)
                deadline = time.time() + 30
                def running():
                    return {e.job for e in cluster.watcher.events if e.state.name == "RUNNING"}
                while len(running()) < 2 and time.time() < deadline:
                    time.sleep(0.1)
                events = cluster.watcher.events
                for job in cluster.job_ids:
                    print(*(e.state.name for e in events if e.job == job))
                print(sorted({e.node for e in events if e.node}) != [])
            """
        )
    )
    lines = printed.splitlines()
    assert len(lines) == 3
    for line in lines[:2]:
        assert line.split()[0] == "SUBMITTED"
        assert line.split()[-1] == "RUNNING"
    assert lines[2] == "True"


# What runs on any computer is tried without Slurm already: tests/template.
@pytest.mark.parametrize(
    "notebook", [pytest.param("00-laptop", marks=pytest.mark.full), "01-cluster"]
)
def test_the_notebook_runs(lab, notebook):
    lab.shell(
        f"cd notebooks && jupyter nbconvert --to notebook --execute --stdout {notebook}.ipynb "
        "> /dev/null",
        timeout=240,
    )
    assert lab.testbed.jobs() == []


def test_the_labs_own_tests_pass(lab):
    assert " passed" in lab.shell("pytest -q").stdout


def test_the_labextension_finds_the_labs_cluster(lab):
    printed = lab.python(
        "import dask.config, dask_hpc, importlib;"
        "f = dask.config.get('labextension.factory');"
        "print(getattr(importlib.import_module(f['module']), f['class']).__name__)"
    )
    assert printed.strip() == "SLURMCluster"
