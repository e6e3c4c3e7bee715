"""The workloads files, numpy, and data: what they check, refuse, compute, and leave behind."""

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from dask_hpc.bench import (
    compute_tasks,
    computing,
    cores,
    data,
    figures,
    file_tasks,
    files,
    real_work,
    record,
    report,
    streams,
)
from dask_hpc.bench.backends import lab
from dask_hpc.bench.backends._dask import BackendError
from dask_hpc.bench.plan import JobLayout
from dask_hpc.bench.record import RecordError
from dask_hpc.bench.tasks import sleep_task, trace
from dask_hpc.bench.validation import MeasurementError
from dask_hpc.bench.workloads import WORKLOADS, PlanError
from dask_hpc.cli.main import main
from dask_hpc.cluster.local import LocalCluster

FORMATS = pytest.mark.parametrize("form", file_tasks.FORMATS)


class InThreads(lab.LabLocal):
    """Real workers, in threads of this process, which are there at once."""

    def make_cluster(self, shape):
        return LocalCluster(
            n_workers=0,
            threads_per_worker=shape.threads,
            processes=False,
            protocol="tcp://",
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
        )


@pytest.fixture
def in_threads(monkeypatch):
    monkeypatch.setitem(lab.BACKENDS, "local", InThreads)


@pytest.fixture
def workers(in_threads):
    backend = InThreads(timeout=60)
    lab.start(backend, JobLayout(2, 1))
    yield backend
    backend.close()


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", "run", *map(str, arguments)])


# --- cores --------------------------------------------------------------------------------------

TWO_CORES = {0: "0", 1: "1"}
# Four hardware threads of two cores.
SMT = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}


def test_containers_of_one_computer_have_its_cores_once():
    assert cores.count([("a", TWO_CORES), ("a", TWO_CORES)]) == 2
    assert cores.count([("a", TWO_CORES), ("b", TWO_CORES)]) == 4
    assert cores.count([("a", SMT)]) == 2
    assert cores.computers([("a", SMT), ("a", TWO_CORES), ("b", SMT)]) == 2
    assert cores.threads_per_core([("a", SMT), ("b", SMT)]) == 2
    assert cores.threads_per_core([("a", TWO_CORES)]) == 1


def test_a_containers_share_is_of_as_many_cores_as_possible():
    assert cores.count([("a", cores.share(SMT, 2))]) == 2
    assert len(cores.share(SMT, 3)) == 3
    assert cores.share(SMT, 8).keys() == SMT.keys()


def test_this_computer_has_a_core():
    computer, cpus = cores.here()
    assert computer
    assert 1 <= cores.count([(computer, cpus)]) <= len(cpus) <= os.cpu_count()


# --- numpy --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "slots", "cpus", "place", "expected"),
    [
        (None, 8, 1, TWO_CORES, (2, 1)),  # as on the testbed
        (None, 2, 1, TWO_CORES, (2, 1)),
        (2, 2, 1, TWO_CORES, (2, 1)),
        (4, 4, 1, SMT, (4, 2)),  # again, with whole cores
        (None, 4, 2, SMT, (2, 2)),
        (4, 4, 2, SMT, PlanError),
        (3, 3, 1, TWO_CORES, PlanError),
    ],
)
def test_each_slot_gets_a_core(given, slots, cpus, place, expected):
    if expected is PlanError:
        with pytest.raises(PlanError, match=r"2 physical cores: use --slots 2 or fewer"):
            computing.fit(given, slots, cpus, [("a", place)])
    else:
        assert computing.fit(given, slots, cpus, [("a", place)]) == expected


