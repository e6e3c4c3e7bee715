"""The folder of a sweep: what is written is read, and nothing else."""

import errno
import os
import pickle
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dask_hpc import SweepError, SweepFolderError
from dask_hpc._sweep import payloads, shards
from dask_hpc._sweep.results import Results, iterate_failures
from dask_hpc._sweep.store import StoreWriter, load, new_session

DOCS = Path(__file__).parents[2] / "docs"


def key(number):
    return struct.pack("<16s", str(number).encode())


def write(folder, numbers, *, code="a", accepted=(), total=None, close=True, results=None):
    """Save the square of each number, or a failure for odd hundreds, as one sweep does."""
    folder.mkdir(exist_ok=True)
    session = new_session("lab:square", code, list(accepted), total)
    writer = StoreWriter(load(folder, verify=True), session)
    for number in numbers:
        writer.take(key(number))
    writer.end()
    for number in numbers if results is None else results:
        if number % 200 == 100:
            payload = payloads.failure(number, ValueError("odd"), 0.5)
            writer.save(shards.FAILURE, key(number), payload)
        else:
            writer.save(shards.RESULT, key(number), payloads.result(number, number**2, 0.5))
    if close:
        writer.close()
    return writer


def read(folder):
    """Return the results, in order."""
    return list(Results(load(folder)))


def test_what_is_written_is_read_in_the_order_of_the_inputs(tmp_path):
    write(tmp_path / "out", [3, 1, 2], results=[1, 2, 3])
    assert read(tmp_path / "out") == [9, 1, 4]
    assert list(Results(load(tmp_path / "out")).items()) == [(3, 9), (1, 1), (2, 4)]


def test_slices_and_single_results(tmp_path):
    write(tmp_path, range(6))
    results = Results(load(tmp_path))
    assert (len(results), results[-1], results[1:3]) == (6, 25, [1, 4])
    assert repr(results) == f"<Results of 6 inputs in {tmp_path}, 0 failed>"


def test_a_failure_is_in_the_place_of_its_result_and_a_later_result_replaces_it(tmp_path):
    write(tmp_path, [1, 100, 2])
    _, failure, _ = read(tmp_path)
    assert (failure.input, failure.error) == (100, "ValueError: odd")
    assert str(failure) == "100: ValueError: odd"
    assert Results(load(tmp_path)).failed == [failure]
    found = load(tmp_path)
    found.add(shards.RESULT, key(100), 0, found.results[key(1)])
    assert not found.failures
    assert list(iterate_failures(found)) == []


def test_a_later_sweep_has_its_own_inputs_and_order(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    write(tmp_path, [1, 3, 5], results=[5])
    assert read(tmp_path) == [1, 9, 25]
    assert load(tmp_path).total == 3
    assert len(list(tmp_path.glob("*.shard"))) == 2
    write(tmp_path, [4, 3, 2, 1, 0], results=[0])
    assert read(tmp_path) == [16, 9, 4, 1, 0]


def test_a_sweep_with_nothing_to_do_writes_nothing(tmp_path):
    write(tmp_path, [1, 2])
    write(tmp_path, [1, 2], results=[])
    assert len(list(tmp_path.glob("*.shard"))) == 1


def test_results_of_another_version_count_only_if_they_are_accepted(tmp_path):
    write(tmp_path, [1, 2])
    write(tmp_path, [1, 2], code="b", results=[2])
    assert read(tmp_path) == [4]
    write(tmp_path, [1, 2], code="c", accepted=["a"], results=[])
    assert read(tmp_path) == [1, 4]
    write(tmp_path, [1, 2], code="a", results=[])
    assert read(tmp_path) == [1, 4]


def test_an_order_of_many_inputs_is_written_in_parts(tmp_path):
    numbers = [*range(10_000), 7, *range(20_000, 20_010)]
    write(tmp_path, numbers, results=[])
    found = load(tmp_path)
    assert [found.key(n) for n in range(len(found))] == [key(n) for n in numbers]


def test_the_disk_gets_everything_when_a_sweep_ends(tmp_path):
    writer = write(tmp_path, range(3), close=False)
    assert read(tmp_path) == []
    writer.flush()
    assert read(tmp_path) == [0, 1, 4]
    writer.close()


def test_a_shard_may_end_anywhere(tmp_path):
    """As if the writer was killed after each byte: what is whole is right, and the rest is gone."""
    write(tmp_path, [1, 100, 3])
    (path,) = tmp_path.glob("*.shard")
    whole, data = read(tmp_path), path.read_bytes()
    seen = set()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        found = read(tmp_path)
        assert found == whole[: len(found)]
        assert load(tmp_path, verify=True).damaged == 0  # it is no damage
        seen.add(len(found))
    assert seen == {0, 1, 2}
    write(tmp_path, [1, 100, 3], results=[3])
    assert read(tmp_path) == whole


def test_no_changed_byte_makes_a_wrong_result(tmp_path, caplog):
    caplog.set_level("CRITICAL", "dask_hpc")
    numbers = [1, 100, 3, 4]
    write(tmp_path, numbers)
    (path,) = tmp_path.glob("*.shard")
    right = dict(zip(numbers, read(tmp_path), strict=True))
    data = path.read_bytes()
    sizes = []
    for position in range(len(data)):
        for bits in (1, 255):
            changed = bytearray(data)
            changed[position] ^= bits
            path.write_bytes(changed)
            try:
                found = load(tmp_path, verify=True)
            except SweepError:
                assert position in (14, 15)  # the number of the format
                continue
            assert found.damaged > 0
            values = {
                n: payloads.read(*found.read(k), tmp_path)[1]
                for n in numbers
                if found.location(k := key(n)) is not None
            }
            assert values.items() <= right.items()
            sizes.append(len(values))
    assert set(sizes) == {3, 4}  # at most the damaged record is lost


def test_a_result_that_was_damaged_since_is_an_error_and_is_computed_again(tmp_path, caplog):
    write(tmp_path, [1, 2])
    (path,) = tmp_path.glob("*.shard")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    results = Results(load(tmp_path))
    assert results[0] == 1
    with pytest.raises(SweepError, match=r"a saved result is damaged\. Run the sweep again"):
        results[1]
    assert load(tmp_path, verify=True).location(key(2)) is None
    assert "a record is damaged" in caplog.text


def test_a_shard_inside_a_result_is_not_read(tmp_path):
    write(tmp_path / "inner", [666])
    (inner,) = (tmp_path / "inner").glob("*.shard")
    out = tmp_path / "out"
    out.mkdir()
    writer = StoreWriter(load(out), new_session("f", "a", [], None))
    writer.take(key(1))
    writer.save(shards.RESULT, key(1), payloads.result(1, inner.read_bytes(), 0.0))
    writer.close()
    (path,) = out.glob("*.shard")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"rec\n", 0, data.index(b"DASKHPC", 1))] ^= 1  # the header around it
    path.write_bytes(data)
    assert load(out, verify=True).location(key(666)) is None


