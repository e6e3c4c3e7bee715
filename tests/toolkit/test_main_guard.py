"""Scripts without ``if __name__ == "__main__":``, where worker processes import them."""

import os
import subprocess
import sys
import textwrap

import distributed
import pytest
from packaging.version import Version

USE = """
# Loads no Bokeh, which takes two seconds.
options = {"dashboard_address": ":0", "scheduler_kwargs": {"dashboard": False}}
cluster = get_cluster(n_workers=1, **options)
with Client(cluster) as client:
    print(client.submit(sum, [1, 2]).result())
"""
IMPORT = "from dask.distributed import Client\nfrom dask_hpc import get_cluster\n"
MAIN = "def main():" + textwrap.indent(USE, "    ")
# The program; whether one line refuses it.
PROGRAMS = {
    "as people write it": (IMPORT + USE, True),
    "in a function": (f"{IMPORT}{MAIN}\nmain()\n", True),
    # Only its worker processes find out.
    "under some condition": (
        f"import sys\n{IMPORT}{MAIN}\nif len(sys.argv) == 1:\n    main()\n",
        True,
    ),
    "threads alone": (IMPORT + USE.replace("n_workers=1", "processes=False"), False),
    "with the guard": (f"{IMPORT}{MAIN}\nif __name__ == '__main__':\n    main()\n", False),
    "with another one": (
        f"import multiprocessing\n{IMPORT}{MAIN}\n"
        "if multiprocessing.current_process().name == 'MainProcess':\n    main()\n",
        False,
    ),
}

# With the guard: as the program of a project's README (tests/template/test_readmes.py).
VARIATIONS = {"in a function", "threads alone", "with the guard", "with another one"}
CASES = [
    pytest.param(case, marks=[pytest.mark.full] if case in VARIATIONS else []) for case in PROGRAMS
]


def run(*words, **arguments):
    environment = {**os.environ, "DASK_DASK_HPC__BATCH_SYSTEM": "none"}
    environment = {k: v for k, v in environment.items() if k != "PYTHONPATH"}
    command = [sys.executable, *words]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, **arguments
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.mark.parametrize("case", CASES)
def test_a_script_without_the_guard_is_told_so_in_a_line(tmp_path, case):
    program, refused = PROGRAMS[case]
    if case == "under some condition" and Version(distributed.__version__) < Version("2026.7.1"):
        pytest.skip("a nanny waits for a worker that ends while it starts (distributed#9313)")
    (tmp_path / "program.py").write_text(program)
    code, said, complaints = run("program.py", cwd=tmp_path)
    if refused:
        assert code == 1
        assert 'put its code, indented, below `if __name__ == "__main__":`' in complaints[-1]
        assert "program.py" in complaints[-1]
        assert complaints[0] == "Traceback (most recent call last):"
        assert len(complaints) < 20  # and those are where in the script it is
        assert sum(line.startswith("dask_hpc.errors.StartError") for line in complaints) == 1
    else:
        assert (code, said, complaints) == (0, "3\n", [])


@pytest.mark.full
def test_by_ipythons_run(tmp_path):
    (tmp_path / "program.py").write_text(IMPORT + USE)
    pytest.importorskip("IPython")
    words = ["-m", "IPython", "--no-banner", "--colors=NoColor", "-c", "%run program.py"]
    _, said, complaints = run(*words, cwd=tmp_path)
    assert 'below `if __name__ == "__main__":`' in [*said.splitlines(), *complaints][-1]


def test_a_program_from_stdin():
    code, _, complaints = run("-", input=IMPORT + USE)
    assert code == 1
    assert "<stdin> is no file: save the script" in complaints[-1]


def test_a_package_that_python_runs_is_not_imported_by_its_workers(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(IMPORT + USE)
    assert run("-m", "package", cwd=tmp_path) == (0, "3\n", [])