def test_more_slots_than_cores_are_one_line_and_start_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "here", lambda: ("a", TWO_CORES))
    result = invoke("numpy", "--backend", "local", "--slots", 3, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.output == (
        "Error: 3 slots cannot compute at one time, since this computer has 2 physical cores: "
        "use --slots 2 or fewer\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("busy", "variables", "words"),
    [
        (1.9, {"OMP_NUM_THREADS": "1"}, r"OMP_NUM_THREADS=1; .* kept 1\.9 cores busy"),
        (2.0, {}, "it is not set"),
        (1.0, {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "1"}, "OMP_NUM_THREADS=4, MKL"),
    ],
)
def test_blas_with_several_threads_is_refused(busy, variables, words):
    computing.check_blas("threads", 1.05, {"OMP_NUM_THREADS": "1"})
    computing.check_blas("threads", 1.0, {})
    with pytest.raises(MeasurementError, match=words):
        computing.check_blas("threads", busy, variables)


def test_tasks_that_compute_something_else_are_refused():
    results = [compute_tasks.compute_task(item, "numpy", 2) for item in range(4)]
    expected = compute_tasks.numpy_loop(2)
    assert computing.check_results(results, 4, 2, 1.0, expected) == 1
    with pytest.raises(MeasurementError, match="a task's result differs"):
        computing.check_results(results, 4, 2, 1.0, 1.001 * expected)
    with pytest.raises(MeasurementError, match="4 different tasks"):
        computing.check_results(results[:3] * 2, 4, 2, 1.0, expected)


def test_computations_are_calibrated():
    for work in computing.WORKS:
        assert compute_tasks.calibrate(work, 0.02) >= 1
    busy, _ = compute_tasks.blas_cores()
    assert busy > 0


def test_threads_and_processes_are_compared_with_one_core(tmp_path, in_threads, monkeypatch):
    monkeypatch.setattr(cores, "here", lambda: ("a", TWO_CORES))
    monkeypatch.setattr(computing, "MAX_BLAS_CORES", 99)  # these workers are one process
    monkeypatch.setattr(compute_tasks, "BLAS_S", 0.01)
    monkeypatch.setattr(compute_tasks, "calibrate", lambda work, seconds: 1)
    found = record.read(computing.measure(tmp_path, "local", repeats=1))
    assert found.complete
    assert [(row["work"], row["mode"]) for row in found.measured] == [
        (work, mode) for work in ("numpy", "python") for mode in ("serial", "threads", "processes")
    ]
    for row in found.measured:
        assert row["slots"] == row["cores"] == 2
        assert row["speedup_bound"] == (1 if row["mode"] == "serial" else 2)
    shapes = {row["mode"]: (row["processes"], row["threads"]) for row in found.measured}
    assert shapes == {"serial": (2, 1), "threads": (1, 2), "processes": (2, 1)}


# --- files --------------------------------------------------------------------------------------


@FORMATS
def test_files_are_the_same_each_time_and_their_means_are_right(tmp_path, form):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        file_tasks.write(tmp_path / name, 3, 20_000, form)
    first, other = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    contents = [path.read_bytes() for path in first]
    assert contents == [path.read_bytes() for path in other]
    assert len(set(contents)) == 3
    assert all(20_000 <= len(content) < 22_000 for content in contents)
    if form == "csv":
        rows = [line.split(",") for line in contents[0].decode().splitlines()]
        assert rows[0] == list(file_tasks.NAMES)
        columns = np.array(rows[1:], dtype=float)
        assert file_tasks.means(first[0], form) == pytest.approx(list(columns.mean(axis=0)))
    else:
        hours = (20_000 // 32 - 1) / 2
        assert file_tasks.means(first[0], form)[0] == hours
    file_tasks.forget(first)
    assert file_tasks.missing(first) == ""
    assert file_tasks.missing([*first, tmp_path / "c"]) == str(tmp_path / "c")


@FORMATS
def test_loop_disk_and_sweep_are_measured_and_the_files_are_gone(tmp_path, in_threads, form):
    asked = files.Files(slots=2, number=6, size_mb=0.01, format=form)
    found = record.read(files.measure(tmp_path, asked, "local", repeats=2))
    assert found.complete
    assert [row["mode"] for row in found.measured] == ["loop", "disk", "sweep"] * 2
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]
    for loop, disk, sweep in (found.measured[:3], found.measured[3:]):
        assert loop["ideal_s"] == loop["makespan_s"]
        assert sweep["speedup"] == pytest.approx(loop["makespan_s"] / sweep["makespan_s"], rel=0.01)
        bound = max(disk["makespan_s"], loop["makespan_s"] / 2)
        assert sweep["ideal_s"] >= bound - 1e-5
        assert (sweep["tasks"], sweep["format"], sweep["size_mb"]) == (6, form, 0.01)


def test_the_bound_is_what_disk_slots_and_cores_allow():
    run = files._Run.__new__(files._Run)
    run._files, run._cores = files.Files(slots=16), 2
    run._loop_s, run._cpu_s, run._disk_s = 16.0, 12.0, 0.5
    assert run._bound_s() == 6.0  # two cores share the work of twelve seconds
    run._cores = 64
    assert run._bound_s() == 1.0  # sixteen slots share the loop
    run._disk_s = 3.0
    assert run._bound_s() == 3.0


def test_a_sweep_that_differs_from_the_loop_is_refused(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    results = [trace(str(path), lambda: [1.0]) for path in paths]
    files.check_sweep(results, paths, [[1.0], [1.0]], 2, 1.0)
    with pytest.raises(MeasurementError, match=r"result for .*b differs"):
        files.check_sweep(results, paths, [[1.0], [2.0]], 2, 1.0)
    with pytest.raises(MeasurementError, match="1 of 2 files failed: no such file"):
        files.check_sweep([results[0], "no such file"], paths, [[1.0], [1.0]], 2, 1.0)
    with pytest.raises(MeasurementError, match="2 different tasks"):
        files.check_sweep([results[0]] * 2, paths, [[1.0], [1.0]], 2, 1.0)


def test_a_node_that_does_not_see_the_files_is_a_row(tmp_path, in_threads, monkeypatch):
    monkeypatch.setattr(file_tasks, "missing", lambda paths: str(paths[0]))
    with pytest.raises(MeasurementError, match=r"does not see .*csv: use an --out"):
        files.measure(tmp_path, files.Files(1, 2, 0.001), "local")
    [path] = tmp_path.iterdir()
    [row] = record.read(path).rows
    assert (row["status"], row["tasks"]) == ("refused", 2)


def test_files_that_do_not_fit_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(RecordError, match=r"150 MB of files, but .* has 1 MB left: use fewer"):
        with files.written(tmp_path, files.Files(4)):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_files_are_removed_whatever_happens_while_they_are_written(tmp_path, monkeypatch, error):
    def fail(folder, *_):
        (folder / "one").write_text("")
        raise error

    monkeypatch.setattr(file_tasks, "write", fail)
    expected = RecordError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        with files.written(tmp_path, files.Files(4)):
            pass
    assert not list(tmp_path.iterdir())


# --- data ---------------------------------------------------------------------------------------


def test_about_as_many_bytes_are_moved_for_each_size():
    numbers = {each.size_mb: each.number for each in data.transfers((0.1, 1.0, 30.0, 400.0))}
    assert numbers == {0.1: 200, 1.0: 100, 30.0: 3, 400.0: 1}
    assert data.Transfer(0.25, 4).total == 1_000_000


def test_too_large_arrays_are_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "available_memory", lambda: 10**9)
    result = invoke("data", "--backend", "local", "--sizes", "1,900", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.output == (
        "Error: 1 x 900 MB need up to 3,600 MB, but this computer has 1,000 MB of memory: "
        "give smaller --sizes\n"
    )
    assert not (tmp_path / "out").exists()


def test_arrays_go_there_back_and_between_workers(tmp_path, in_threads):
    found = record.read(data.measure(tmp_path, [data.Transfer(0.01, 3)], "local", repeats=2))
    assert found.complete
    assert [row["mode"] for row in found.measured] == list(data.MODES) * 2
    for row in found.measured:
        assert row["mb_per_s"] == pytest.approx(0.03 / row["makespan_s"], rel=0.01)
        assert row["stream_mb_per_s"] == pytest.approx(0.03 / row["ideal_s"], rel=0.01)
        assert (row["tasks"], row["size_mb"], row["hosts"]) == (3, 0.01, 1)
        assert row["encrypted"] is False  # as these workers are
    if data.data_tasks.reset_peak():
        assert found.measured[0]["worker_peak_mib"] > 1


def test_a_transfer_that_takes_too_long_is_a_row_that_names_it(tmp_path, in_threads, monkeypatch):
    real = data._Run.move

    def move(run, mode, transfer):
        if mode == "gather":
            monkeypatch.setattr(lab, "TIMEOUT_S", 0.1)
            monkeypatch.setattr(data, "SLOWEST_MB_S", 1e9)
            run._gather = lambda *_: asyncio.sleep(5)
        return real(run, mode, transfer)

    monkeypatch.setattr(data._Run, "move", move)
    words = r"gather, 3 x 0.01 MB: repeat 1 of 3: it did not finish within 0 s; 2 of 2 workers"
    with pytest.raises(BackendError, match=words):
        data.measure(tmp_path, [data.Transfer(0.01, 3)], "local")
    [path] = tmp_path.iterdir()
    *_, row = record.read(path).rows
    assert (row["status"], row["mode"], row["size_mb"]) == ("failed", "gather", 0.01)


def test_data_that_do_not_arrive_as_sent_are_refused():
    data.check([1, 2], [1, 2])
    with pytest.raises(MeasurementError, match="did not arrive as they were sent"):
        data.check([1, 2], [2, 1])


@pytest.mark.skipif(not data.data_tasks.reset_peak(), reason="the system cannot reset the peak")
def test_the_peak_is_of_what_was_done_since():
    held = bytearray(os.urandom(30_000_000))
    before = data.data_tasks.peak_mib()
    del held
    data.data_tasks.reset_peak()
    assert data.data_tasks.peak_mib() < before


@pytest.mark.parametrize("direction", [streams.SEND, streams.RECEIVE])
def test_a_stream_brings_all_bytes(direction):
    host, port, secret = streams.open_stream("127.0.0.1", 100_000, direction)
    assert streams.connect(host, port, secret, 100_000, direction) > 0


def test_a_stream_is_only_for_who_knows_the_secret():
    host, port, _ = streams.open_stream("127.0.0.1", 1000, streams.SEND)
    with pytest.raises((streams.StreamError, ConnectionError)):
        streams.connect(host, port, bytes(streams.SECRET_BYTES), 1000, streams.SEND)


# --- all three ----------------------------------------------------------------------------------


def test_calls_and_sweeps_time_out_in_one_line(workers, tmp_path):
    begin = time.monotonic()
    wait = partial(sleep_task, seconds=2)
    with pytest.raises(BackendError, match=r"did not finish within 0 s; 2 of 2 workers"):
        workers.call(wait, 1, timeout=0.2)
    with pytest.raises(BackendError, match=r"did not finish within 0 s"):
        workers.sweep(wait, [1], tmp_path / "out", timeout=0.2)
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("files", "--format", "hdf5"), "'hdf5' is not one of 'csv', 'netcdf'"),
        (("files", "--tasks", 0), "0 is not in the range"),
        (("files", "--sizes", "1,2"), "--sizes: files takes a single number"),
        (("files", "--sizes", "0"), "'0' has a size that is not positive and finite"),
        (("files", "--slots", "2,4"), "--slots: files takes a single number"),
        (("files", "--seconds", 1), "files sets its own seconds: omit --seconds"),
        (("data", "--sizes", "big"), "'big' is not a list of megabytes such as 0.1,1,10"),
        (("data", "--sizes", "nan"), "has a size that is not positive and finite"),
        (("data", "--slots", 2), "data sets its own slots: omit --slots"),
        (("numpy", "--repeats", "1,2"), "--repeats: numpy takes a single number"),
        (("numpy", "--format", "csv"), "numpy sets its own format: omit --format"),
        (("sleep", "--sizes", "1"), "sleep sets its own sizes: omit --sizes"),
    ],
)
def test_options_that_a_workload_does_not_take_are_one_line(tmp_path, arguments, words):
    result = invoke(*arguments, "--backend", "local", "--out", tmp_path / "out")
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert not (tmp_path / "out").exists()


