"""What the lab's settings mean on real Slurm: names, folders, memory, idle clusters, profiles."""

import re
import shlex

import pytest

from .programs import script


@pytest.fixture
def settings(lab):
    """Yield a function that puts a YAML file before the lab's; it returns how to have it read."""
    folder = f"{lab.home}-settings"

    def write(text):
        lab.shell(f"mkdir -p {folder} && printf %s {shlex.quote(text)} > {folder}/mine.yaml")
        return f"DASK_CONFIG={folder}"

    yield write
    lab.shell(f"rm -rf {folder}")


def test_a_misspelt_key_is_warned_of_when_a_cluster_is_made_with_file_and_line(lab, settings):
    reads = settings("jobqueue:\n  slurm:\n    acount: other\n")
    done = lab.shell(
        f"{reads} python -c 'from dask_hpc import SLURMCluster\nSLURMCluster().close()'"
    )
    warned = [line for line in done.stderr.splitlines() if "ConfigWarning" in line]
    assert len(warned) == 1
    assert "<string>:2: ConfigWarning: " in warned[0]
    assert re.search(r"/mine.yaml:3: jobqueue.slurm.acount: .* did you mean account\?", warned[0])


def test_profiles_of_the_file_and_an_unknown_one(lab, settings):
    reads = settings("jobqueue: {highmem: {memory: 6 GiB, processes: 1, queue: long}}")
    program = script(
        """
        with get_cluster(config_name="highmem") as cluster:
            cluster.scale(jobs=1)
            cluster.wait_for_workers(1, timeout=120)
            print(subprocess.getoutput(f"squeue -h -j {cluster.job_ids[0]} -o '%P %C %m'"))
        try:
            get_cluster(config_name="himem")
        except Exception as error:
            print(type(error).__name__, error)
        """
    )
    lines = lab.shell(f"{reads} python -c {shlex.quote(program)}").stdout.splitlines()
    assert lines[0] == "long 8 6G"
    assert lines[1].startswith("ConfigError jobqueue.yaml has no section jobqueue.himem for Slurm")
    assert lines[1].endswith("available sections: slurm, highmem.")


def test_folders_are_filled_in_and_made_here_and_on_the_node(lab):
    printed = lab.python(
        script(
            """
            import pathlib
            home = pathlib.Path.home() / "folders"
            with SLURMCluster(
                cores=1, processes=1, log_directory="~/folders/$USER/logs",
                local_directory="/tmp/${SLURM_JOB_ID}/$USER",
            ) as cluster:
                cluster.scale(jobs=1)
                cluster.wait_for_workers(1, timeout=120)
                [worker] = cluster.scheduler.workers.values()
                job = cluster.job_ids[0]
                print(worker.local_directory.startswith(f"/tmp/{job}/alice/"))
                logs = sorted((home / "alice/logs").glob("[!.]*"))  # without the keys' folder
                print([path.suffix for path in logs])
            subprocess.run(["rm", "-r", home])
            """
        )
    )
    assert printed.splitlines() == ["True", "['.err', '.out']"]


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        pytest.param(
            "$NO_SUCH_DISK/dask",
            "NO_SUCH_DISK: is not set on this node, but argument local_directory uses it",
            marks=pytest.mark.full,
        ),
        ("/usr/dask", "argument local_directory: /usr/dask is not writable on "),
    ],
)
def test_a_local_directory_that_a_node_can_not_have_is_said_in_the_jobs_log(lab, folder, words):
    printed = lab.python(
        script(
            f"""
            import pathlib
            with SLURMCluster(cores=1, processes=1, local_directory={folder!r}) as cluster:
                cluster.scale(jobs=1)
                while not (job := [*cluster.watcher.jobs]):
                    time.sleep(0.1)
                end = time.time() + 60
                said = ""
                while not said and time.time() < end:
                    time.sleep(0.2)
                    logs = pathlib.Path("dask-logs").glob(f"*-{{job[0]}}.err")
                    said = "".join(path.read_text() for path in logs)
                time.sleep(1)
                print("".join(path.read_text() for path in pathlib.Path("dask-logs").glob(
                    f"*-{{job[0]}}.err")))
            """
        )
    )
    assert words in printed
    assert "Traceback" not in printed


