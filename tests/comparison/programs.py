"""The programs of the comparison: one for each row, the same for our classes and for plain ones.

``python programs.py ROW [--plain] [name=value …]``, as alice on the login node. What is seen is
printed as JSON, a line each: ``{"event": "ready"}`` asks for the fault, which comes from outside.
With ``--plain`` the class is dask_jobqueue's; the configuration and all arguments are the same.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PLAIN = "--plain" in sys.argv
# One node for each job, so that a fault on a node hits one job.
ALONE = ["--nodes=1", "--no-requeue", "--exclusive"]
BEGIN = time.monotonic()


def tell(event, **what):
    """Print an event; the time is the machine's, which the tests share."""
    print(json.dumps({"event": event, "time": time.time(), **what}), flush=True)


def cluster_class():
    """Ours or dask-jobqueue's class."""
    if PLAIN:
        from dask_jobqueue import SLURMCluster
    else:
        from dask_hpc import SLURMCluster
    return SLURMCluster


def connect(cluster):
    """Return a client of a cluster."""
    from distributed import Client

    return Client(cluster, timeout="60s")


@contextlib.contextmanager
def running(jobs, **arguments):
    """Yield (cluster, client, number of workers) with that many jobs, each on a node of its own."""
    processes = arguments.get("processes", 1)
    # Each worker has one thread: what a task costs is plain to see.
    arguments = {
        "cores": processes,
        "processes": processes,
        "memory": "4 GiB",
        "job_extra_directives": ALONE,
        **arguments,
    }
    with cluster_class()(**arguments) as cluster, connect(cluster) as client:
        cluster.scale(jobs=jobs)
        cluster.wait_for_workers(jobs * processes, timeout=120)
        yield cluster, client, jobs * processes


def workers(cluster):
    """Return the names of the workers that the scheduler has."""
    return sorted(str(worker.name) for worker in list(cluster.scheduler.workers.values()))


def outcome(call):
    """Return what a call ended with: its exception in words, and the seconds that it took."""
    begin = time.monotonic()
    try:
        call()
    except BaseException as error:
        said, kind = " ".join(str(error).split()), type(error).__name__
    else:
        said, kind = "", None
    return {"error": kind, "said": said[:600], "seconds": round(time.monotonic() - begin, 1)}


