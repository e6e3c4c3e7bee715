"""What `dask hpc --version` says of a toolkit that was released, and edited."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dask_hpc import _integrity

ADDRESS = "https://git.example.org/dask-hpc-starter"


@pytest.fixture
def toolkit(tmp_path):
    """Return the toolkit's folder in a project just made, with few files."""
    folder = tmp_path / "my-lab" / "toolkit"
    package = folder / "src" / "dask_hpc"
    (package / "bench").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'dask-hpc'\n")
    (folder / "tests" / "test_jobs.py").write_text("assert True\n")
    shutil.copy(_integrity.__file__, package / "release.py")
    for name in ("__init__.py", "jobs.py", "bench/run.py", "bench/report.css"):
        (package / name).write_text(f"content of {name}\n")
    _integrity.write(folder)
    return folder


def package_of(toolkit):
    return toolkit / "src" / "dask_hpc"


def describe(toolkit):
    return _integrity.describe("1.2.3", package_of(toolkit))


def test_a_toolkit_without_a_list_is_the_developers_own(toolkit):
    (package_of(toolkit) / _integrity.MANIFEST).unlink()
    assert _integrity.edits(package_of(toolkit)) is None
    assert describe(toolkit) == "dask-hpc 1.2.3 (development)"


def test_a_toolkit_as_released_says_its_version_and_no_more(toolkit):
    assert _integrity.edits(package_of(toolkit)) == []
    assert describe(toolkit) == "dask-hpc 1.2.3"


@pytest.mark.parametrize(
    "name",
    [
        "src/dask_hpc/jobs.py",
        "src/dask_hpc/bench/report.css",
        "pyproject.toml",
        "tests/test_jobs.py",
    ],
)
def test_an_edit_is_named(toolkit, name):
    with (toolkit / name).open("a") as file:
        file.write("# ours\n")
    assert _integrity.edits(package_of(toolkit)) == [f"{name} differs"]
    assert describe(toolkit) == f"dask-hpc 1.2.3, edited: {name} differs"


def test_a_missing_and_an_added_file_are_named(toolkit):
    (package_of(toolkit) / "jobs.py").rename(package_of(toolkit) / "our_jobs.py")
    assert _integrity.edits(package_of(toolkit)) == [
        "src/dask_hpc/jobs.py is missing",
        "src/dask_hpc/our_jobs.py was added",
    ]


def test_many_edits_are_counted(toolkit):
    for number in range(8):
        (package_of(toolkit) / f"new{number}.py").touch()
    line = describe(toolkit)
    assert line.count("was added") == _integrity.SHOWN
    assert line.endswith(" and 3 more")


def test_what_python_and_tools_leave_behind_is_no_edit(toolkit):
    for name in ("src/dask_hpc/__pycache__/jobs.pyc", "src/dask_hpc/.ipynb_checkpoints/x.py"):
        (toolkit / name).parent.mkdir()
        (toolkit / name).touch()
    assert _integrity.edits(package_of(toolkit)) == []


def test_other_line_ends_are_no_edit(toolkit):
    path = package_of(toolkit) / "jobs.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert _integrity.edits(package_of(toolkit)) == []


def test_in_a_wheel_only_the_package_is_looked_at(toolkit, tmp_path):
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "dask_hpc"
    shutil.copytree(package_of(toolkit), package)
    assert _integrity.edits(package) == []
    (package / "jobs.py").write_text("other\n")
    assert _integrity.edits(package) == ["src/dask_hpc/jobs.py differs"]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_reads_the_list(toolkit):
    command = ["sha256sum", "--check", "--quiet", f"src/dask_hpc/{_integrity.MANIFEST}"]
    assert subprocess.run(command, cwd=toolkit, check=False).returncode == 0
    (toolkit / "pyproject.toml").write_text("other\n")
    done = subprocess.run(command, cwd=toolkit, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pyproject.toml: FAILED" in done.stdout


def test_a_project_linked_by_cruft_names_the_templates_commit(toolkit):
    state = {"template": ADDRESS, "commit": "0123456789abcdef0123456789abcdef01234567"}
    (toolkit.parent / ".cruft.json").write_text(json.dumps(state))
    assert describe(toolkit).splitlines() == [
        "dask-hpc 1.2.3",
        f"from {ADDRESS}, commit 0123456789ab (`cruft check` tells whether it is old)",
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"template": "x"}'])
def test_a_damaged_link_is_crufts_business(toolkit, text):
    (toolkit.parent / ".cruft.json").write_text(text)
    assert describe(toolkit) == "dask-hpc 1.2.3"


def test_it_runs_alone_and_leaves_nothing_for_the_templates_hook_calls_it_so(toolkit):
    before = _integrity.files(toolkit)
    source = package_of(toolkit) / "release.py"
    code = f"import runpy; runpy.run_path({str(source)!r})['files']"
    # -I -S: no packages but the standard library.
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
    assert _integrity.files(toolkit) == before
    assert not list(Path(toolkit).rglob("__pycache__"))
