"""`make bench-asv` fails where asv itself would call a run that did nothing a success."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent

WORKS = "def track_it():\n    return 1\n"
BODIES = {
    "nothing": "",
    "one that works": WORKS,
    "one of three that works": f"{WORKS}\n\ndef time_it():\n    pass\n\n\n"
    "def skip():\n    raise NotImplementedError\n\n\ntime_it.setup = skip\n"
    "\n\ndef track_that():\n    raise ValueError\n",
}
# Figures that are measured and are not.
COUNTS = {"nothing": (0, 0), "one that works": (1, 0), "one of three that works": (1, 2)}


def archive(suite, path):
    """Make a copy of the benchmarks with another suite, without git; return its folder."""
    folder = path / "benchmarks"
    (folder / "asv_suite").mkdir(parents=True)
    for name in ("asv.conf.json", "run_asv.py"):
        shutil.copy(BENCHMARKS / name, folder)
    (folder / "asv_suite" / "__init__.py").write_text("")
    (folder / "asv_suite" / "some.py").write_text(BODIES[suite])
    return folder


def checkout(suite, path):
    """Make the same as a git checkout with one commit."""
    folder = archive(suite, path)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], cwd=path, check=True)
    commit = [*git, "commit", "--quiet", "--allow-empty", "--message=test"]
    subprocess.run(commit, cwd=path, check=True)
    return folder


def run(*command, **options):
    """Run a command; return its exit code and what it printed."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    return done.returncode, done.stdout + done.stderr


def test_without_git_one_line_says_that_a_checkout_is_needed(tmp_path):
    folder = archive("one that works", tmp_path)
    code, printed = run(sys.executable, folder / "run_asv.py")
    assert code == 1
    (line,) = printed.splitlines()
    assert "is not a git checkout" in line
    assert "clone" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a checkout of another owner")
def test_in_a_checkout_of_another_owner_the_line_says_what_helps(tmp_path):
    folder = checkout("one that works", tmp_path / "it's foreign")
    for path in [folder.parent, *folder.parent.rglob("*")]:
        os.chown(path, 1234, 1234)
    home = {**os.environ, "HOME": str(tmp_path)}
    code, printed = run(sys.executable, folder / "run_asv.py", env=home)
    assert code == 1
    (line,) = printed.splitlines()
    remedy = line[line.index("git config") :]
    assert run("bash", "-c", remedy, env=home) == (0, "")
    commit = "from run_asv import checked_out; print(checked_out())"
    code, printed = run(sys.executable, "-c", commit, cwd=folder, env=home)
    assert code == 0
    assert printed.endswith(", '')\n"), printed


def test_asv_itself_measures_in_the_environment_that_it_runs_in(tmp_path):
    folder = archive("one that works", tmp_path)  # in a checkout, as in the next test
    home = {**os.environ, "HOME": str(tmp_path)}
    asv = [sys.executable, "-m", "asv"]
    run(*asv, "machine", "--yes", cwd=folder, env=home)
    code, printed = run(*asv, "run", cwd=folder, env=home)
    assert code == 0, printed
    assert "some.track_it" in printed
    assert "failed" not in printed


@pytest.mark.parametrize(
    "suite",
    [name if "three" in name else pytest.param(name, marks=pytest.mark.full) for name in BODIES],
)
def test_a_run_counts_what_it_measured(suite, tmp_path):
    folder = checkout(suite, tmp_path)
    code, printed = run(sys.executable, folder / "run_asv.py")
    assert (code == 0) is (suite == "one that works"), printed
    program = "import run_asv; print(run_asv.count(run_asv.checked_out()[0]))"
    code, printed = run(sys.executable, "-c", program, cwd=folder)
    assert printed == f"{COUNTS[suite]}\n"