def until(condition, seconds, pause=0.1):
    """Wait until a condition holds; return whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def ready_and_go():
    """Ask for the fault, and wait until it is done."""
    go = Path(f"go-{os.getpid()}")
    tell("ready", go=str(go))
    assert until(go.exists, 60), "nobody said go"
    go.unlink()


def square(i, seconds=1.0, marks=None):
    """Return i², after a while; each execution leaves a mark in a file."""
    if marks:
        with open(marks, "a") as file:  # noqa: PTH123
            file.write(f"{i}\n")
    time.sleep(seconds)
    return i * i


def held_square(i, mib, since):
    """Return i², after a second; once a file is there, so many MiB are held meanwhile."""
    held = b"x" * (mib << 20) if mib and os.path.exists(since) else b""  # noqa: PTH110
    time.sleep(1.0)
    del held
    return i * i


def right(client, futures, seconds=120):
    """Say whether all results come, and are those of `square`."""
    try:
        results = client.gather(futures, asynchronous=False)
    except Exception as error:
        tell("failure", said=f"{type(error).__name__}: {error}"[:300])
        return False
    return results == [i * i for i in range(len(futures))]


def counted(marks):
    """Return how many executions left a mark."""
    return len(Path(marks).read_text().split()) if Path(marks).exists() else 0


# --- the rows -------------------------------------------------------------------------------------


def yaml():
    """cores, memory and processes stand in jobqueue.yaml alone."""
    calls = {
        "scale(jobs=1)": (lambda c: c.scale(jobs=1), 4),
        "scale(cores=9)": (lambda c: c.scale(cores=9), 8),
        "scale(memory='9 GiB')": (lambda c: c.scale(memory="9 GiB"), 8),
        "scale(5)": (lambda c: c.scale(5), 8),
        "adapt(minimum_jobs=1, maximum_jobs=2)": (
            lambda c: c.adapt(minimum_jobs=1, maximum_jobs=2),
            4,
        ),
        "adapt(minimum_cores=8, maximum_cores=16)": (
            lambda c: c.adapt(minimum_cores=8, maximum_cores=16),
            4,
        ),
    }
    found = {}
    for name, (call, expected) in calls.items():
        with cluster_class()() as cluster:
            asked = outcome(lambda call=call, cluster=cluster: call(cluster))
            if asked["error"] is None:
                asked = outcome(lambda n=expected, c=cluster: c.wait_for_workers(n, timeout=40))
            found[name] = f"{asked['error']}: {asked['said']}" if asked["error"] else "works"
    tell("seen", calls=found)


def death(processes="1", limit="90", tasks="60", **arguments):
    """Run tasks while a job dies of something."""
    processes, limit = int(processes), float(limit)
    with running(2, processes=processes, **arguments) as (cluster, client, full):
        futures = client.map(square, range(int(tasks)), pure=False)
        tell("ready", workers=full)
        begin, dropped, back, known = time.monotonic(), None, None, set(workers(cluster))
        while time.monotonic() - begin < limit:
            now = set(workers(cluster))
            if now != known:
                tell("workers", n=len(now))
                known = now
            if dropped is None and len(now) < full:
                dropped = time.time()
            if dropped and len(now) >= full:
                back = time.time()
                break
            time.sleep(0.05)
        tell("changed", dropped=dropped, back=back)
        tell("seen", right=right(client, futures), workers=len(workers(cluster)), full=full)


def soak(tasks="500", times="10", limit="240", settle="90", hold="0", **arguments):
    """Again and again a map on three jobs, and a fault in the middle of it."""
    arguments = {"cores": 12, "processes": 2, **arguments}
    with running(3, **arguments) as (cluster, client, full):
        for number in range(int(times)):
            cluster.scale(jobs=3)  # what was cancelled by others comes back only so
            cluster.wait_for_workers(full, timeout=120)
            # They hold nothing at first: a node's memory can't be made shorter than what is used.
            since = Path(f"went-{number}").resolve()
            since.unlink(missing_ok=True)
            holding = {"mib": int(hold), "since": str(since)}
            futures = client.map(held_square, range(int(tasks)), **holding, pure=False)
            until(lambda f=futures: any(future.done() for future in f), 60)
            tell(f"ready {number}")
            begin, dropped, back, done = time.monotonic(), None, None, None
            go = Path(f"go-{number}")
            assert until(go.exists, 120), "nobody said go"
            go.unlink()
            since.touch()
            while time.monotonic() - begin < float(limit):
                now = len(workers(cluster))
                if dropped is None and now < full:
                    dropped = time.time()
                if dropped and back is None and now >= full:
                    back = time.time()
                if done is None and all(future.done() for future in futures):
                    done = time.time()
                if done and (back or time.time() - done > float(settle)):
                    break
                time.sleep(0.1)
            good = right(client, futures)
            tell(f"round {number}", right=good, dropped=dropped, back=back, done=done)
            del futures
            assert until(Path(f"go-{number}").exists, 300), "the testbed was not repaired"
            Path(f"go-{number}").unlink()
    tell("seen")


def cancelled(settle="25"):
    """Somebody cancels one of two jobs; nothing more is to come."""
    with running(2) as (cluster, client, _):
        futures = client.map(square, range(20), pure=False)
        tell("ready")
        until(lambda: len(workers(cluster)) < 2, 60)
        dropped = time.time()
        time.sleep(float(settle))  # in which a resubmitted job's worker would come
        tell("changed", dropped=dropped, workers=len(workers(cluster)))
        tell("seen", right=right(client, futures), workers=len(workers(cluster)))


def walltime(mode="scale", tasks="100", limit="240"):
    """Jobs of a minute each, and work for longer."""
    marks = Path(f"marks-{os.getpid()}").resolve()
    arguments = {"walltime": "00:01:00", "queue": "tiny"}
    with running(2, **arguments) as (cluster, client, full):
        if mode == "adapt":
            cluster.adapt(minimum_jobs=2, maximum_jobs=2)
        futures = client.map(
            square, range(int(tasks)), seconds=2.0, marks=str(marks), pure=False, retries=0
        )
        tell("ready")
        begin = time.monotonic()
        lowest, done = full, 0
        while time.monotonic() - begin < float(limit):
            lowest = min(lowest, len(workers(cluster)))
            done = sum(future.done() for future in futures)
            if done == len(futures) or (lowest == 0 and PLAIN and time.monotonic() - begin > 120):
                break
            time.sleep(0.2)
        seconds = time.monotonic() - begin
        good = done == len(futures) and right(client, futures)
        tell(
            "seen",
            done=done,
            tasks=len(futures),
            executions=counted(marks),
            right=good,
            seconds=round(seconds, 1),
            fewest_workers=lowest,
            workers=len(workers(cluster)),
        )
        for future in futures:
            future.cancel()
    marks.unlink(missing_ok=True)


def long_task(limit="400"):
    """Run a task that takes longer than any job may."""
    marks = Path(f"marks-{os.getpid()}").resolve()
    with running(1, walltime="00:01:00", queue="tiny") as (cluster, client, _):
        cluster.adapt(minimum_jobs=1, maximum_jobs=1)
        future = client.submit(square, 3, seconds=600, marks=str(marks))
        tell("ready")
        ended = outcome(lambda: future.result(timeout=float(limit)))
        future.cancel()
        tell("seen", starts=counted(marks), ended=ended)
    marks.unlink(missing_ok=True)


def adapt():
    """adapt() with several processes a job; the results stay with the workers."""
    marks = Path(f"marks-{os.getpid()}").resolve()
    arguments = {"cores": 4, "processes": 4, "memory": "4 GiB"}
    with cluster_class()(**arguments) as cluster, connect(cluster) as client:
        cluster.adapt(minimum_jobs=1, maximum_jobs=3, interval="1s", wait_count=2)
        futures = client.map(square, range(60), seconds=1.0, marks=str(marks), pure=False)
        tell("ready")
        until(lambda: all(future.done() for future in futures), 180)
        first = counted(marks)
        most = len(workers(cluster))
        fewest = len(futures)  # results that were there at any one time since
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            fewest = min(fewest, sum(future.status == "finished" for future in futures))
            time.sleep(0.1)
        left = len(workers(cluster))
        good = right(client, futures)
        tell(
            "seen",
            tasks=len(futures),
            most_workers=most,
            workers=left,
            executions_at_first=first,
            executions=counted(marks),
            fewest_results=fewest,
            right=good,
        )
    marks.unlink(missing_ok=True)


def refused(how="account", limit="20"):
    """Submit jobs where sbatch refuses them or is missing."""
    if how == "missing":
        os.environ["PATH"] = str(Path(sys.executable).parent)
    arguments = {"account": "nobody"} if how == "account" else {}
    cluster = cluster_class()(cores=1, processes=1, memory="1 GiB", **arguments)
    asked = outcome(lambda: cluster.scale(jobs=1))
    waited = outcome(lambda: cluster.wait_for_workers(1, timeout=float(limit)))
    closed = outcome(cluster.close)
    tell("seen", scale=asked, wait=waited, close=closed)


def pending():
    """Ask for two jobs where a limit of the site lets only one of them run."""
    limited = ["--nodes=1", "--qos=onejob"]
    arguments = {"cores": 2, "processes": 2, "memory": "2 GiB"}
    with cluster_class()(job_extra_directives=limited, **arguments) as cluster:
        cluster.scale(jobs=2)
        cluster.wait_for_workers(2, timeout=60)
        waited = outcome(lambda: cluster.wait_for_workers(4, timeout=8))
        states = subprocess.getoutput("squeue --me --noheader --format=%T").split()
        called = sorted(job.status.name for job in cluster.workers.values())
        tell("seen", wait=waited, slurm=sorted(states), called=called)


def never(limit="60"):
    """Start a job whose worker can't reach the scheduler, because of a wrong interface."""
    options = {"interface": "eth0", "dashboard_address": ":0"}
    arguments = {"cores": 1, "processes": 1, "memory": "1 GiB", "death_timeout": 15}
    with cluster_class()(scheduler_options=options, **arguments) as cluster:
        cluster.scale(jobs=1)
        tell("ready")
        tell("seen", wait=outcome(lambda: cluster.wait_for_workers(1, timeout=float(limit))))


