"""What the toolkit does to the process that it is imported or interrupted in."""

import os
import signal
import subprocess
import sys

import pytest

INTERRUPTED = """
import dask_hpc
with dask_hpc.SLURMCluster() as cluster:
    cluster.scale(jobs=3)
    print("scaled", flush=True)
    {wait}
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_toolkit_is_light():
    heavy = "distributed dask_jobqueue matplotlib bokeh rich jinja2 pandas numpy yaml"
    code = f"import sys, dask_hpc.cli; print(*set('{heavy}'.split()) & set(sys.modules))"
    assert python(code) == ""


def test_importing_the_classes_leaves_ctrl_c_as_it_was():
    """What Python itself does at Ctrl-C is among the handlers of the test of a cluster's life."""
    assert (
        python(
            "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "from dask_hpc import SLURMCluster\n"
            "print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.signal.__module__)"
        )
        == "True signal"
    )


def test_importing_the_classes_works_in_a_thread():
    assert (
        python(
            "import threading\n"
            "def work():\n"
            "    from dask_hpc import SLURMCluster\n"
            "    print(SLURMCluster.__name__)\n"
            "thread = threading.Thread(target=work); thread.start(); thread.join()"
        )
        == "SLURMCluster"
    )


HANDLERS = """
import signal, threading
numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD]
def handlers():
    return [signal.getsignal(number) for number in numbers]
def own(*_): pass
signal.signal(signal.SIGTERM, own)
before = handlers()
import dask_hpc.cluster.mixin
print(handlers() == before)
def life():
    with dask_hpc.SLURMCluster() as cluster:
        cluster.scale(jobs=1)
        while not cluster.job_ids: pass
        print(handlers() == before)
{use}
print(handlers() == before)
"""


@pytest.mark.parametrize(
    "use",
    [
        "life()",
        pytest.param(
            "thread = threading.Thread(target=life); thread.start(); thread.join()",
            marks=pytest.mark.full,
        ),
    ],
    ids=["main thread", "another thread"],
)
def test_a_clusters_life_leaves_the_processs_signal_handlers_as_they_were(lab, tmp_path, use):
    import dask
    import yaml

    lab.hold()
    (tmp_path / "config").mkdir()
    settings = {"jobqueue": {"slurm": dask.config.get("jobqueue.slurm")}}
    (tmp_path / "config" / "lab.yaml").write_text(yaml.safe_dump(settings))
    done = subprocess.run(
        [sys.executable, "-c", HANDLERS.format(use=use)],
        env=os.environ | {"DASK_CONFIG": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.returncode) == (["True"] * 3, 0), done.stderr


@pytest.mark.parametrize(
    "wait",
    [
        "cluster.wait_for_workers(6)",
        pytest.param("import time; time.sleep(600)", marks=pytest.mark.full),
    ],
)
def test_ctrl_c_while_waiting_cancels_every_job_and_stays_a_keyboard_interrupt(lab, tmp_path, wait):
    import dask
    import yaml

    lab.hold()
    (tmp_path / "config").mkdir()
    settings = {"jobqueue": {"slurm": dask.config.get("jobqueue.slurm")}}
    (tmp_path / "config" / "lab.yaml").write_text(yaml.safe_dump(settings))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(wait=wait)],
        env=os.environ | {"DASK_CONFIG": str(tmp_path / "config")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group, as a terminal's foreground job has
    )
    try:
        assert process.stdout.readline() == "scaled\n"
        # At once, while sbatch runs: Ctrl-C reaches the whole group.
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    submitted = {script.stem for script in lab.folder.glob("*.script")}
    cancelled = {job for call in lab.calls("scancel") for job in call[1:]}
    assert submitted == cancelled
    assert len(lab.calls("scancel")) <= 2  # those known, and those that were just being submitted


def test_a_script_that_ends_without_closing_its_cluster_leaves_no_job(lab, tmp_path):
    import dask
    import yaml

    lab.hold()
    (tmp_path / "config").mkdir()
    settings = {"jobqueue": {"slurm": dask.config.get("jobqueue.slurm")}}
    (tmp_path / "config" / "lab.yaml").write_text(yaml.safe_dump(settings))
    code = (
        "import dask_hpc, time; cluster = dask_hpc.SLURMCluster(); cluster.scale(jobs=2)\n"
        "while len(cluster.job_ids) < 2: time.sleep(0.02)"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"DASK_CONFIG": str(tmp_path / "config")},
        check=True,
        timeout=60,
    )
    assert sorted(lab.calls("scancel")[0][1:]) == ["100", "101"]
