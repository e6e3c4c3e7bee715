"""The command `dask hpc sweep`: what it runs, prints, and returns."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dask_hpc import sweep
from dask_hpc.cli.main import main
from dask_hpc.cli.sweep import as_options

from .conftest import until

pytestmark = pytest.mark.xdist_group("sweep")

MODULE = """
import pathlib
import time

LIMIT = 3

def count(path):
    with open("calls", "a") as file:
        file.write(f"{path}\\n")
    text = path.read_text()
    if not text:
        raise ValueError("no data")
    return len(text)

def wait(path):
    time.sleep(0.2)
    return str(path)
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Return a folder with a module of the lab's and six files, of which one is empty."""
    (tmp_path / "src/lab_cli").mkdir(parents=True)
    (tmp_path / "src/lab_cli/clean.py").write_text(MODULE)
    (tmp_path / "src/lab_cli/broken.py").write_text("import no_such_package\n")
    (tmp_path / "data/old").mkdir(parents=True)
    for name, text in {"a": "a", "b": "bb", "c": "", "old/d": "d", "e": "e", "f": "f"}.items():
        (tmp_path / f"data/{name}.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "src"), *sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("lab_cli")]:
        del sys.modules[name]


@pytest.fixture
def cluster(thread_clusters, monkeypatch):
    """Let the command start workers that are threads, and return the clusters that it started."""
    # This process is that of the tests.
    monkeypatch.setattr("dask_hpc.cli._signals.treat_as_interrupts", lambda: None)
    return thread_clusters


def run(*words):
    return CliRunner().invoke(main, ["sweep", *words])


def calls():
    return Path("calls").read_text().split()


def test_all_done_is_exit_code_0_and_a_second_run_computes_what_is_new(lab, cluster):
    done = run("lab_cli.clean:count", "--inputs", "data/[ab].txt")
    assert done.exit_code == 0
    assert done.output.startswith("2 inputs done, in ")
    assert done.output.endswith(". Results: results\n")
    patterns = ["--inputs", "data/[abe].txt", "--inputs", "data/**/d.txt"]
    done = run("lab_cli.clean:count", *patterns)
    assert done.exit_code == 0
    assert done.output.startswith("4 inputs done, 2 of them before, in ")
    assert sorted(calls()) == ["data/a.txt", "data/b.txt", "data/e.txt", "data/old/d.txt"]
    assert dict(sweep.results().items()) == {
        Path("data/a.txt"): 1,
        Path("data/b.txt"): 2,
        Path("data/e.txt"): 1,
        Path("data/old/d.txt"): 1,
    }
    assert [it.status.name for it in cluster] == ["closed", "closed"]


def test_failed_inputs_are_exit_code_1_until_they_are_done(lab, cluster):
    line = ["lab_cli.clean:count", "--inputs", "data/*.txt", "--out", "out"]
    done = run(*line)
    assert done.exit_code == 1
    assert "5 inputs: 4 done, 1 failed, in " in done.output
    assert "  failed: data/c.txt: ValueError: no data\n" in done.output
    (lab / "data/c.txt").write_text("now")
    os.utime(lab / "data/c.txt", ns=(0, 0))
    done = run(*line, "--retry-failed", "--files", "hash")
    assert done.exit_code == 0
    assert len(list(sweep.results("out"))) == 5


def test_status(lab, cluster):
    run("lab_cli.clean:count", "--inputs", "data/*.txt")
    run("lab_cli.clean:count", "--inputs", "data/a.txt", "--out", "other")
    for words in (["status"], ["status", "results"]):
        done = run(*words)
        assert done.exit_code == 0
        assert done.output == (
            "results: lab_cli.clean:count, 4 of 5 done, 1 failed, 0 left\nnot running\n"
            "failed: data/c.txt: ValueError: no data\n"
        )
    assert run("status", "other").output.startswith("other: lab_cli.clean:count, 1 of 1 done")


COUNT = ["lab_cli.clean:count", "--inputs", "data/*.txt"]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ([], 2, "Missing argument 'MODULE:FUNCTION'."),
        (COUNT[:1], 2, "Missing option '--inputs': a pattern such as 'data/*.nc'."),
        (
            ["lab_cli.clean:count", "--inputs", "data/a.txt", "data/b.txt", "data/e.txt"],
            2,
            "Unexpected argument data/b.txt: put the pattern of --inputs into quotes, so that the "
            "shell does not expand it.",
        ),
        (["lab_cli.clean", *COUNT[1:]], 2, "lab_cli.clean is not MODULE:FUNCTION, such as "),
        (
            ["src/lab_cli/clean.py:count", *COUNT[1:]],
            2,
            "src/lab_cli/clean.py is a file: write lab_cli.clean:count.",
        ),
        (["./clean.py:count", *COUNT[1:]], 2, "./clean.py is a file: write clean:count."),
        (
            ["lab_cli.broken:f", *COUNT[1:]],
            2,
            "Cannot import lab_cli.broken (ModuleNotFoundError: No module named 'no_such_package')",
        ),
        (["no_such_lab:f", *COUNT[1:]], 2, "Cannot import no_such_lab (ModuleNotFoundError: "),
        (["lab_cli.clean:cuont", *COUNT[1:]], 2, "src/lab_cli/clean.py) has no function cuont."),
        (["lab_cli.clean:LIMIT", *COUNT[1:]], 2, "src/lab_cli/clean.py) has no function LIMIT."),
        (["time:slep", *COUNT[1:]], 2, "The module time (built into Python) has no function slep."),
        ([*COUNT[:2], "data/*.nc"], 2, "No file matches data/*.nc (in "),
        ([*COUNT, "--inputs", "x/*.txt"], 2, "No file matches x/*.txt (in "),
        ([*COUNT, "--jobs", "0"], 2, "Invalid value for '--jobs': 0 is not"),
        ([*COUNT, "--changed", "maybe"], 2, "Invalid value for '--changed': 'maybe' is not"),
        (["status", "a", "b"], 2, "status takes only a folder: `dask hpc sweep status results`."),
        (["status", "a"], 1, "No sweep has saved results in a."),
        (
            [*COUNT, "--out", "data/a.txt"],
            1,
            "Cannot save results in data/a.txt: File exists. Choose another folder with --out.",
        ),
        (
            ["lab_cli.clean:time", *COUNT[1:]],
            2,
            "src/lab_cli/clean.py) has no function time.",
        ),
    ],
)
def test_a_mistake_is_one_line(lab, words, code, line):
    done = run(*words)
    assert done.exit_code == code
    assert done.output.startswith("Error: ")
    assert line in done.output
    assert done.output.count("\n") == 1


