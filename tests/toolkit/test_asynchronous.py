"""Clusters on somebody else's event loop (asynchronous=True), as JupyterLab's panel has."""

import asyncio
import os
import subprocess
import sys

import dask
import pytest
import yaml

import dask_hpc

REFUSAL = "sbatch: error: Batch job submission failed: Invalid account"


def test_who_awaits_scale_is_told_of_a_refusal_and_can_try_again(lab):
    async def use():
        async with dask_hpc.SLURMCluster(asynchronous=True) as cluster:
            lab.says("sbatch", REFUSAL)
            with pytest.raises(dask_hpc.SubmitError, match="Invalid account") as caught:
                await cluster.scale(jobs=1)
            assert "\n" not in str(caught.value)
            lab.says("sbatch", None)
            await cluster.scale(jobs=1)  # told once; now the job is there when scale has returned
            return len(cluster.job_ids)

    assert asyncio.run(use()) == 1
    assert lab.all_gone()


# A coroutine that is dropped warns. `error` alone would count what other tests left open, too.
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_scale_need_not_be_awaited(lab):
    async def use():
        async with dask_hpc.SLURMCluster(asynchronous=True) as cluster:
            cluster.scale(jobs=1)
            while not cluster.job_ids:
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(use(), 60))


def test_wrong_interface_is_the_same_line(lab):
    async def use():
        await dask_hpc.SLURMCluster(asynchronous=True, interface="ib9")

    with pytest.raises(dask_hpc.ConfigError, match=r"ib9.*interface.*jobqueue\.slurm") as caught:
        asyncio.run(use())
    assert "\n" not in str(caught.value)


LEFT_OPEN = """
import asyncio, atexit
atexit.register(lambda: print(cluster.status.name))  # after Dask's own part of exiting
import dask_hpc.cluster.local
async def use():
    cluster = await dask_hpc.{cls}(asynchronous=True)
    await cluster.scale(jobs=2)
    {then}
    return cluster
if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    cluster = loop.run_until_complete(use())
"""


def left_open(tmp_path, cls, then=""):
    """Run a program whose event loop stops before its cluster is closed."""
    (tmp_path / "config").mkdir()
    settings = {"jobqueue": {"slurm": dask.config.get("jobqueue.slurm")}}
    (tmp_path / "config" / "lab.yaml").write_text(yaml.safe_dump(settings))
    program = tmp_path / "program.py"
    program.write_text(LEFT_OPEN.format(cls=cls, then=then))
    return subprocess.run(
        [sys.executable, program],
        env=os.environ | {"DASK_CONFIG": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "then",
    # With one call either way.
    [
        pytest.param("", id="left open"),
        pytest.param("await cluster.close()", id="closed", marks=pytest.mark.full),
    ],
)
def test_when_the_loop_ends_with_its_process_no_job_is_left(lab, tmp_path, then):
    lab.hold()
    done = left_open(tmp_path, "SLURMCluster", then)
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr
    [call] = lab.calls("scancel")
    assert sorted(call) == ["--quiet", "100", "101"]


@pytest.mark.full
def test_when_the_loop_ends_with_its_process_a_local_cluster_closes(lab, tmp_path):
    done = left_open(tmp_path, "cluster.local.LocalCluster")
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr
