"""The poller of the batch system's list, and cancelling; with fakes of its commands."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from dask_hpc import batch
from dask_hpc.batch import JobState, JobStatus, commands, describe
from dask_hpc.batch import watcher as batch_watcher
from dask_hpc.batch.canceller import BatchedCanceller

SLURM = batch.get("slurm")


@pytest.fixture
def quick(monkeypatch):
    """Make the poller's times a hundred times shorter."""
    for name in ("FIRST_POLL_S", "POLL_S", "QUIET_POLL_S"):
        monkeypatch.setattr(batch_watcher, name, getattr(batch_watcher, name) / 100)


@pytest.fixture
def listing(monkeypatch):
    """Return what the list command prints, as rows to be changed; `asked` has times and jobs."""

    class Listing(dict):
        def __init__(self):
            self.asked, self.error, self.elapsed = [], None, "0:05"
            # What sacct knows; None: there is none.
            self.accounting, self.accounted = None, []

        async def run(self, argv, **_):
            if argv[0] == "sacct":
                self.accounted.append(argv[-1].removeprefix("--jobs=").split(","))
                if self.accounting is None:
                    raise commands.CommandError("sacct", "Slurm accounting storage is disabled")
                rows = self.accounting.items()
                return "".join(f"{job}|{row}|00:00:05|dask\n" for job, row in rows)
            assert argv[0] == "squeue"
            self.asked.append((time.monotonic(), argv[-1].removeprefix("--jobs=").split(",")))
            if self.error:
                raise self.error
            rows = self.items()
            return "".join(f"{job}|{row}|{self.elapsed}|INVALID\n" for job, row in rows)

    listing = Listing()
    monkeypatch.setattr(commands, "run", listing.run)
    return listing


async def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        await asyncio.sleep(0.005)


def test_submission_and_every_change_are_events_and_subscribers_hear_them(quick, listing):
    async def life():
        watcher = batch_watcher.JobWatcher(SLURM)
        heard = []
        watcher.subscribe(heard.append)
        listing["7"] = "PENDING|Priority|"
        watcher.add("7")
        await until(lambda: len(watcher.events) == 2)
        listing["7"] = "PENDING|Resources|"
        await until(lambda: len(watcher.events) == 3)
        listing["7"] = "RUNNING|None|node1"
        await until(lambda: len(watcher.events) == 4)
        listing["7"] = "FAILED|NonZeroExitCode|node1"
        await until(lambda: len(watcher.events) == 5)
        await watcher.stop()
        return watcher, heard

    before = time.time()
    watcher, heard = asyncio.run(life())
    assert [(event.state, event.reason, event.node) for event in heard] == [
        (JobState.SUBMITTED, "", ""),
        (JobState.PENDING, "Priority", ""),
        (JobState.PENDING, "Resources", ""),
        (JobState.RUNNING, "", "node1"),
        (JobState.FAILED, "NonZeroExitCode", "node1"),
    ]
    assert heard == list(watcher.events)
    times = [event.time for event in heard]
    assert before <= times[0] <= times[-1] <= time.time()
    assert times == sorted(times)


def test_all_jobs_are_asked_about_in_one_call_and_ended_ones_no_more(quick, listing):
    async def life():
        watcher = batch_watcher.JobWatcher(SLURM)
        for job in ("1", "2", "3"):
            listing[job] = "RUNNING|None|node1"
            watcher.add(job)
        await until(lambda: listing.asked)
        listing["2"] = "COMPLETED|None|node1"
        await until(lambda: listing.asked[-1][1] == ["1", "3"])
        listing["1"] = listing["3"] = "COMPLETED|None|node1"
        await until(lambda: not watcher.active)
        asked = len(listing.asked)
        await asyncio.sleep(0.3)  # three times the longest pause of a watcher that still had jobs
        await watcher.stop()
        return asked

    asked = asyncio.run(life())
    assert listing.asked[0][1] == ["1", "2", "3"]
    assert len(listing.asked) == asked


def test_polling_becomes_rarer_and_soon_again_after_a_submission(quick, listing):
    listing.update({"1": "PENDING|Priority|", "2": "PENDING|Priority|"})

    async def life():
        watcher = batch_watcher.JobWatcher(SLURM)
        watcher.add("1")
        await until(lambda: len(listing.asked) == 13)
        watcher.add("2")
        added = time.monotonic()
        await until(lambda: len(listing.asked) == 14)
        await watcher.stop()
        return added

    added = asyncio.run(life())
    times = [at for at, _ in listing.asked]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[0] < batch_watcher.POLL_S < gaps[6] < batch_watcher.QUIET_POLL_S < gaps[11]
    assert times[13] - added < gaps[11] / 3