def test_messages_name_options_of_the_command_line(lab, cluster):
    run("lab_cli.clean:count", "--inputs", "data/a.txt")
    changed = MODULE.replace("len(text)", "len(text) + 1")
    (lab / "src/lab_cli/clean.py").write_text(changed + "\n\ndef other(path): return 0\n")
    del sys.modules["lab_cli.clean"]
    done = run("lab_cli.clean:count", "--inputs", "data/a.txt")
    assert done.exit_code == 1
    assert "Pass --changed rerun to compute them again, or --changed keep to keep" in done.output
    assert done.output.count("\n") == 1
    done = run("lab_cli.clean:other", "--inputs", "data/a.txt")
    assert "choose another folder with --out." in done.output
    assert run("lab_cli.clean:count", "--inputs", "data/a.txt", "--changed", "rerun").exit_code == 0
    assert list(sweep.results()) == [2]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('pass changed="keep".', "pass --changed keep."),
        ("folder with out=.", "folder with --out."),
        ("again: retry_failed=True (x)", "again: --retry-failed (x)"),
        ("jobs=2 and about=3", "--jobs 2 and about=3"),
    ],
)
def test_arguments_as_options(text, options):
    assert as_options(text) == options


@pytest.mark.parametrize("text", ["Sweep interrupted. 1 of 5 inputs are saved in results.", ""])
def test_an_interrupt_is_exit_code_130(lab, cluster, monkeypatch, text):
    def interrupted(*_, **__):
        raise KeyboardInterrupt(*[text] * bool(text))

    monkeypatch.setattr("dask_hpc._sweep.api.Sweep.__call__", interrupted)
    done = run(*COUNT)
    assert (done.exit_code, done.output) == (130, f"{text or 'Interrupted.'}\n")


@pytest.mark.full
def test_ctrl_c_in_a_terminal_is_one_line_and_exit_code_130(lab):
    """Worker processes get the signal, too, and print no traceback of it.

    (Dask may log a heartbeat that fails while the cluster closes.)
    """
    for number in range(200):
        (lab / f"data/{number}.txt").touch()
    command = [str(Path(sys.executable).with_name("dask")), "hpc", "sweep", "lab_cli.clean:wait"]
    env = {**os.environ, "DASK_DASK_HPC__BATCH_SYSTEM": "none", "PYTHONPATH": str(lab / "src")}
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [*command, "--inputs", "data/*.txt"],
        cwd=lab,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        stdin=its_end,
        start_new_session=True,
    )
    try:
        until(lambda: any(path.stat().st_size for path in lab.glob("results/*.shard")))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(terminal)
        os.close(its_end)
    assert process.returncode == 130
    assert "KeyboardInterrupt" not in errors
    assert errors.splitlines()[-1].endswith(
        " of 205 inputs are saved in results. Run the same line again to go on."
    )
    assert not (lab / "results/sweep.lock").exists()
