"""Sweeps on a cluster of threads: what is computed, saved, and said."""

import functools
import gc
import importlib
import itertools
import json
import math
import os
import pickle
import signal
import threading
import time
import types
import weakref
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import distributed
import pytest
from distributed.scheduler import KilledWorker

import dask_hpc
from dask_hpc import SweepChangedError, SweepError, SweepFolderError, SweepInUseError, sweep
from dask_hpc._sweep import run as sweep_run
from dask_hpc._sweep import session as sweep_session
from dask_hpc._sweep.lock import FolderLock
from dask_hpc._sweep.store import load
from dask_hpc._sweep.worker import Batch

from .conftest import until

pytestmark = pytest.mark.xdist_group("sweep")

calls = []


def square(x):
    calls.append(x)
    if x in (3, 13):
        raise ValueError(f"{x} is\nunlucky")
    return x**2


def add(x, step=1):
    return x + step


def summary(capsys):
    """Return the lines at the end, without those on the way, which a slow computer shows."""
    return [line for line in capsys.readouterr().err.splitlines() if " left" not in line]


@pytest.fixture(scope="module")
def cluster():
    options = {"n_workers": 1, "threads_per_worker": 4, "processes": False}
    with dask_hpc.LocalCluster(**options, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def client(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls.clear()
    with distributed.Client(cluster) as client:
        yield client


def test_results_are_in_order_and_failures_are_kept_apart(client, capsys):
    results = sweep(square, range(20))
    assert [r for r in results if not isinstance(r, type(results.failed[0]))] == [
        n**2 for n in range(20) if n not in (3, 13)
    ]
    first, second = results.failed
    assert (first.input, second.input) == (3, 13)
    assert first.error == "ValueError: 3 is unlucky"
    assert first.traceback.startswith("Traceback (most recent call last)")
    assert first.traceback.endswith("unlucky\n")
    assert "in square" in first.traceback
    assert "worker.py" not in first.traceback  # not the toolkit's own frames
    assert results[3] == first
    lines = summary(capsys)
    assert lines[0].startswith("20 inputs: 18 done, 2 failed, in ")
    assert lines[1] == "  failed: 3: ValueError: 3 is unlucky"


def test_a_second_run_computes_only_what_is_missing(client, capsys):
    sweep(square, [1, 2, 3])
    assert list(sweep(square, [5, 2, 1], progress=False)) == [25, 4, 1]
    assert sorted(calls) == [1, 2, 3, 5]
    assert len(summary(capsys)) == 3  # of the first run
    assert list(sweep.results()) == [25, 4, 1]


def test_nothing_is_started_when_everything_is_there(client, monkeypatch):
    sweep(square, [1, 2])
    client.close()
    monkeypatch.setattr(sweep_run, "open_client", lambda *_: pytest.fail("a client was opened"))
    assert list(sweep(square, [1, 2])) == [1, 4]


def test_failed_inputs_are_tried_again_only_if_asked(client, monkeypatch):
    sweep(square, [3, 3, 4, 3])
    sweep(square, [3, 3, 4, 3])
    assert sorted(calls) == [3, 4]
    assert len(sweep(square, [3, 3, 4, 3], retry_failed=True).failed) == 3
    assert sorted(calls) == [3, 3, 4]


def test_equal_inputs_are_computed_once_and_have_their_places(client):
    assert list(sweep(square, [2, 1, 2, 2])) == [4, 1, 4, 4]
    assert sorted(calls) == [1, 2]
    assert sweep.status().done == 4


def test_pairs_come_as_they_complete_with_those_of_earlier_runs(client):
    sweep(add, [1, 2])
    found = dict(sweep.as_completed(add, [1, 2, 3, 4]))
    assert found == {1: 2, 2: 3, 3: 4, 4: 5}
    assert list(sweep.results()) == [2, 3, 4, 5]


def test_a_loop_that_ends_early_keeps_its_results_and_frees_the_folder(client):
    for _ in sweep.as_completed(add, itertools.count()):  # without end
        break
    assert sweep.status().running is None
    done = sweep.status().done
    assert done > 0
    assert sweep.status().total is None
    assert list(sweep(add, range(done))) == list(range(1, done + 1))


def test_a_generator_has_a_total_once_it_has_ended(client):
    assert len(sweep(add, (n for n in range(50)))) == 50
    assert (sweep.status().total, sweep.status().left) == (50, 0)


def test_arguments_of_each_call_make_other_inputs(client):
    assert list(sweep(add, [1, 2])) == [2, 3]
    assert list(sweep(add, [1, 2], kwargs={"step": 5})) == [6, 7]
    assert list(sweep(functools.partial(add, step=7), [1, 2])) == [8, 9]
    assert list(sweep(add, [1, 2])) == [2, 3]


def version(step, name="measure"):
    def measure(x):
        calls.append(x)
        return x + step

    measure.__qualname__ = name
    return measure


def test_changed_code_is_refused_computed_again_or_kept(client):
    sweep(version(1), [1, 2])
    with pytest.raises(SweepChangedError) as caught:
        sweep(version(2), [1, 2])
    assert 'changed="rerun"' in str(caught.value)
    assert 'changed="keep"' in str(caught.value)
    assert list(sweep.results()) == [2, 3]
    assert list(sweep(version(2), [1, 2, 3], changed="keep")) == [2, 3, 5]
    assert list(sweep(version(2), [1, 2, 3])) == [2, 3, 5]  # the answer is remembered
    assert list(sweep(version(3), [1, 2, 3], changed="rerun")) == [4, 5, 6]
    calls.clear()
    assert list(sweep(version(1), [1, 2], changed="rerun")) == [2, 3]  # saved in the first place
    assert calls == []


def test_another_function_needs_another_folder(client):
    sweep(version(1), [1])
    with pytest.raises(SweepChangedError, match=r"has results of .*:measure, not of .*:other: "):
        sweep(version(1, "other"), [1])
    with pytest.raises(SweepChangedError):
        sweep(version(1, "other"), [1], changed="rerun")
    assert list(sweep(version(1, "other"), [1, 2], changed="keep")) == [2, 3]


def test_a_file_that_changed_is_computed_again(client):
    for name in "ab":
        Path(f"{name}.txt").write_text(name)
    paths = [Path("a.txt"), Path("b.txt")]
    assert list(sweep(Path.read_text, paths)) == ["a", "b"]
    paths[1].write_text("more")
    assert list(sweep(Path.read_text, paths)) == ["a", "more"]


def test_large_results_are_written_by_workers(client):
    paths = list(sweep(add, [1, 2], results="files"))
    assert [pickle.loads(path.read_bytes()) for path in paths] == [2, 3]
    assert all(path.parent == Path("results/files") for path in paths)
    paths[0].unlink()
    paths = list(sweep(add, [1, 2], results="files"))
    assert [pickle.loads(path.read_bytes()) for path in paths] == [2, 3]
    assert sorted(Path("results/files").iterdir()) == sorted(paths)  # nothing partial


@pytest.mark.full  # it starts workers that are processes
def test_workers_that_imported_another_version_compute_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = tmp_path / "versioned.py"
    path.write_text("def f(x):\n    return x + 1\n")
    module = importlib.import_module("versioned")
    with dask_hpc.LocalCluster(n_workers=2, dashboard_address=None) as cluster:
        with distributed.Client(cluster):
            assert list(sweep(module.f, range(10))) == list(range(1, 11))
            path.write_text("def f(x):\n    return x + 200\n")
            os.utime(path, (1, 1))
            importlib.reload(module)
            with pytest.raises(SweepError, match=r"another version of versioned:f .* start Python"):
                sweep(module.f, range(10), changed="rerun")
    with dask_hpc.LocalCluster(n_workers=2, dashboard_address=None) as cluster:
        with distributed.Client(cluster):
            assert list(sweep(module.f, range(10))) == list(range(200, 210))


def test_a_worker_tells_the_version_that_it_has(client, monkeypatch):
    monkeypatch.setattr(sweep_session, "bytecode_digest", lambda _: (MAGIC_NUMBER, "another"))
    with pytest.raises(SweepError, match=r"another version of .*:add .* start Python"):
        sweep(add, [1])
    monkeypatch.setattr(sweep_session, "bytecode_digest", lambda _: (b"3.99", "another"))
    assert list(sweep(add, [1])) == [2]


def test_a_file_that_was_edited_after_its_import_is_told(client, tmp_path, monkeypatch):
    """What runs would be the old code, and the user would take its results for the new one's."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "edited.py"
    path.write_text("def f(x):\n    return x + 1\n")
    module = importlib.import_module("edited")
    assert list(sweep(module.f, [1])) == [2]
    path.write_text("import os\n\n\ndef f(x):\n    return x + 1\n")
    assert list(sweep(module.f, [1])) == [2]  # it has only moved
    path.write_text("def f(x):\n    return x + 2\n")
    for changed in ("refuse", "rerun", "keep"):
        with pytest.raises(
            SweepChangedError, match=r"edited\.py was edited after .* edited:f .*start"
        ):
            sweep(module.f, [1], changed=changed)
    path.write_text("def f(x):\n    return x + 1\n")
    assert list(sweep(module.f, [1])) == [2]


def test_a_folder_of_something_else_is_refused_and_results_stay_out_of_git(client, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/1.txt").touch()
    with pytest.raises(SweepFolderError, match=r"folder data has other files, such as 1\.txt: "):
        sweep(add, [1], "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["1.txt"]
    sweep(add, [1], "new")
    assert (tmp_path / "new/.gitignore").read_text() == "*\n"
    (tmp_path / "new/notes.txt").touch()
    assert list(sweep(add, [1, 2], "new")) == [2, 3]


def test_what_is_saved_counts_before_it_is_taken_again(client, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "dask_hpc._sweep.display.Display.update",
        lambda self, counts, slots: seen.append(counts.known + counts.failed),
    )
    inputs = [0, 1, 2, 4, 5, 6, 7, 8]
    sweep(square, inputs[4:])
    sweep(square, inputs)
    seen.clear()
    sweep(square, [20, *inputs[1:]])
    assert min(seen) == 7
    assert max(seen) == 8


def test_a_result_that_cannot_be_pickled_is_told(client):
    [failure] = sweep(lambda _: threading.Lock(), [1]).failed
    assert failure.error.startswith("TypeError: the result, a lock, cannot be saved: cannot pickle")


def test_short_calls_are_batched(client, monkeypatch):
    sizes = []
    original = Batch.__call__

    def call(self, pickled):
        found = original(self, pickled)
        sizes.append(len(pickle.loads(found)[0]))
        return found

    monkeypatch.setattr(Batch, "__call__", call)
    assert list(sweep(add, range(20_000))) == list(range(1, 20_001))
    assert sum(sizes) == 20_000
    assert max(sizes) > 50
    assert len(sizes) < 1000


def test_some_workers_begin_before_all_calls_are_sent(client, monkeypatch):
    sizes = []
    original = distributed.Client.map

    def send(self, function, inputs, **kwargs):
        sizes.append(len(inputs))
        return original(self, function, inputs, **kwargs)

    monkeypatch.setattr(distributed.Client, "map", send)
    assert list(sweep(add, range(4))) == [1, 2, 3, 4]
    assert sizes == [1, 3]  # on four threads


def nap(x):
    time.sleep(0.5 if x == 500 else 0.0005)
    return x


def test_a_slow_call_does_not_hold_up_its_batch(client, monkeypatch):
    """The rest of its batch is sent again, and nothing is computed twice."""
    monkeypatch.setattr(Batch, "__call__", Batch.__call__)
    short = []
    original = Batch.__call__

    def call(self, pickled):
        found = original(self, pickled)
        short.append(len(pickle.loads(pickled)) - len(pickle.loads(found)[0]))
        return found

    monkeypatch.setattr(Batch, "__call__", call)
    assert list(sweep(nap, range(1000))) == list(range(1000))
    assert sum(short) > 0


def test_an_input_that_kills_workers_is_found(client, monkeypatch):
    original = Batch.__call__

    def call(self, pickled):
        inputs = [value for _, value in pickle.loads(pickled)]
        if 77 in inputs:
            raise KilledWorker("task", types.SimpleNamespace(address="tcp://x"), 3)
        return original(self, pickled)

    monkeypatch.setattr(Batch, "__call__", call)
    results = sweep(add, range(2000))
    (failure,) = results.failed
    assert failure.input == 77
    assert failure.error.startswith("distributed.scheduler.KilledWorker")
    assert len(results) == 2000


def test_workers_that_cannot_load_the_function_end_the_sweep(client, monkeypatch):
    pickled = b"cno_such_module\nf\n."
    monkeypatch.setattr(sweep_session.pickling, "dump_function", lambda *_: pickled)
    with pytest.raises(SweepError) as caught:
        sweep(add, range(20))
    line = str(caught.value)
    assert line.startswith("The workers cannot run the function: ModuleNotFoundError: No module")


def test_a_result_that_cannot_be_pickled_is_a_failure(client):
    def lock(x):
        return threading.Lock() if x else 0

    (failure,) = sweep(lock, [0, 1]).failed
    assert "pickle" in failure.error


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        ((square, []), {}, "There are no inputs: the list is empty."),
        ((square, iter([])), {}, "There are no inputs: the list is empty."),
        ((square, "data/*.nc"), {}, "inputs has to be a list, not 'data/*.nc'. For files: "),
        ((square, 5), {}, "inputs has to be a list or a generator, not int."),
        (([1], square), {}, "The first argument has to be a function, not [1]: "),
        (
            (math.hypot, [1]),
            {"changed": "no"},
            'changed has to be one of "refuse", "rerun", "keep"',
        ),
        ((square, [1]), {"files": "size"}, 'files has to be one of "time", "hash", not \'size\'.'),
        ((square, [1]), {"results": "disk"}, 'results has to be one of "shards", "files"'),
        ((square, [1]), {"jobs": 0}, "jobs has to be a positive integer, not 0."),
        ((lambda a, b: a, [1]), {}, "missing a required argument: 'b'"),
        ((add, [1]), {"kwargs": {"steps": 1}}, "got an unexpected keyword argument 'steps'"),
        (
            (square, [1]),
            {"client": "tcp://"},
            "client has to be a dask.distributed.Client, not str.",
        ),
    ],
)
def test_mistakes_are_one_line(client, arguments, options, line):
    with pytest.raises(SweepError) as caught:
        sweep(*arguments, **options)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


async def wait(x):
    return x


def test_async_functions_are_refused(client):
    with pytest.raises(SweepError, match=r"wait is an `async def` function: write it with `def`\."):
        sweep(wait, [1])


class Holder:
    def __init__(self):
        self.lock = threading.Lock()

    def __dask_tokenize__(self):
        return "holder"

    def method(self, x):
        return x


def with_variable(lock):
    def f(x):
        return lock or x

    return f


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (with_variable(Holder()), r"The variable `lock` \(of type Holder\)"),
        (Holder().method, r"The attribute `lock` of its Holder \(of type lock\)"),
        (functools.partial(add, step=Holder()), r"The argument `step` \(of type Holder\)"),
    ],
)
def test_the_part_of_a_function_that_cannot_be_sent_is_named(client, function, part):
    with pytest.raises(SweepError, match=rf"cannot be sent to workers\. {part} cannot be pickled"):
        sweep(function, [1])


def test_an_input_that_cannot_be_sent_is_named(client):
    with pytest.raises(SweepError, match=r"^The input <.*Holder.*> \(of type Holder\) cannot be"):
        sweep(print, [1, 2, Holder()])


def test_two_sweeps_on_one_folder(client):
    pairs = sweep.as_completed(add, [1, 2])
    next(pairs)
    with pytest.raises(SweepInUseError, match="results is in use by a sweep of "):
        sweep(add, [1])
    assert sweep.status().running
    assert len(list(pairs)) == 1


def test_a_file_in_the_place_of_the_folder(client):
    Path("results").touch()
    with pytest.raises(SweepFolderError, match=r"^Cannot save results in results: .* with out=\.$"):
        sweep(add, [1])


def test_a_folder_without_a_sweep(client):
    for function in (sweep.results, sweep.status):
        with pytest.raises(SweepError, match=r"^No sweep has saved results in nothing\.$"):
            function("nothing")


def test_a_sweep_that_has_saved_nothing_yet(client, tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    for function in (sweep.results, sweep.status):
        with pytest.raises(
            SweepError, match=r"^Nothing is saved in .* It is in use by a sweep of "
        ):
            function(tmp_path)
    lock.release()


def test_a_full_disk_ends_the_sweep_and_the_next_one_goes_on(client, monkeypatch):
    real = Path.open
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")

    def full(path, *arguments, **options):
        place = Path("/dev/full") if path.suffix == ".shard" else path
        mode = ("wb", *arguments[1:]) if path.suffix == ".shard" else arguments
        return real(place, *mode, **options)

    sweep(add, [1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(
            Path, "open", lambda p, *a, **k: full(p, *a, **k) if "xb" in a else real(p, *a, **k)
        )
        with pytest.raises(SweepFolderError, match="No space left on device"):
            sweep(add, range(10))
    assert sweep.status().running is None
    assert list(sweep(add, range(10))) == list(range(1, 11))


def test_an_interrupt_is_one_line_and_the_next_run_goes_on(client):
    def numbers():
        yield from (0, 1, 2, 4)
        while not (list(Path("results").glob("*.shard")) and sweep.status().done >= 4):
            time.sleep(0.01)
            yield 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        sweep(square, numbers())
    assert "inputs are saved in results. Run the same line again to go on." in str(caught.value)
    assert str(caught.value).startswith("Sweep interrupted. ")
    assert sweep.status().running is None
    calls.clear()
    assert list(sweep(square, [0, 1, 2, 4, 5])) == [0, 1, 4, 16, 25]
    assert calls == [5]


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also where these tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupt_in_collector(ctrl_c):
    """Ctrl-C comes while Python calls back in the next garbage collection of the main thread."""
    interrupted = []

    def callback(phase, info):
        if threading.current_thread() is threading.main_thread() and not interrupted:
            interrupted.append(phase)
            signal.raise_signal(signal.SIGINT)

    def prepare():
        gc.callbacks.append(callback)

    yield prepare
    gc.callbacks.remove(callback)
    assert interrupted


def numbers_and(interrupt):
    """Yield numbers; Ctrl-C comes after some."""
    yield from range(1000)
    interrupt()
    for _ in range(100):
        yield from range(1000)
        time.sleep(0.1)


def test_an_interrupt_in_a_callback_of_the_collector_ends_the_sweep(client, interrupt_in_collector):
    def interrupt():
        interrupt_in_collector()
        gc.collect()

    with pytest.raises(KeyboardInterrupt, match=r"^Sweep interrupted\. \d+ inputs are saved"):
        sweep(square, numbers_and(interrupt))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_callback_of_a_weak_reference_ends_the_sweep(client, ctrl_c):
    def interrupt():
        gone = threading.Event()
        reference = weakref.ref(gone, lambda _: signal.raise_signal(signal.SIGINT))
        del gone
        assert reference() is None

    with pytest.raises(KeyboardInterrupt, match=r"^Sweep interrupted\. \d+ inputs are saved"):
        sweep(square, numbers_and(interrupt))


def test_an_interrupt_that_the_loop_of_the_caller_handles_goes_on(client, ctrl_c):
    for number, _ in sweep.as_completed(square, range(100)):
        if number == 50:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert len(sweep.results()) == 100


def test_results_are_saved_while_a_generator_is_slow(client):
    happened = []

    def numbers():
        for number in range(10):
            happened.append(f"taken {number}")
            yield number
            time.sleep(0.2)

    for number, _ in sweep.as_completed(add, numbers()):
        happened.append(f"saved {number}")
    assert [it for it in happened if it.startswith("saved")] == [f"saved {n}" for n in range(10)]
    assert happened.index("saved 0") < happened.index("taken 9")


def test_what_is_on_its_way_is_cancelled_at_the_end_of_the_loop(client, cluster, tmp_path):
    def touch(number):
        time.sleep(0.15)  # not batched: all are sent at once, when the first results are there
        (tmp_path / str(number)).touch()

    for number, _ in sweep.as_completed(touch, range(400)):
        if number == 20:
            break
    until(lambda: not cluster.scheduler.tasks)
    until(lambda: not any(worker.state.executing for worker in cluster.workers.values()))
    assert len(list(tmp_path.glob("[0-9]*"))) < 400


def test_an_error_of_the_users_generator_is_theirs(client):
    def numbers():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sweep(square, numbers())
    assert sweep.status().running is None


def test_the_end_of_the_scheduler_is_one_line_and_the_next_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False}
    with dask_hpc.LocalCluster(**options, dashboard_address=None) as cluster:

        def close():
            until(lambda: load(Path("results")).results)
            cluster.close()

        with distributed.Client(cluster) as client:
            threading.Thread(target=close).start()
            with pytest.raises(SweepError) as caught:
                sweep(time.sleep, (0.1 + n / 1e6 for n in itertools.count()), client=client)
    assert str(caught.value).startswith("The connection to Dask's scheduler has ended: ")
    done = sweep.status().done
    assert done > 0
    assert f"{done} inputs are saved in results." in str(caught.value)


def test_a_client_that_closes_during_a_call_is_the_end_of_the_scheduler(cluster, monkeypatch):
    with distributed.Client(cluster, set_as_default=False) as client:

        def nthreads(self):
            self.close()
            return real(self)

        real = distributed.Client.nthreads
        monkeypatch.setattr(distributed.Client, "nthreads", nthreads)
        with pytest.raises(SweepError, match="The connection to Dask's scheduler has ended"):
            sweep(add, [1], client=client)


def test_without_a_client_a_cluster_is_started_and_closed(tmp_path, monkeypatch, thread_clusters):
    monkeypatch.chdir(tmp_path)
    assert list(sweep(add, [1, 2])) == [2, 3]
    assert [cluster.status.name for cluster in thread_clusters] == ["closed"]


def test_a_closed_client_is_told(client):
    client.close()
    with pytest.raises(SweepError, match=r"^The client is closed: create a new one\.$"):
        sweep(add, [1], client=client)


def test_status_in_words(client):
    sweep(square, range(20), "out", progress=False)
    lines = str(sweep.status("out")).splitlines()
    assert lines[0].endswith(":square, 18 of 20 done, 2 failed, 0 left")
    assert lines[1:3] == ["not running", "failed: 3: ValueError: 3 is unlucky"]


def test_the_first_record_tells_who_and_what(client):
    sweep(add, [1])
    (path,) = Path("results").glob("*.shard")
    data = path.read_bytes()
    # After the file's first bytes and the record's header, whose checksum may have any byte.
    record, _ = json.JSONDecoder().raw_decode(data[16 + 48 :].decode("latin-1"))
    assert record["function"].endswith(":add")
    assert record["total"] == 1