def test_a_list_command_that_fails_is_said_once_and_survived(quick, listing, caplog):
    async def life():
        watcher = batch_watcher.JobWatcher(SLURM)
        listing.error = commands.CommandError("squeue", "Unable to contact slurm controller")
        watcher.add("1")
        await until(lambda: len(listing.asked) == 4)
        listing.error = None
        listing["1"] = "RUNNING|None|node1"
        await until(lambda: watcher.jobs["1"].state is JobState.RUNNING)
        await watcher.stop()

    asyncio.run(life())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "Unable to contact slurm controller" in said[0]


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watched(listing):
    """Return an object that looks at the list of jobs; its `workers` are the jobs with workers."""

    class Watched:
        def __init__(self):
            self.clock, self.workers = Clock(), set()
            self.watcher = batch_watcher.JobWatcher(SLURM, "1", "2", clock=self.clock)
            self.watcher.has_workers = self.workers.__contains__

        def look(self, *pauses):
            for pause in pauses:
                self.clock.now += pause
                asyncio.run(self.watcher.poll())
                self.watcher._lock = None  # of a loop that is closed
            return [status.state for status in self.watcher.jobs.values()]

    listing.update({"1": "RUNNING|None|n1", "2": "RUNNING|None|n1"})
    return Watched()


def test_a_job_without_accounting_is_gone_only_after_many_looks_and_a_long_time(watched, listing):
    watched.look(0)
    del listing["1"]
    assert watched.look(*[2] * 30)[0] is JobState.RUNNING
    assert watched.look(29)[0] is JobState.RUNNING
    assert watched.look(3) == [JobState.GONE, JobState.RUNNING]
    assert watched.watcher.active == ["2"]


def test_a_long_time_without_a_look_is_no_knowledge(watched, listing):
    del listing["1"]
    assert watched.look(0, 1000)[0] is not JobState.GONE
    assert watched.look(2)[0] is JobState.GONE


def test_a_job_that_the_list_has_again_was_never_gone(watched, listing):
    row = listing.pop("1")
    watched.look(0, 60, 20)
    listing["1"] = row
    watched.look(1)
    del listing["1"]
    assert watched.look(1, 60, 20)[0] is JobState.RUNNING


def test_a_job_with_a_worker_is_not_over_whatever_the_list_leaves_out(watched, listing):
    del listing["1"]
    watched.workers.add("1")
    assert watched.look(*[30] * 20) == [JobState.RUNNING, JobState.RUNNING]
    watched.workers.clear()
    assert watched.look(30, 30)[0] is JobState.RUNNING
    assert watched.look(30, 30)[0] is JobState.GONE


@pytest.mark.parametrize(
    ("row", "state", "reason"),
    [
        ("CANCELLED by 1000|0:0|n1", JobState.CANCELLED, ""),
        ("COMPLETED|0:0|n1", JobState.DONE, ""),
        ("TIMEOUT|0:0|n1", JobState.TIMEOUT, "TimeLimit"),
        ("NODE_FAIL|0:0|n1", JobState.NODE_FAIL, ""),
        ("FAILED|1:0|n1", JobState.FAILED, "NonZeroExitCode"),
        ("FAILED|0:9|n1", JobState.FAILED, "RaisedSignal:9"),
    ],
)
def test_the_accounting_says_at_the_second_look_how_a_job_ended(
    watched, listing, row, state, reason
):
    del listing["1"]
    listing.accounting = {"1": row}
    assert watched.look(0)[0] is JobState.UNKNOWN
    assert listing.accounted == []
    watched.look(2)
    status = watched.watcher.jobs["1"]
    assert (status.state, status.reason, status.node) == (state, reason, "n1")
    assert listing.accounted == [["1"]]
    assert watched.watcher.active == ["2"]


