"""The lab's lock: what is written, how it is read, and what is said to differ.

uv and conda's files are fakes here; tests/template/test_lock.py installs from a real lock with pip
and with uv.
"""

import importlib.metadata
import json
import sys

import pytest
from click.testing import CliRunner

from dask_hpc.cli.main import main
from dask_hpc.environment import conda_lock, lock, packages, requirements_lock

FAKE_UV = """#!{python} -SE
import json, pathlib, sys
constraints = pathlib.Path(sys.argv[sys.argv.index("--constraints") + 1]).read_text().split()
call = {{"words": sys.argv[1:], "wanted": sys.stdin.read().splitlines(), "pins": constraints}}
with open({folder!r} + "/calls", "a") as file:
    file.write(json.dumps(call) + "\\n")
{behavior}
"""
# Resolves to what is wanted and the packages that Dask needs, at the pinned versions.
RESOLVE = """
pins = dict(pin.split("==") for pin in constraints)
names = [text.split("=")[0].split(">")[0] for text in call["wanted"]] + ["toolz"]
for name in sorted(set(names)):
    print(name + "==" + pins.get(name, "7.0") + " \\\\\\n    --hash=sha256:0123")
print("pywin32==312 ; sys_platform == 'win32' \\\\\\n    --hash=sha256:4567")
"""
HERE = {"dask": "2026.8.0", "toolz": "1.1", "editables": "0.6", "hatchling": "1.33"}


@pytest.fixture
def project(tmp_path):
    """Return a project that needs Dask, and whose toolkit needs Dask and click."""
    project = tmp_path / "my lab"
    (project / "config").mkdir(parents=True)
    (project / "config/jobqueue.yaml").write_text("jobqueue: {}\n")
    (project / "toolkit").mkdir()
    for folder, needs in ((project, ["dask>=2026.1.3"]), (project / "toolkit", ["click>=8.2"])):
        text = (
            f'[project]\ndependencies = {needs}\n[build-system]\nrequires = ["hatchling>=1.27"]\n'
        )
        (folder / "pyproject.toml").write_text(text)
    return project


@pytest.fixture
def installed(monkeypatch):
    """Return the versions that count as installed, to change."""
    versions = {**HERE, "click": "8.3"}
    monkeypatch.setattr(lock, "installed", lambda: versions)
    return versions


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """Return a function that gives uv a behavior; the function's `calls` returns the calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(requirements_lock.sysconfig, "get_path", lambda _: str(folder))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def behave(behavior=RESOLVE):
        text = FAKE_UV.format(python=sys.executable, folder=str(folder), behavior=behavior)
        (folder / "uv").write_text(text)
        (folder / "uv").chmod(0o755)

    behave.calls = lambda: [json.loads(x) for x in (folder / "calls").read_text().splitlines()]
    return behave


@pytest.fixture
def run(project, monkeypatch):
    """Return a function that calls the command in the project's folder."""
    monkeypatch.chdir(project)
    return lambda *words: CliRunner().invoke(main, ["lock", *words])


def test_what_is_installed_is_locked(project, installed, uv, run):
    uv()
    done = run()
    assert done.exit_code == 0, done.output
    assert done.output == f"Wrote {project}/requirements.lock: 5 packages. Commit it.\n"
    text = (project / "requirements.lock").read_text()
    assert "dask==2026.8.0 \\\n    --hash=sha256:0123\n" in text
    [call] = uv.calls()
    assert {"dask>=2026.1.3", "click>=8.2", "hatchling>=1.27", "editables"} == set(call["wanted"])
    assert "dask==2026.8.0" in call["pins"]
    assert {"--universal", "--generate-hashes"} <= set(call["words"])
    done = run("--check")
    assert (done.exit_code, done.output) == (
        0,
        "This environment equals requirements.lock: 5 packages.\n",
    )


def test_a_package_that_nobody_asked_for_is_locked_and_named(project, installed, uv, run):
    uv()
    installed |= {"xarray": "2026.4", "pip": "26.0"}
    done = run()
    assert "Note: Also in the lock, though pyproject.toml does not ask for them: xarray." in (
        done.output
    )
    assert "xarray==2026.4 " in (project / "requirements.lock").read_text()
    assert "pip==" not in (project / "requirements.lock").read_text()
    assert run("--check").exit_code == 0


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"dask": "2026.9.0"}, "dask 2026.9.0 instead of 2026.8.0"),
        ({"numpy": "3.0"}, "numpy is not in the lock"),
        ({"toolz": None}, "toolz is missing"),
    ],
)
def test_what_differs_is_named_in_one_line(installed, uv, run, change, phrase):
    uv()
    run()
    for name, version in change.items():
        installed[name] = version
        if version is None:
            del installed[name]
    done = run("--check")
    assert done.exit_code == 1
    assert done.output.startswith("Error: this environment is not that of requirements.lock: ")
    assert f": {phrase}. Install from the lock" in done.output
    assert done.output.count("\n") == 1


def test_another_python_differs(project, installed, uv, run):
    uv()
    run()
    path = project / "requirements.lock"
    path.write_text(path.read_text().replace("# python: 3.", "# python: 2."))
    version = requirements_lock.python_version()
    assert f": Python {version} instead of {version.replace('3.', '2.')}." in run("--check").output