def folders():
    """Variables and ~ in the log directory, and one that can't be made."""
    found = {}
    home = Path.home()
    os.environ["SCRATCH"] = str(home / "scratch")
    for text, real in {
        "~/logs-tilde/a": home / "logs-tilde/a",
        "/home/$USER/logs-user/a": home / "logs-user/a",
        "$SCRATCH/logs-scratch/a": home / "scratch/logs-scratch/a",
        "/proc/logs": Path("/proc/logs"),
    }.items():
        arguments = {"cores": 1, "processes": 1, "memory": "1 GiB", "log_directory": text}

        def use(arguments=arguments):
            with cluster_class()(**arguments) as cluster:
                cluster.scale(jobs=1)
                cluster.wait_for_workers(1, timeout=20)

        ended = outcome(use)
        logs = real.is_dir() and any(real.iterdir())
        found[text] = f"{ended['error']}: {ended['said']}" if ended["error"] else "works"
        if ended["error"] is None and not logs:
            found[text] = "no log there"
    tell("seen", folders=found, literal=sorted(str(p) for p in Path.cwd().glob("[$~]*")))


def leaving(how="exception"):
    """Leave the block by an exception or Ctrl-C."""
    with running(3, job_extra_directives=["--nodes=1"]):
        tell("ready", pid=os.getpid())
        if how == "exception":
            raise RuntimeError("in the middle")
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            tell("interrupt")
            raise