def test_the_accounting_is_asked_rarely_and_may_be_late(watched, listing):
    del listing["1"]
    listing.accounting = {"1": "RUNNING|0:0|n1"}
    watched.look(*[1] * 20)
    assert len(listing.accounted) == 2
    assert watched.watcher.jobs["1"].state is JobState.RUNNING
    assert watched.look(60, 60, 60)[0] is JobState.RUNNING  # alive, by its word
    listing.accounting = {"1": "CANCELLED by 1000|0:0|n1"}
    assert watched.look(10)[0] is JobState.CANCELLED


def test_what_the_accounting_takes_for_alive_for_ever_is_gone_in_the_end(watched, listing):
    del listing["1"]
    listing.accounting = {"1": "RUNNING|0:0|n1"}
    assert watched.look(*[60] * 15)[0] is JobState.RUNNING
    assert watched.look(60)[0] is JobState.GONE


def test_a_job_that_has_lost_its_workers_may_have_ended_although_an_old_list_has_it(
    watched, listing
):
    watched.workers.update("12")
    listing.accounting = {"1": "CANCELLED by 1000|0:0|n1", "2": "RUNNING|0:0|n1"}
    watched.look(0, 5)
    assert listing.accounted == []
    watched.workers.remove("1")
    assert watched.look(1) == [JobState.CANCELLED, JobState.RUNNING]
    assert listing.accounted == [["1"]]


def test_an_old_list_that_has_a_job_pending_is_not_believed_against_its_workers(watched, listing):
    listing["1"] = "PENDING|Priority|"
    watched.workers.add("1")
    assert watched.look(0, 1)[0] is JobState.RUNNING
    watched.workers.clear()  # it is back in the queue
    assert watched.look(1)[0] is JobState.PENDING


def test_a_single_job_that_slurm_has_forgotten_is_not_a_failure(watched, listing, caplog):
    listing.error = commands.CommandError("squeue", "Invalid job id specified")
    listing.accounting = {"1": "COMPLETED|0:0|n1", "2": "COMPLETED|0:0|n1"}
    assert watched.look(0, 1) == [JobState.DONE, JobState.DONE]
    assert not caplog.records


def test_the_accounting_is_believed_against_workers_of_a_node_that_is_silent(watched, listing):
    del listing["1"]
    watched.workers.add("1")
    listing.accounting = {"1": "NODE_FAIL|0:0|n1"}
    assert watched.look(0, 1)[0] is JobState.NODE_FAIL


def test_a_job_that_is_taken_for_over_is_cancelled_so_that_it_is(slurm, monkeypatch):
    async def nothing(*_):
        return {}

    monkeypatch.setattr(batch_watcher, "list_jobs", nothing)
    monkeypatch.setattr(batch_watcher, "query_accounting", nothing)

    async def life():
        clock = Clock()
        watcher = batch_watcher.JobWatcher(SLURM, "1", "2", clock=clock)
        canceller = BatchedCanceller(SLURM, watcher)
        for _ in range(4):
            await watcher.poll()
            clock.now += 60
        await canceller.over()
        return [status.state for status in watcher.jobs.values()]

    assert asyncio.run(life()) == [JobState.GONE, JobState.GONE]
    assert slurm.calls("scancel") == [["--quiet", "1", "2"]]


def test_a_job_that_the_accounting_does_not_know_hides_no_other(monkeypatch):
    async def run(argv, **_):
        if argv[-1] == "1":
            raise commands.CommandError("qacct", "job id 1 not found")
        return "jobnumber 2\nfailed 0\nexit_status 0\n"

    monkeypatch.setattr(commands, "run", run)
    sge = batch.get("sge")
    assert asyncio.run(commands.query_accounting(sge, ["1", "2"])).keys() == {"2"}
    with pytest.raises(commands.CommandError, match="not found"):
        asyncio.run(commands.query_accounting(sge, ["1"]))


def test_a_missing_accounting_command_is_not_looked_for_again(watched, listing, monkeypatch):
    asked = []

    async def account(*_):
        asked.append(1)
        raise commands.CommandError("sacct", "command not found", missing=True)

    monkeypatch.setattr(batch_watcher, "query_accounting", account)
    listing.clear()
    watched.look(*[20] * 4)
    assert len(asked) == 1