def test_many_differences_are_shortened():
    here = {f"p{number}": "1" for number in range(9)}
    phrases = lock.differences(here, {}, {})
    assert len(phrases) == 9
    assert lock.shortened(phrases, "; ").endswith("p5 is not in the lock; and 3 more")


@pytest.mark.parametrize(
    ("prepare", "words", "line"),
    [
        (lambda p, uv: uv("sys.exit('no such\\n version')"), (), "installed here: no such version"),
        (lambda p, uv: None, (), "needs uv, which finds the hashes"),
        (lambda p, uv: (p / "pyproject.toml").write_text("[["), (), "pyproject.toml is not valid"),
        (lambda p, uv: (p / "pyproject.toml").unlink(), (), "cannot read "),
        (lambda p, uv: None, ("--check",), "requirements.lock does not exist: run `dask hpc lock`"),
        (
            lambda p, uv: (p / "requirements.lock").write_text("dask>=1\n"),
            ("--check",),
            "the line 'dask>=1', which is not a package with its version",
        ),
        (
            lambda p, uv: (p / "requirements.lock").write_text("<<<<<<< ours\n"),
            ("--check",),
            "the line '<<<<<<< ours'",
        ),
    ],
)
def test_a_mistake_is_one_line(project, installed, uv, run, prepare, words, line):
    prepare(project, uv)
    done = run(*words)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert line in done.output
    assert done.output.count("\n") == 1


def test_an_old_lock_stays_if_the_new_one_cannot_be_written(project, installed, uv, run):
    uv("sys.exit('broken')")
    (project / "requirements.lock").write_text("dask==1\n")
    assert run().exit_code == 1
    assert (project / "requirements.lock").read_text() == "dask==1\n"


def test_the_labs_own_packages_are_not_in_the_list():
    """The toolkit is installed from its folder, in the environment that runs the tests."""
    found = packages.installed()
    assert found["dask"] == importlib.metadata.version("dask")
    assert "dask-hpc" not in found


def test_the_digest_depends_on_names_and_versions_alone():
    one = packages.digest({"dask": "1", "click": "2"})
    assert one == packages.digest({"click": "2", "dask": "1"})
    # printf 'click==2\ndask==1\n' | sha256sum
    assert one == "sha256:81f0ceee42194e328584b370ad5dc9bf1da21b99490248cc3bd3e6df523f866a"
    assert packages.digest({"dask": "1", "click": "3"}) != one


# --- conda ---------------------------------------------------------------------------------------

URL = "https://conda.example/conda-forge"


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """Return a function that adds a package's file to an environment of conda's."""
    meta = tmp_path / "env" / "conda-meta"
    meta.mkdir(parents=True)
    (meta / "history").touch()
    monkeypatch.setattr(sys, "prefix", str(meta.parent))
    monkeypatch.setattr(lock, "installed_by_pip", list)

    def add(name, version, build, depends=(), **other):
        content = {"name": name, "version": version, "build": build, "depends": list(depends)}
        content |= {"url": f"{URL}/linux-64/{name}-{version}-{build}.conda", "md5": f"md5of{name}"}
        (meta / f"{name}-{version}-{build}.json").write_text(json.dumps(content | other))

    add("dask-core", "2026.8.0", "pyhd8ed1ab_0", ["python >=3.10", "toolz >=0.10.0"])
    add("python", "3.12.4", "h194c7f8_0", ["pip", "__glibc >=2.17"])
    add("pip", "26.0", "pyh8b19718_0", ["python >=3.10,<3.13.0a0"])
    add("toolz", "1.1", "py_1", ["python"])
    return add


def test_a_conda_environment_is_locked_as_conda_lists_it(project, conda, run, monkeypatch):
    monkeypatch.setattr(conda_lock.platform, "machine", lambda: "x86_64")
    done = run()
    assert done.output == f"Wrote {project}/conda-linux-64.lock: 4 packages. Commit it.\n"
    text = (project / "conda-linux-64.lock").read_text()
    lines = text.partition("@EXPLICIT\n")[2].splitlines()
    assert f"{URL}/linux-64/toolz-1.1-py_1.conda#md5oftoolz" in lines
    names = [line.partition("#")[0].rpartition("/")[2].rsplit("-", 2)[0] for line in lines]
    # conda installs in this order.
    assert names == ["python", "pip", "toolz", "dask-core"]
    assert run("--check").output == "This environment equals conda-linux-64.lock: 4 packages.\n"


def test_a_conda_environment_that_differs_is_told(conda, run, monkeypatch):
    run()
    conda("numpy", "2.5", "py312_0")
    monkeypatch.setattr(lock, "installed_by_pip", lambda: ["xarray"])
    assert ": numpy is not in the lock; xarray is not in the lock." in run("--check").output
    done = run()
    assert "Note: The lock of a conda environment has no packages that pip installed: xarray." in (
        done.output
    )


def test_a_conda_package_from_nowhere_is_told(conda, run):
    conda("ours", "1.0", "0", url="")
    assert run().output.startswith("Error: conda does not know where ours is from")


def test_a_lock_of_conda_that_is_none_is_told(project, conda, run):
    (project / conda_lock.file_name()).write_text("@EXPLICIT\nnumpy=2.5\n")
    assert "the line 'numpy=2.5', which is not the address" in run("--check").output