def killed():
    """One job runs, one waits, and the process is killed from outside."""
    limited = ["--nodes=1", "--qos=onejob"]
    arguments = {"cores": 1, "processes": 1, "memory": "1 GiB", "death_timeout": 20}
    with cluster_class()(job_extra_directives=limited, **arguments) as cluster:
        cluster.scale(jobs=2)
        cluster.wait_for_workers(1, timeout=60)
        tell("ready", pid=os.getpid())
        time.sleep(120)


def thread():
    """Import the package in a thread, and compare the handlers of signals before and after."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in signals]
    found = {}
    worker = threading.Thread(target=lambda: found.update(outcome(cluster_class)))
    worker.start()
    worker.join()
    again = outcome(cluster_class)  # and here
    same = [signal.getsignal(number) for number in signals] == before
    tell("seen", thread=found, main=again, same_handlers=same)


def idle():
    """Nothing to do for longer than the configured time."""
    import dask

    # Ours, and distributed's own, which is what a plain cluster has.
    name = "distributed.scheduler.idle-timeout" if PLAIN else "dask-hpc.idle-timeout"
    with dask.config.set({name: "20 s"}):
        with running(1) as (cluster, client, _):
            good = right(client, client.map(square, range(3), pure=False))
            begin = time.monotonic()

            def jobs():
                return subprocess.getoutput("squeue --me --noheader --format=%i").split()

            gone = until(lambda: not jobs(), 90, pause=0.5)
            seconds = round(time.monotonic() - begin, 1)
            tell("seen", right=good, jobs_gone=gone, seconds=seconds, status=cluster.status.name)


def profile():
    """Use a section that holds only what differs, and a name that does not exist."""
    import dask

    with dask.config.set({"jobqueue.highmem": {"memory": "12 GiB"}}):

        def use(name):
            with cluster_class()(config_name=name) as cluster:
                script = cluster.job_script()
                assert "--mem=12G" in script, script
                assert "-A lab" in script, script

        tell(
            "seen", partial=outcome(lambda: use("highmem")), unknown=outcome(lambda: use("hihgmem"))
        )


def misspelt():
    """Keys that nobody reads, in a file of the user's own configuration."""
    with cluster_class()() as cluster:
        script = cluster.job_script()
        tell("seen", walltime=[line for line in script.splitlines() if "#SBATCH -t" in line])


def memory():
    """Compute results that together exceed the job's memory, where the node has no more."""
    # The node's memory is cut to the job's from outside, as Slurm's cgroup would do it.
    with running(1, memory="1 GiB") as (cluster, client, _):
        (worker,) = list(cluster.scheduler.workers.values())
        limit = worker.memory_limit
        ready_and_go()
        futures = [client.submit(bytes_of, i, pure=False) for i in range(24)]  # 24 of 64 MB
        from distributed import wait

        ended = outcome(lambda: wait(futures, timeout=150))
        lost = sum(future.status == "error" for future in futures)
        same = [str(w.address) for w in list(cluster.scheduler.workers.values())] == [
            worker.address
        ]
        tell(
            "seen",
            limit_of_job=round(limit / 2**30, 3),
            lost=lost,
            finished=sum(future.status == "finished" for future in futures),
            same_worker=same,
            ended=ended,
        )


def bytes_of(i):
    """Return 64 MB that do not compress."""
    time.sleep(0.5)
    return os.urandom(64_000_000)


def grow():
    """One task outgrows the job's memory: the job, or its worker, dies of it."""
    with running(1, memory="1 GiB") as (cluster, client, _):
        ready_and_go()
        future = client.submit(hoard, pure=False)
        ended = outcome(lambda: future.result(timeout=150))
        time.sleep(3)
        tell("seen", workers=len(workers(cluster)), ended=ended)


def hoard():
    """Take 3 GB and never give them back."""
    kept = []
    for _ in range(300):
        kept.append(os.urandom(10_000_000))
        time.sleep(0.01)
    return len(kept)


def one_allocation(end="0"):
    """Scheduler, workers and client in one job, in which this runs."""
    if PLAIN:
        from dask_jobqueue.slurm import SLURMRunner
        from distributed import Client

        with SLURMRunner(scheduler_file="scheduler-{job_id}.json") as runner:
            with Client(runner) as client:
                client.wait_for_workers(runner.n_workers, timeout=60)
                futures = client.map(square, range(20), seconds=0.2, pure=False)
                tell("seen", right=right(client, futures))
    else:
        from dask_hpc import get_cluster

        with get_cluster() as cluster, connect(cluster) as client:
            cluster.scale(jobs=2)
            cluster.wait_for_workers(len(cluster.plan), timeout=60)
            futures = client.map(square, range(20), seconds=0.2, pure=False)
            tell("seen", right=right(client, futures))
    sys.exit(int(end))


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--plain"]
    settings = dict(word.split("=", 1) for word in words[1:])
    result = globals()[words[0]](**settings)
    if asyncio.iscoroutine(result):
        asyncio.run(result)
