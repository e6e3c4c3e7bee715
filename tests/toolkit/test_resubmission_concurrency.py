"""A cluster is closed or scaled while something else is still under way: nothing is lost."""

import asyncio

import pytest

import dask_hpc

from .conftest import submissions, until


@pytest.fixture
def slow_submission(lab):
    """Return a function that makes each `sbatch` take a second from now on."""

    def slow():
        path = lab.folder / "bin" / "sbatch"
        path.write_text(path.read_text().replace("exec ", "sleep 1\nexec ", 1))

    return slow


def test_closing_cancels_the_job_that_is_being_submitted_again(lab, held, slow_submission):
    slow_submission()
    lab.state("100", "NODE_FAIL", "NodeDown", "node1")
    until(lambda: held._control.replacements.is_submitting)
    held.close(timeout=30)
    assert held.status.name == "closed"
    assert submissions(lab) == 3
    cancelled = {job for call in lab.calls("scancel") for job in call}
    assert {"101", "102"} <= cancelled


def test_scale_that_nobody_waits_for_breaks_nothing(lab, monkeypatch):
    retire = dask_hpc.cluster.control.retire

    async def slow_retire(*arguments):
        await asyncio.sleep(1)
        return await retire(*arguments)

    monkeypatch.setattr(dask_hpc.cluster.control, "retire", slow_retire)

    async def main():
        lab.hold()
        async with dask_hpc.SLURMCluster(asynchronous=True) as cluster:
            await cluster.scale(jobs=2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(cluster.scale(jobs=1)), 0.0)
            await asyncio.wait_for(cluster.scale(jobs=3), 20)
            return len(cluster.job_ids)

    assert asyncio.run(asyncio.wait_for(main(), 90)) >= 3
