"""How the workers of jobs start, on real Slurm: what tasks print, and what tasks find."""

import pytest

from .programs import script


def test_what_tasks_print_is_in_the_log_of_a_job_that_was_cancelled(lab):
    printed = lab.python(
        script(
            """
            import pathlib

            def say(item):
                print("line", item)

            with SLURMCluster(cores=1, processes=1, memory="1 GiB") as cluster:
                with Client(cluster) as client:
                    cluster.scale(jobs=1)
                    client.gather(client.map(say, range(10)))
                    [job] = cluster.job_ids
                subprocess.run(["scancel", "--signal=KILL", job], check=True)
                [log] = pathlib.Path("dask-logs").glob(f"*-{job}.out")
                print(log.read_text())
            """
        )
    )
    assert sorted(printed.split("\n"))[-10:] == [f"line {number}" for number in range(10)]


MODULE = """
import os, threading
beats, pid = [], os.getpid()

def beat():
    while True:
        beats.append(threading.get_ident())
        threading.Event().wait(0.01)

threading.Thread(target=beat, daemon=True).start()
"""


@pytest.mark.full
def test_threads_of_a_users_module_run_in_each_worker_and_its_variables_are_there(lab):
    printed = lab.python(
        script(
            f"""
            import pathlib
            pathlib.Path("beating.py").write_text({MODULE!r})

            def look():
                import sys
                sys.path.insert(0, {lab.home!r})
                import beating
                time.sleep(0.5)
                names = ("OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")
                environ = pathlib.Path("/proc/self/environ").read_bytes().decode()
                at_start = dict(pair.split("=", 1) for pair in environ.split("\\0") if "=" in pair)
                values = [at_start.get(name) for name in names]
                return beating.pid == os.getpid(), len(beating.beats) > 5, values

            def loop(item):
                return sum(range(item))

            prologue = ["export OMP_NUM_THREADS=2"]
            with SLURMCluster(processes=4, job_script_prologue=prologue) as cluster:
                with Client(cluster) as client:
                    cluster.scale(jobs=1)
                    cluster.wait_for_workers(4, timeout=120)
                    print({{str(found) for found in client.run(look).values()}})
                    # Tasks that hold the lock, of very different lengths.
                    sizes = [10**6 if n % 10 else 10**7 for n in range(40)]
                    print(client.gather(client.map(loop, sizes)) == [*map(loop, sizes)])
            os.remove("beating.py")
            """
        )
    )
    assert printed.splitlines() == ["""{"(True, True, ['2', '65536'])"}""", "True"]
