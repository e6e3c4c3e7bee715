"""A status line and lines that stay: in a log, a terminal and a notebook."""

import contextlib
import io
import re
import subprocess
import sys

import pytest

from dask_hpc._output import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Cell(io.StringIO):
    """What a notebook's kernel has in the place of stdout and stderr."""


Cell.__module__ = "ipykernel.iostream"


def use(stream):
    with progress.start(stream) as line:
        line.status("0 of 2 workers; job 7 pending")
        line.status("0 of 2 workers; job 7 pending")
        line.status("1 of 2 workers")
        line.end("2 of 2 workers connected.")
    return stream.getvalue()


def use_notes(stream, **options):
    with progress.start(stream, **options) as line:
        line.note("before [all]")
        line.status("repeat 1 of 2", log=False)
        line.note("repeat 1 of 2: 5.1 s")
        line.status("starting workers …")
    return stream.getvalue()


def test_log_has_a_line_for_each_new_status():
    assert use(io.StringIO()) == "0 of 2 workers; job 7 pending\n1 of 2 workers\n"


def test_log_leaves_out_what_is_for_a_replaced_line():
    assert use_notes(io.StringIO()) == "before [all]\nrepeat 1 of 2: 5.1 s\nstarting workers …\n"


def test_terminal_overwrites_the_line_and_removes_it():
    text = use(Terminal())
    assert "\n" not in text
    assert text.split("\r\x1b[K") == ["", "0 of 2 workers; job 7 pending", "1 of 2 workers", ""]


def test_terminal_has_notes_above_the_line():
    assert use_notes(Terminal()).split("\r\x1b[K") == [
        "before [all]\n",
        "repeat 1 of 2",
        "repeat 1 of 2: 5.1 s\n",
        "repeat 1 of 2",
        "starting workers …",
        "",
    ]


def test_terminal_line_is_cut_where_the_terminal_ends(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    progress.start(stream).status("0 of 2 workers; job 7 pending: your limit is reached")
    assert stream.getvalue() == "\r\x1b[K0 of 2 workers; job"


def test_notebook_has_the_line_on_stdout_and_keeps_how_it_ended(monkeypatch):
    out = Cell()
    monkeypatch.setattr(sys, "stdout", out)
    assert use(Cell()) == ""
    *_, last = out.getvalue().split("\r")
    assert last.rstrip(" ") == "2 of 2 workers connected.\n"
    assert last.startswith("2 of 2 workers connected.")


def test_notebook_has_notes_above_the_line(monkeypatch):
    out = Cell()
    monkeypatch.setattr(sys, "stdout", out)
    use_notes(Cell())
    lines = [line.split("\r")[-1].rstrip() for line in out.getvalue().split("\n") if line]
    assert lines == ["before [all]", "repeat 1 of 2: 5.1 s", "starting workers …"]


def test_nothing_is_shown_without_a_stream():
    with progress.start(None) as line:
        line.status("0 of 2 workers")
        line.note("a note")


@pytest.fixture
def terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)  # without color, what is left of a bar is blank


@pytest.mark.usefixtures("terminal_of_80_columns")
def test_terminal_shows_a_bar_and_the_time_where_it_is_known():
    text = use_notes(Terminal(), total_s=100)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert re.search("repeat 1 of 2 +━+ 0 s of about 1 min 40 s", plain)
    assert "before [all]\n" in text
    assert "repeat 1 of 2: 5.1 s" in text
    # The last thing that happens to the line is its removal, and the cursor is back.
    assert text.rstrip().endswith("\x1b[2K")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


@pytest.mark.usefixtures("terminal_of_80_columns")
def test_bar_goes_away_with_an_error():
    stream = Terminal()
    with contextlib.suppress(KeyboardInterrupt), progress.start(stream, 100) as line:
        line.status("repeat 1 of 2")
        raise KeyboardInterrupt
    assert stream.getvalue().rstrip().endswith("\x1b[2K")
    assert type(sys.stdout).__module__ != "rich.file_proxy"


def test_only_a_bar_needs_rich():
    code = (
        "import io, sys; from dask_hpc._output import progress; "
        "progress.start(io.StringIO(), 10).status('a'); progress.start(sys.stderr).status('b'); "
        "sys.exit('rich' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
