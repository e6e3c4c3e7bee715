"""What workers used, and what to ask for next time."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dask_hpc import _process_use, resources
from dask_hpc.cluster.worker_events import LostTasksPlugin
from dask_hpc.resources import GIB, Request, ResourceUse, Sample

MINUTE = 60


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def use(samples, request, *, minutes=1, finished=100, cores=None):
    """Return the use by workers that report the same once a second."""
    clock = Clock()
    found = ResourceUse(request, clock=clock)
    found.held_cores = cores or request.cores
    for _ in range(int(minutes * MINUTE)):
        clock.now += 1
        found.add(samples, finished)
    return found


def job(memory="16 GiB", cores=8, processes=1, **kwargs):
    return Request(memory, cores, processes, "Each job asked for", **kwargs)


def worker(peak=2.1, limit=14.4, cores=7.6, tasks=8, slots=8, name="1", **kwargs):
    return Sample(name, peak * GIB, limit * GIB, cores, tasks, slots, **kwargs)


FACTS = "Each job asked for 16 GiB and 8 cores; its workers used {} and kept {} while tasks ran."
USUAL = FACTS.format("up to 2.1 GiB", "7.6 cores busy")


def test_a_job_that_used_little_memory_needs_less():
    assert use([worker()], job()).line() == f"{USUAL} Next time, ask for memory: 4 GiB."


@pytest.mark.parametrize(
    ("peak", "advice"),
    [
        (0.2, " Next time, ask for memory: 1 GiB."),
        (6.4, " Next time, ask for memory: 12 GiB."),
        (6.5, ""),  # 14 of 16 GiB: not worth it
        (8.6, ""),  # where Dask would begin to move data to disk
        (11.5, ""),
        (11.6, " Next time, ask for memory: 24 GiB."),
        (14.0, " Next time, ask for memory: 28 GiB."),
    ],
)
def test_what_to_ask_follows_from_the_peak(peak, advice):
    line = use([worker(peak)], job()).line()
    full = " (nearly all they may use)" if peak > 11.5 else ""
    assert line == FACTS.format(f"up to {peak} GiB{full}", "7.6 cores busy") + advice


def test_the_largest_worker_counts_for_all_of_a_job_since_they_share_equally():
    workers = [worker(0.2, 3.6, 1, 2, 2), *[worker(0.5, 3.6, 1, 2, 2)] * 3]
    line = use(workers, job(processes=4)).line()
    assert line.startswith(FACTS.format("up to 2.0 GiB", "4.0 cores busy"))
    assert line.endswith(" Next time, ask for memory: 4 GiB.")


def test_more_workers_than_planned_in_a_job_count():
    line = use([worker(0.5, tasks=2, slots=2)] * 4, job(processes=1)).line()
    assert "up to 2.0 GiB" in line
    assert "cores:" not in line


def test_workers_that_wait_are_no_reason_for_fewer_cores():
    line = use([worker(cores=0.04)], job()).line()
    assert line == (
        FACTS.format("up to 2.1 GiB", "0.0 cores busy") + " Next time, ask for memory: 4 GiB."
    )


def test_slots_that_were_never_used_are():
    line = use([worker(6.4, cores=1.9, tasks=2)], job()).line()
    assert line == (
        FACTS.format("up to 6.4 GiB", "1.9 cores busy")
        + " At most 2 of a job's 8 slots had tasks at once."
        + " Next time, ask for memory: 12 GiB, cores: 2."
    )


def test_workers_that_were_never_used_are():
    workers = [worker(0.3, 1.8, 0.9, 1, 1), *[worker(0.1, 1.8, 0.0, 0, 1)] * 7]
    line = use(workers, job(processes=8)).line()
    assert line.endswith(" Next time, ask for memory: 1 GiB, cores: 1, processes: 1.")


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(([worker(cores=7.9, tasks=1)], job()), id="one task with threads of its own"),
        pytest.param(([worker(cores=4.9, tasks=5)], job()), id="more than half of the slots"),
        pytest.param(
            ([worker(tasks=3, cores=1, name="1"), worker(tasks=6, cores=1, name="2")], job()),
            id="another job used them",
        ),
    ],
)
def test_no_fewer_cores_are_advised_where_they_may_be_needed(quiet):
    assert "cores:" not in use(*quiet).line()


def test_cores_that_other_keys_ask_for_are_told_and_not_advised():
    line = use([worker(tasks=1, cores=1)], job(), cores=32).line()
    assert "and 32 cores; its" in line
    assert "1.0 cores busy" in line
    assert "cores:" not in line


def test_memory_that_other_keys_ask_for_is_advised_without_the_key():
    line = use([worker()], job(has_own_memory=True)).line()
    assert line.endswith("Next time, ask for 4 GiB.")


def test_slots_that_were_free_may_need_memory_next_time():
    # One task that keeps eight cores busy used 2.1 GiB; eight of them would use eight times that.
    assert use([worker(cores=7.6, tasks=1)], job()).line() == USUAL


def test_the_program_of_dask_hpc_run_has_an_equal_part_of_the_memory():
    workers = [worker(0.5, 1.6, tasks=1, slots=1)] * 8
    used = use(workers, job(processes=8))
    assert "up to 4.0 GiB" in used.line()
    assert used.line().endswith("memory: 8 GiB.")
    line = used.line(program=1.0 * GIB)
    assert "up to 5.0 GiB" in line
    assert "Next time" not in line  # nine parts of 1 GiB
    assert "cores:" not in use([worker(tasks=1, cores=1)], job()).line(program=GIB)


@pytest.mark.parametrize(
    "lacking",
    [
        pytest.param({"minutes": 0.4}, id="seconds"),
        pytest.param({"samples": [worker(tasks=0)]}, id="no task"),
        pytest.param({"samples": []}, id="no worker"),
    ],
)
def test_with_too_little_data_nothing_is_said(lacking):
    assert use(lacking.pop("samples", [worker()]), job(), **lacking).line() == ""


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([worker(is_exact=False)], id="peaks between heartbeats are unknown"),
        pytest.param("died", id="a worker died"),
        pytest.param("unfinished", id="no first wave of tasks has finished"),
    ],
)
def test_without_certainty_nothing_is_advised(samples):
    finished = 7 if samples == "unfinished" else 100
    used = use([worker()] if isinstance(samples, str) else samples, job(), finished=finished)
    if samples == "died":
        used.worker_died()
    bound = "up to" if finished == 7 else "at least"
    more = " Workers that died may have needed more." if samples == "died" else ""
    assert used.line() == FACTS.format(f"{bound} 2.1 GiB", "7.6 cores busy") + more


def test_what_programs_use_that_tasks_start_is_not_known():
    used = use([worker(programs=True, cores=0.1)], job())
    assert used.line().endswith("while tasks ran. Programs that tasks start are not counted.")


def test_time_in_which_this_process_was_suspended_does_not_count():
    clock = Clock()
    used = ResourceUse(job(), clock=clock)
    clock.now += 3600
    used.add([worker()], 100)
    assert used.task_seconds == resources.MAX_GAP_S
    assert used.line() == ""  # since it was looked at only once


def test_a_few_looks_are_no_reason_for_advice():
    assert use([worker()], job(), minutes=1).line()
    clock = Clock()
    used = ResourceUse(job(), clock=clock)
    for _ in range(resources.MIN_LOOKS):
        assert used.line() == ""
        clock.now += 20
        used.add([worker()], 100)
    assert used.line()


def test_core_use_is_that_of_all_jobs_while_any_task_ran():
    clock = Clock()
    used = ResourceUse(job(), clock=clock)
    for tasks in (8, 0):
        for _ in range(60):
            clock.now += 1
            idle = worker(cores=0, tasks=0, name="2")
            used.add([worker(cores=tasks, tasks=tasks), idle], 100)
    assert "kept 4.0 cores busy" in used.line()


@pytest.mark.parametrize("size", [0.1, 1, 1.1, 7.5, 8.1, 17, 100, 1000])
def test_suggestions_are_round_and_no_less_than_needed(size):
    found = resources.round_up(size * GIB)
    assert size <= found <= max(1, size + 1, 1.25 * size + 1)
    assert f"{found:b}".rstrip("0").__len__() <= 3


# --- from Dask ----------------------------------------------------------------------------------


def state(own=None, **metrics):
    """Return a worker as the scheduler has it."""
    metrics = {"memory": GIB, "cpu": 150.0, "task_counts": {"executing": 2}} | metrics
    return SimpleNamespace(
        address="tcp://1:1",
        nthreads=4,
        memory_limit=4 * GIB,
        metrics=metrics if own is None else metrics | {_process_use.NAME: own},
    )


def test_a_heartbeat_becomes_a_sample():
    own = {"peak": 3 * GIB, "programs-cpu": 0.3, "programs": False}
    assert resources.sample(state(own), "1") == Sample("1", 3 * GIB, 4 * GIB, 1.5, 2, 4)
    own["programs-cpu"] = 5.0
    assert resources.sample(state(own), "1").programs


def test_without_the_workers_own_figures_dasks_are_taken():
    plain = resources.sample(state(), "1")
    assert (plain.peak, plain.is_exact, plain.programs) == (GIB, False, False)
    elsewhere = resources.sample(state({"peak": None, "programs-cpu": 0.0, "programs": False}), "1")
    assert not elsewhere.is_exact  # no Linux


def test_looks_are_as_often_as_heartbeats_and_never_raise():
    clock = Clock()
    looked = []
    used = ResourceUse(job(), looked.append, clock)
    prefixes = {"f": SimpleNamespace(state_counts={"memory": 3})}
    workers = {number: state() for number in range(1000)}
    scheduler = SimpleNamespace(workers=workers, task_prefixes=prefixes)
    for _ in range(12):
        clock.now += 1
        used.look_at(scheduler)
    assert len(looked) == 2 * 1000  # every 6 s
    used.look_at(scheduler, now=True)
    assert len(looked) == 3 * 1000
    used.look_at(None)
    used.look_at(SimpleNamespace(), now=True)
    workers[0].metrics = {"memory": "?"}
    used.look_at(scheduler, now=True)
    used.task_seconds, used._looks = MINUTE, MINUTE
    used._slot_seconds = 0
    assert used.line() == ""


@pytest.mark.parametrize(
    ("removal", "lost"),
    [
        ({"expected": False, "processing-tasks": {"x": 1}}, True),
        ({"expected": False, "processing-tasks": {}}, False),
        ({"expected": True, "processing-tasks": {"x": 1}}, False),
    ],
)
def test_a_worker_that_leaves_unasked_with_tasks_may_have_needed_more(removal, lost):
    used = ResourceUse(job())
    plugin = LostTasksPlugin(used.worker_died)
    events = [(1.0, {"action": "add-worker"}), (2.0, {"action": "remove-worker"} | removal)]
    plugin.remove_worker(SimpleNamespace(get_events=lambda worker: events), "tcp://1:1")
    assert used._died is lost


# --- from the process -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_process_knows_its_own_peak_and_whether_it_has_children():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import _process_use as it, os\n"
        "before = it.metric(); block = bytearray(100 << 20); del block\n"
        "def tell():\n"
        "    now = it.metric(); print(now['peak'] - before['peak'] >> 20, now['programs'])\n"
        "read, write = os.pipe()\n"
        "if not (child := os.fork()): os.read(read, 1); tell(); sys.exit()\n"
        "tell(); os.write(write, b'.'); os.waitpid(child, 0); tell()\n"
    )
    folder = str(Path(_process_use.__file__).parent)
    words = [sys.executable, "-SEuc", code, folder]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    before, child, after = (line.split() for line in done.stdout.splitlines())
    assert (before[1], child[1], after[1]) == ("True", "False", "False")
    assert int(child[0]) < 5
    assert all(95 < int(it[0]) < 110 for it in (before, after))


def test_without_proc_the_peak_is_unknown(monkeypatch):
    def refuse(*_):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)
    assert _process_use.peak_memory() is None
