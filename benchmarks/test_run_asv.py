"""`make bench-asv` fails where asv itself would call a run that did nothing a success."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent

BODIES = {
    "nothing": "",
    "one that is skipped": "def time_it():\n    pass\n\n\n"
    "def skip():\n    raise NotImplementedError\n\n\ntime_it.setup = skip\n",
    "one that fails": "def track_it():\n    raise ValueError\n",
    "one that works": "def track_it():\n    return 1\n",
}


@pytest.mark.parametrize("suite", BODIES)
def test_a_run_counts_what_it_measured(suite, tmp_path):
    folder = tmp_path / "benchmarks"
    (folder / "asv_suite").mkdir(parents=True)
    for name in ("asv.conf.json", "run_asv.py"):
        shutil.copy(BENCHMARKS / name, folder)
    (folder / "asv_suite" / "__init__.py").write_text("")
    (folder / "asv_suite" / "some.py").write_text(BODIES[suite])
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], cwd=tmp_path, check=True)
    commit = [*git, "commit", "--quiet", "--allow-empty", "--message=test"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    done = subprocess.run([sys.executable, folder / "run_asv.py"], capture_output=True, text=True)
    assert (done.returncode == 0) is (suite == "one that works"), done.stdout + done.stderr