def test_jobs_that_are_known_are_read_although_the_list_fails_for_forgotten_ones(monkeypatch):
    pbs = batch.get("pbs")

    async def run(argv, **_):
        # As OpenPBS 23.06 answers: the one on stdout, the other on stderr, exit code 153.
        out = "Job Id: 1.pbs\n    job_state = R\n    exec_host = node1/0*2\n"
        if "-x" in argv:
            return "Job Id: 2.pbs\n    job_state = F\n    substate = 91\n    Exit_status = 271\n"
        raise commands.CommandError("qstat", "Unknown Job Id 2.pbs", out=out)

    async def life():
        watcher = batch_watcher.JobWatcher(pbs, "1", "2")
        monkeypatch.setattr(commands, "run", run)
        await watcher.poll()
        await watcher.poll()
        return [(status.state, status.node) for status in watcher.jobs.values()]

    assert asyncio.run(life()) == [(JobState.RUNNING, "node1"), (JobState.CANCELLED, "")]


def test_a_users_array_is_one_job(watched, listing):
    listing.clear()
    listing.update(
        {
            "1_0": "COMPLETED|None|n1",
            "1_1": "RUNNING|None|n1",
            "1_[2-4%1]": "PENDING|JobArrayTaskLimit|",
            "2+0": "RUNNING|None|n1",
            "2+1": "RUNNING|None|n2",
        }
    )
    assert watched.look(0) == [JobState.RUNNING, JobState.RUNNING]
    assert [status.node for status in watched.watcher.jobs.values()] == ["n1", "n1,n2"]
    listing.clear()
    listing.update({"1_0": "COMPLETED|None|n1", "1_1": "CANCELLED|None|n1"})
    listing.accounting = {"2+0": "COMPLETED|0:0|n1", "2+1": "FAILED|1:0|n2"}
    assert watched.look(1, 1) == [JobState.CANCELLED, JobState.FAILED]


def test_what_a_user_has_set_for_a_command_is_not_for_ours(slurm, monkeypatch):
    names = ("SQUEUE_PARTITION", "SQUEUE_USERS", "SCANCEL_STATE", "SACCT_FORMAT", "LANG")
    for name in (*names, "SLURM_CONF", "SBATCH_PARTITION"):
        monkeypatch.setenv(name, "own")
    for command in ("squeue", "scancel", "sacct"):
        path = slurm.folder / "bin" / command
        path.write_text(f"#!/bin/sh\nenv > {slurm.folder}/{command}.env\n")
        path.chmod(0o755)
    asyncio.run(commands.list_jobs(SLURM, ["1"]))
    asyncio.run(commands.query_accounting(SLURM, ["1"]))
    asyncio.run(commands.cancel(SLURM, ["1"]))
    for command in ("squeue", "scancel", "sacct"):
        lines = (slurm.folder / f"{command}.env").read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        assert found.keys().isdisjoint(names[:-1])
        assert found["SLURM_CONF"] == "own"
        assert found["LC_ALL"] == "C"


def test_times_are_renewed_at_every_look_and_are_no_event(listing):
    async def life():
        watcher = batch_watcher.JobWatcher(SLURM, "1")
        listing["1"] = "RUNNING|None|n1"
        await watcher.poll()
        listing.elapsed = "1-00:00:07"
        assert not await watcher.poll()
        return watcher

    watcher = asyncio.run(life())
    assert watcher.jobs["1"].elapsed == 86407
    assert len(watcher.events) == 1


def test_a_slow_list_command_does_not_hold_up_the_event_loop(monkeypatch, slurm):
    squeue = slurm.folder / "bin" / "squeue"
    squeue.write_text("#!/bin/sh\nsleep 1\necho '1|RUNNING|None|node1|0:05|9:55'\n")

    async def life():
        watcher = batch_watcher.JobWatcher(SLURM, "1")
        poll = asyncio.create_task(watcher.poll())
        ticks = 0
        while not poll.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return ticks, watcher.jobs["1"].state

    ticks, state = asyncio.run(life())
    assert state is JobState.RUNNING
    assert ticks > 10


def test_a_list_command_that_hangs_is_ended(slurm):
    (slurm.folder / "bin" / "squeue").write_text("#!/bin/sh\nsleep 600\n")
    start = time.monotonic()
    with pytest.raises(commands.CommandError, match=r"no response within 0\.5 s"):
        asyncio.run(commands.run(["squeue"], timeout=0.5))
    assert time.monotonic() - start < 60