def test_without_numpy_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = invoke("files", "--backend", "local", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "files needs NumPy and scipy" in result.output


def write(folder, workload, rows, failed=None):
    with record.Writer(folder / f"{workload}.jsonl") as writer:
        machine = {"load_1min": 1.5 if workload == "numpy" else 0.2, "usable_cores": 2}
        header = {"schema": record.SCHEMA, "version": 2, "workload": workload, "started": "1"}
        writer.write("header", **header, machine=machine)
        for row in rows:
            numbers = {"makespan_s": 2.0, "ideal_s": 1.0, "efficiency": 0.5, "n_errors": 0}
            common = {"workload": workload, "backend": "local", "status": "ok"}
            writer.write("row", **common, **{**numbers, **row})
        if failed:
            writer.write("row", workload=workload, **failed)


def work_records(folder):
    rows = [
        {"mode": mode, "tasks_per_s": speed, "mb_per_s": speed / 2, "speedup": speed / 60}
        for mode, speed in (("loop", 60.0), ("disk", 6000.0), ("sweep", 110.0))
    ]
    common = {"slots": 16, "tasks": 300, "format": "csv", "size_mb": 0.5, "cores": 2}
    write(folder, "files", [{**common, **row} for row in rows])
    speedups = {"serial": 1.0, "threads": 1.9, "processes": 1.8}
    rows = [
        {"work": work, "mode": mode, "slots": 2, "speedup_bound": 2.0}
        | {"speedup": 1.0 if (work, mode) == ("python", "threads") else speedup}
        for work in ("numpy", "python")
        for mode, speedup in speedups.items()
    ]
    write(folder, "numpy", rows)
    rows = [
        {"mode": mode, "size_mb": size, "tasks": 10, "hosts": 1, "encrypted": True, "slots": 2}
        | {"mb_per_s": 100.0 * size, "stream_mb_per_s": 900.0, "client_peak_mib": 400.0}
        | {"worker_peak_mib": 250.0}
        for size in (1.0, 10.0)
        for mode in data.MODES
    ]
    failed = {"slots": 2, "mode": "gather", "size_mb": 100.0, "status": "failed"}
    write(
        folder,
        "data",
        rows,
        {**failed, "error": "gather, 1 x 100 MB: it did not finish within 60 s"},
    )


@pytest.fixture
def no_pixels(monkeypatch):
    """Draw figures, but write none of their pixels, which takes most of a report's time."""
    monkeypatch.setattr(figures, "_render", lambda _figure, _kind, _name: b"<svg></svg>")


@pytest.mark.xdist_group("figures")
def test_the_report_says_what_files_cores_and_transfers_gave(tmp_path, no_pixels):
    work_records(tmp_path)
    names = {path.name for path in report.write(tmp_path)}
    assert names >= {"files.svg", "numpy.png", "data.svg", "report.html"}
    text = " ".join((tmp_path / "report.html").read_text().split())
    assert "<h1>Files, computing, and data. Dask ? LocalCluster on 2 cores</h1>" in text
    assert "60 files/s in a plain loop, 110 files/s in a sweep on 16 slots, 1.8 times" in text
    assert "the 2 cores that are really there allow 1.00 s, and the sweep took 2.00 s" in text
    assert "NumPy: 1.90 times one core with threads and 1.80 times one core with proc" in text
    assert "pure Python: 1.00 times one core with threads" in text
    assert "Arrays of 10 MB: scatter 1,000 MB/s, scatter direct 1,000 MB/s" in text
    assert text.count("The computer was busy with other work (load 1.5 on 2 cores)") == 1
    assert "took up to 400 MiB, and a worker up to 250 MiB" in text
    assert "data, 2 slots: failed. gather, 1 x 100 MB: it did not finish within 60 s" in text
    for words in (
        "A sweep reads 110 files of 0.5 MB a second, 1.8 times as many as a plain loop",
        "NumPy on 2 cores is 1.90 times as fast as on one, with threads (median of 1).",
        "Data move at 100 MB/s (scatter, arrays of 1 MB) to 1,000 MB/s (scatter, arrays of 10 MB)",
    ):
        assert words in text


def test_tables_in_the_terminal_are_whole(tmp_path, capsys):
    from dask_hpc.bench import show

    work_records(tmp_path)
    for found in record.read_folder(tmp_path):
        show.show(found)
    printed = capsys.readouterr().out
    assert "…" not in printed
    for words in ("bytes alone", "pure Python, processes", "10 x 10\u00a0MB", "50\u00a0%"):
        assert words in printed
    assert {found.workload for found in record.read_folder(tmp_path)} == set(real_work.WORKLOADS)
    assert set(real_work.WORKLOADS) <= set(WORKLOADS)


@pytest.mark.xdist_group("figures")
def test_a_run_that_was_ended_early_has_a_section(tmp_path, no_pixels):
    row = {"mode": "loop", "tasks_per_s": 60.0, "mb_per_s": 30.0, "speedup": 1.0, "slots": 2}
    write(tmp_path, "files", [row | {"tasks": 300, "format": "csv", "size_mb": 0.5, "cores": 2}])
    report.write(tmp_path)
    assert "ended before each way was measured" in (tmp_path / "report.html").read_text()
    assert Path(tmp_path, "files.png").is_file()
