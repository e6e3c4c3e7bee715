"""Records: what a broken-off run leaves, and what is no record."""

import json

import pytest

from dask_hpc.bench import record


def written(path, rows=2, end=True):
    with record.Writer(path) as writer:
        writer.write(
            "header", schema=record.SCHEMA, version=record.VERSION, workload="strong-scaling"
        )
        writer.write("start", slots=4)
        for number in range(rows):
            writer.write("row", slots=4, repeat=number, status="ok")
        if end:
            writer.write("end")
    return path


def test_a_record_is_read_as_it_was_written(tmp_path):
    found = record.read(written(tmp_path / "a.jsonl"))
    assert found.workload == "strong-scaling"
    assert [row["repeat"] for row in found.measured] == [0, 1]
    assert found.starts[0]["slots"] == 4
    assert found.complete


def test_each_row_is_on_disk_before_the_next_is_measured(tmp_path):
    writer = record.Writer(tmp_path / "a.jsonl")
    writer.write("header", schema=record.SCHEMA, version=record.VERSION)
    writer.write("row", slots=4, status="ok")
    assert len(record.read(writer.path).rows) == 1  # not closed
    writer.close()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_torn_last_line_costs_that_line_only(tmp_path, cut):
    path = written(tmp_path / "a.jsonl", rows=3, end=False)
    path.write_text(path.read_text()[: -1 - cut])
    found = record.read(path)
    assert len(found.rows) == 2
    assert not found.complete


def test_a_line_torn_in_the_middle_of_a_record_is_refused_with_its_number(tmp_path):
    path = written(tmp_path / "a.jsonl")
    lines = path.read_text().splitlines()
    lines[2] = lines[2][:10]
    path.write_text("\n".join(lines))
    with pytest.raises(record.RecordError, match="line 3"):
        record.read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a benchmark record"),
        (b'{"some": "json"}\n', "not a benchmark record"),
        (b"[1, 2]\n", "not a benchmark record"),
        (b"slots,seconds\n", "not JSON"),
        (b"\xff\xfe\x00", "not text"),
        (json.dumps({"schema": record.SCHEMA, "version": 1}).encode(), "version 1"),
        (json.dumps({"schema": record.SCHEMA, "version": 99}).encode(), "version 99"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(record.RecordError) as caught:
        record.read(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_is_never_overwritten(tmp_path):
    written(tmp_path / "a.jsonl")
    with pytest.raises(record.RecordError):
        record.Writer(tmp_path / "a.jsonl")


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    written(tmp_path / "a.jsonl")
    (tmp_path / "other.jsonl").write_text('{"not": "ours"}\n')
    assert [r.path.name for r in record.read_folder(tmp_path)] == ["a.jsonl"]


def test_a_folder_without_records_says_so(tmp_path):
    with pytest.raises(record.RecordError, match="contains no benchmark record"):
        record.read_folder(tmp_path)
    with pytest.raises(record.RecordError, match="not a folder"):
        record.read_folder(tmp_path / "missing")