def test_a_newer_format_is_told(tmp_path):
    (tmp_path / "000001-0.shard").write_bytes(b"DASKHPC-SWEEP-2\n")
    with pytest.raises(SweepError, match=r"000001-0\.shard: another version of dask-hpc"):
        load(tmp_path)


def test_a_full_disk_is_one_line_and_what_was_written_is_kept(tmp_path, monkeypatch):
    write(tmp_path, [1, 2])
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    writer = StoreWriter(load(tmp_path), new_session("lab:square", "a", [], None))
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda _, *a, **k: real(Path("/dev/full"), "wb", buffering=0))
    writer.take(key(3))
    writer.save(shards.RESULT, key(3), payloads.result(3, 9, 0.0))
    with pytest.raises(SweepFolderError) as caught:
        writer.flush()
    line = f"Cannot save results in {tmp_path}: No space left on device. What was saved is kept"
    assert str(caught.value).startswith(line)
    assert caught.value.errno == errno.ENOSPC
    writer.close()  # tries nothing again
    monkeypatch.undo()
    assert read(tmp_path) == [1, 4]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SweepFolderError, match="Permission denied"):
        write(tmp_path, [1])


def test_results_in_files(tmp_path):
    (tmp_path / "files").mkdir()
    for name in "ab":
        (tmp_path / "files" / f"{name}.pickle").write_bytes(pickle.dumps(name))
    writer = StoreWriter(load(tmp_path), new_session("lab:square", "a", [], None))
    for number, name in enumerate("ab"):
        writer.take(key(number))
        payload = payloads.result(number, f"files/{name}.pickle", 0.0)
        writer.save(shards.FILE, key(number), payload)
    writer.close()
    assert [pickle.loads(path.read_bytes()) for path in read(tmp_path)] == ["a", "b"]
    (tmp_path / "files" / "a.pickle").unlink()
    assert load(tmp_path, verify=True).location(key(0)) is None


def test_inputs_that_are_large_are_saved_as_text(tmp_path):
    writer = StoreWriter(load(tmp_path), new_session("f", "a", [], None))
    writer.take(key(1))
    writer.save(shards.RESULT, key(1), payloads.result("x" * 5000, 1, 0.0))
    writer.close()
    ((label, _),) = Results(load(tmp_path)).items()
    assert label == f"{'x' * payloads.MAX_LABEL}…"


def test_plain_python_reads_the_results_in_ten_lines(tmp_path):
    write(tmp_path / "results", [1, 100, 3])
    write(tmp_path / "results", [1, 100, 3, 4], results=[4])
    page = (DOCS / "reference/sweep-format.md").read_text()
    lines = re.search(r"```python\n(.*?)```", page, re.S)[1]
    assert len([line for line in lines.splitlines() if line and "import" not in line]) <= 10
    code = f"{lines}\nprint(sorted(results.values()))"
    command = [sys.executable, "-I", "-S", "-c", code]  # without any package
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[('1', 1), ('3', 9), ('4', 16)]\n"


def test_a_frame_has_a_row_for_each_input(tmp_path):
    pandas = pytest.importorskip("pandas")
    write(tmp_path, [1, 100, 3])
    frame = Results(load(tmp_path)).to_pandas()
    assert list(frame.columns) == ["input", "result", "error"]
    assert list(frame["input"]) == [1, 100, 3]
    assert pandas.isna(frame["result"][1])
    assert frame["error"][1] == "ValueError: odd"


def test_a_frame_without_pandas_is_one_line(tmp_path, monkeypatch):
    write(tmp_path, [1])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SweepError, match=r"^to_pandas needs pandas: add it to environment\.yml"):
        Results(load(tmp_path)).to_pandas()
