"""Tasks that nobody waits for."""

import asyncio

from dask_hpc._asyncio import BackgroundTasks


def test_an_error_of_a_task_that_nobody_waits_for_is_logged(caplog):
    async def fail():
        raise ValueError("the reason")

    async def life():
        tasks = BackgroundTasks("Moving")
        tasks.spawn(fail())
        await tasks.wait()

    asyncio.run(life())
    [record] = caplog.records
    assert record.getMessage() == "Moving failed"
    assert str(record.exc_info[1]) == "the reason"


def test_tasks_are_over_when_they_have_tidied_up_after_being_cancelled(caplog):
    tidy = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            tidy.append(True)

    async def life():
        tasks = BackgroundTasks("Moving")
        tasks.spawn(work())
        await asyncio.sleep(0)
        tasks.cancel()
        await tasks.wait()
        return list(tidy)

    assert asyncio.run(life()) == [True]
    assert caplog.records == []


def test_the_task_that_cancels_the_others_goes_on():
    async def life():
        tasks, seen = BackgroundTasks("Moving"), []

        async def work():
            tasks.cancel()
            await asyncio.sleep(0)
            seen.append(True)

        await tasks.start(work())
        return seen

    assert asyncio.run(life()) == [True]