GROW = """
    import collections, json, pathlib, threading
    log = pathlib.Path.home() / "grown"
    log.unlink(missing_ok=True)

    def watch(log):
        # In the job, beside the worker: what all its processes hold, 20 times a second.
        import os, psutil, threading, time
        def loop():
            nanny = psutil.Process().parent().parent()  # between them is the forkserver
            while True:
                total = 0
                for process in [nanny, *nanny.children(recursive=True)]:
                    try:
                        total += process.memory_full_info().uss
                    except psutil.Error:
                        pass
                with open(log, "a") as file:
                    file.write(f"{total}\\n")
                time.sleep(0.05)
        threading.Thread(target=loop, daemon=True).start()

    def peak():
        return max(map(int, log.read_text().split())) / 2**20
"""


@pytest.mark.full
def test_a_task_that_grows_is_stopped_by_dask_before_its_job_is_full_and_the_job_lives_on(lab):
    printed = lab.python(
        script(
            GROW
            + """
    def grow(log):
        watch(log)
        held = []
        while True:  # 10 MiB at a time, 200 MiB a second
            held.append(bytearray(os.urandom(2**20) * 10))
            time.sleep(0.05)

    with SLURMCluster(cores=1, processes=1, memory="1 GiB") as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=120)
        [job] = cluster.job_ids
        try:
            client.submit(grow, log).result(timeout=240)
        except Exception as error:
            print(type(error).__name__, "|", " ".join(str(error).split()))
        print(peak())
        print(client.submit(sum, [1, 2]).result(timeout=120), cluster.job_ids == [job])
        print(subprocess.getoutput(f"squeue -h -j {job} -o %T"))
            """
        ),
        timeout=480,
    )
    said, peak, after, state = printed.splitlines()
    print(printed)
    assert said.startswith("KilledWorker | Attempted to run task")
    assert 700 < float(peak) < 1024
    assert (after, state) == ("3 True", "RUNNING")


@pytest.mark.full
def test_results_that_do_not_fit_go_to_the_disk_and_the_job_stays_below_its_memory(lab):
    printed = lab.python(
        script(
            GROW
            + """
    def piece(i):
        return bytes([i]) * (50 * 2**20)

    with SLURMCluster(cores=1, processes=1, memory="1 GiB") as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=120)
        client.submit(watch, log).result()
        pieces = client.map(piece, range(40))  # 2000 MiB
        sizes = client.gather(client.map(lambda data: (data[0], len(data)), pieces))
        print(sizes == [(i, 50 * 2**20) for i in range(40)])
        print(peak())
        print(len(cluster.scheduler.workers), len(cluster.job_ids))
            """
        ),
        timeout=480,
    )
    print(printed)
    right, peak, left = printed.splitlines()
    assert right == "True"
    assert float(peak) < 1024
    assert left == "1 1"


@pytest.mark.full
def test_an_idle_cluster_gives_its_jobs_back_and_the_client_is_told(lab):
    program = script(
        """
        with SLURMCluster(cores=1, processes=1, idle_timeout="2 s") as cluster:
            client = Client(cluster)
            cluster.scale(jobs=2)
            cluster.wait_for_workers(2, timeout=120)
            print(client.submit(sum, [1, 2]).result())
            end = time.time() + 60
            while cluster.status.name != "closed" and time.time() < end:
                time.sleep(0.2)
            print(subprocess.getoutput("squeue -h --me --states=running"))
            try:
                cluster.scale(jobs=1)
            except Exception as error:
                print(error)
            client.close()
        """
    )
    done = lab.shell(f"python -c {shlex.quote(program)}")
    assert done.stdout.splitlines() == [
        "3",
        "",
        "This cluster is closed: it was idle for 2.00 s (idle-timeout). Create a new one.",
    ]
    first, second = (line for line in done.stderr.splitlines() if " of 2 workers" not in line)
    assert first == "Closing SLURMCluster, because it was idle for 2.00 s (idle-timeout)."
    assert re.fullmatch(r"SLURMCluster closed: 2 jobs, \d\.\d core-minutes\.", second)


@pytest.mark.full
def test_core_hours_are_those_of_the_accounting(lab):
    printed = lab.python(
        script(
            """
            with SLURMCluster(cores=4, processes=2) as cluster:
                cluster.scale(jobs=1)
                cluster.wait_for_workers(2, timeout=120)
                time.sleep(20)
                job = cluster.job_ids[0]
            used = cluster.usage
            print(used.core_seconds)
            time.sleep(3)
            show = f"sacct -n -X -P -j {job} -o ElapsedRaw,AllocCPUS"
            print(subprocess.getoutput(show).replace("|", " "))
            """
        ),
        timeout=300,
    )
    print(printed)
    used, seconds, cores = map(float, printed.split())
    assert cores == 4
    assert used == pytest.approx(cores * seconds, abs=cores * 3)