def test_stopping_ends_a_list_command_that_is_under_way(slurm):
    squeue = slurm.folder / "bin" / "squeue"
    squeue.write_text(f"#!/bin/sh\necho $$ > {slurm.folder / 'pid'}\nexec sleep 600\n")

    async def life():
        watcher = batch_watcher.JobWatcher(SLURM)
        watcher.add("1")
        await until((slurm.folder / "pid").exists)
        await until((slurm.folder / "pid").read_text)
        await watcher.stop()

    asyncio.run(life())
    assert not Path(f"/proc/{(slurm.folder / 'pid').read_text().strip()}").exists()


def test_a_failing_subscriber_does_not_stop_the_others_or_the_poller(quick, listing, caplog):
    async def life():
        watcher = batch_watcher.JobWatcher(SLURM)
        heard = []
        watcher.subscribe(lambda event: 1 / 0)
        watcher.subscribe(heard.append)
        listing["1"] = "RUNNING|None|node1"
        watcher.add("1")
        await until(lambda: len(heard) == 2)
        await watcher.stop()

    asyncio.run(life())
    assert "subscriber" in caplog.text


def test_cancel_is_one_call_for_all(slurm):
    asyncio.run(commands.cancel(SLURM, ["1", "2", "1", "3"]))
    assert slurm.calls("scancel") == [["--quiet", "1", "2", "3"]]
    asyncio.run(commands.cancel(SLURM, []))
    assert len(slurm.calls("scancel")) == 1


def test_cancelling_what_is_over_is_no_error_and_an_unreachable_slurm_is(slurm):
    slurm.says("scancel", "scancel: error: Kill job error on job id 1: Invalid job id specified")
    asyncio.run(commands.cancel(SLURM, ["1"]))
    slurm.says("scancel", "scancel: error: Unable to contact slurm controller (connect failure)")
    with pytest.raises(commands.CommandError, match="Unable to contact"):
        asyncio.run(commands.cancel(SLURM, ["1"]))


def test_a_commands_words_are_one_line_without_its_name(slurm):
    slurm.says("squeue", "squeue: error: one thing\nsqueue: error: one thing\n  another\n")
    with pytest.raises(commands.CommandError) as error:
        asyncio.run(commands.run(["squeue"]))
    assert error.value.words == "one thing; another"
    slurm.says("sbatch", "sbatch: fatal: --mem and --mem-per-cpu are mutually exclusive.")
    with pytest.raises(commands.CommandError) as error:
        asyncio.run(commands.run(["sbatch"]))
    assert error.value.words == "--mem and --mem-per-cpu are mutually exclusive."


def test_a_command_is_told_the_folder_where_python_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PWD", "/elsewhere")  # as os.chdir leaves it
    monkeypatch.chdir(tmp_path)
    assert asyncio.run(commands.run(["printenv", "PWD"])) == f"{tmp_path}\n"
    monkeypatch.delenv("PWD")
    assert asyncio.run(commands.run(["printenv", "PWD"])) == f"{tmp_path}\n"


def test_a_missing_command_is_told_from_a_failing_one():
    with pytest.raises(commands.CommandError) as error:
        asyncio.run(commands.run(["no-such-command-anywhere"]))
    assert error.value.missing


def test_jobs_with_the_same_to_say_are_described_together():
    told = describe.describe(
        SLURM,
        [
            JobStatus("1", JobState.PENDING, "Priority"),
            JobStatus("2", JobState.PENDING, "Priority"),
            JobStatus("3", JobState.RUNNING, "", "node1"),
            JobStatus("4", JobState.FAILED, "NonZeroExitCode", "node2"),
        ],
    )
    assert told == (
        "jobs 1, 2 pending: higher-priority jobs are ahead in the queue (Priority); "
        "job 3 running on node1, but not all workers have connected; "
        "job 4 ended on node2, failed: the command failed (NonZeroExitCode)"
    )


def test_watching_ends_although_it_is_stopped_in_the_moment_in_which_it_is_woken(listing):
    async def life(turns):
        watcher = batch_watcher.JobWatcher(SLURM, "7")
        watcher.add("7")
        await asyncio.sleep(0.01)  # it waits for the time of its first look
        watcher.start()
        for _ in range(turns):  # of the event loop, between waking and stopping
            await asyncio.sleep(0)
        _, unfinished = await asyncio.wait([asyncio.create_task(watcher.stop())], timeout=10)
        assert not unfinished

    for turns in range(4):
        asyncio.run(life(turns))
