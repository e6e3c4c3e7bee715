"""A project that is not ours uses the testbed with the lines of its README and nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hpc_testbed import Testbed, docker_problem

from ..marks import full
from .fake_runner import Runner

TESTBED = Path(__file__).parents[2] / "hpc-slurm-testbed"
CI = TESTBED.parent / ".github" / "workflows" / "ci.yml"
README = (TESTBED / "README.md").read_text()
NOWHERE = "unix:///nonexistent"

REFUSED = """
def test_a_partition_that_is_not_there(testbed):
    testbed.run("sbatch --partition=nowhere --wrap=true")
"""

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("downstream")]


def blocks(language, heading):
    text = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


(PASSES,) = blocks("python", "From pytest")


def make_checkout(folder):
    """Make their project's checkout, with the test of the README."""
    project = folder / "checkout"
    project.mkdir()
    subprocess.run(["git", "init", "--quiet", project], check=True)
    (project / "test_theirs.py").write_text(PASSES)
    return project


def variables(bin_folder):
    """Return the variables in which nothing of ours is on any path, but for this folder."""
    ours = ("PYTHON", "PYTEST", "TESTBED_", "VIRTUAL_ENV", "GITHUB_", "COV")
    env = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    # Two checkouts of ours that differ, tested on one machine, would rebuild each other's image.
    env |= {key: os.environ[key] for key in ("TESTBED_IMAGE",) if key in os.environ}
    return {**env, "PATH": f"{bin_folder}:{env['PATH']}"}


@pytest.fixture
def at_hand(tmp_path):
    """Their project with the driver of this environment, which is there without an installation."""
    env = variables(Path(sys.executable).parent)
    return Runner(make_checkout(tmp_path), tmp_path, env)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Their project's checkout, and the variables of its environment."""
    project = make_checkout(tmp_path_factory.mktemp("theirs"))
    venv = project.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "pytest", "pytest-xdist"], check=True)
    return project, variables(venv / "bin")


@pytest.fixture
def repository(project, tmp_path):
    """Their project on a runner that has done nothing yet."""
    return Runner(project[0], tmp_path, project[1])


@pytest.fixture(scope="module")
def with_driver(project, tmp_path_factory):
    """Return the variables after the action has installed the driver and started nothing."""
    runner = Runner(project[0], tmp_path_factory.mktemp("runner"), project[1])
    done = runner.use(TESTBED, {"nodes": "0"})
    assert done.returncode == 0, done.stdout + done.stderr
    return runner.env


@pytest.fixture
def installed(project, with_driver, tmp_path):
    """With the driver, and without the name of a testbed, as at a desk."""
    env = {key: value for key, value in with_driver.items() if key != "TESTBED_NAME"}
    return Runner(project[0], tmp_path, env)


# --- without Docker ---


@pytest.mark.full
def test_the_driver_comes_from_their_environment_and_not_from_our_checkout(installed):
    found = installed.run("python -c 'import hpc_testbed; print(hpc_testbed.__file__)'").stdout
    assert found.startswith(str(installed.workspace.parent / "venv"))


def test_without_docker_their_test_is_skipped_and_the_reason_is_seen(at_hand):
    done = at_hand.run("pytest", DOCKER_HOST=NOWHERE)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    (line,) = re.findall("hpc-testbed was not used: .*", done.stdout)
    assert f"the Docker engine does not respond at DOCKER_HOST={NOWHERE}" in line


def test_without_docker_a_testbed_that_is_required_is_a_failure(at_hand):
    done = at_hand.run("pytest --require-testbed", DOCKER_HOST=NOWHERE)
    assert done.returncode == 1
    assert (
        f"the testbed is required: the Docker engine does not respond at DOCKER_HOST={NOWHERE}"
        in (done.stdout)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--testbed-suite sid", "invalid choice: 'sid'"),
        ("-o testbed_suite=sid", "the testbed did not start: suite 'sid': choose one of trixie"),
        ("--testbed-nodes 0", "the testbed did not start: nodes must be 1 to 64, not 0"),
        *full(
            ("-o testbed_nodes=many", "did not start: testbed_nodes = many: not a number"),
            ("--testbed-nodes 65", "the testbed did not start: nodes must be 1 to 64, not 65"),
            ("--testbed-name 'My Bed'", "did not start: name 'My Bed': use lower-case letters"),
            ("--testbed-dockerfile nothing", "dockerfile nothing: no such file"),
        ),
    ],
)
def test_a_wrong_setting_is_said_in_one_line(at_hand, options, words):
    done = at_hand.run(f"pytest {options}", DOCKER_HOST=NOWHERE)
    said = [line for line in (done.stdout + done.stderr).splitlines() if words in line]
    assert done.returncode != 0
    assert said
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nothing", "No such command 'nothing'"),
        ("", "Missing command"),
        ("up --nodes x", "'x' is not a valid integer"),
        ("up --nodes 65", "65 is not in the range 1<=x<=64"),
        ("--suite sid up", "'sid' is not one of 'trixie', 'bookworm'"),
        ("--name A up", "name 'A': use lower-case letters"),
        ("status extra", "unexpected extra argument (extra)"),
    ],
)
def test_a_wrong_command_line_is_one_line(at_hand, arguments, words):
    done = at_hand.run(f"hpc-testbed {arguments}", DOCKER_HOST=NOWHERE)
    assert done.returncode != 0
    assert done.stderr.startswith("Error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.full
def test_two_checkouts_of_theirs_and_two_workers_have_testbeds_of_their_own(installed):
    (installed.workspace / "conftest.py").write_text(
        "from hpc_testbed.pytest_plugin import _session_testbed\n"
        "def pytest_report_header(config):\n"
        "    return f'name={_session_testbed(config).name}'\n"
    )
    other = installed.workspace.parent / "other"
    subprocess.run(["cp", "-r", installed.workspace, other], check=True)
    names = {
        re.search("name=(.*)", installed.run(f"cd {folder}; pytest --co {options}", **env).stdout)[
            1
        ]
        for folder, options, env in (
            (installed.workspace, "", {}),
            (installed.workspace, "", {"PYTEST_XDIST_WORKER": "gw0"}),
            (installed.workspace, "", {"PYTEST_XDIST_WORKER": "gw1"}),
            (installed.workspace, "--testbed-name mine", {}),
            (installed.workspace, "--testbed-name mine", {"PYTEST_XDIST_WORKER": "gw1"}),
            (other, "", {}),
        )
    }
    (installed.workspace / "conftest.py").unlink()
    assert len(names) == 6
    assert {"mine", "mine-gw1"} <= names


@pytest.mark.full
def test_a_python_that_cannot_be_installed_into_is_an_error_that_says_what_to_do(repository):
    done = repository.use(TESTBED, {"python": "/nonexistent/python"})
    (error,) = [line for line in done.stdout.splitlines() if line.startswith("::error::")]
    assert done.returncode == 1
    assert "actions/setup-python" in error


# --- with it ---


@pytest.fixture
def engine():
    if docker_problem():
        pytest.skip(docker_problem())


@pytest.mark.full
@pytest.mark.testbed
def test_the_three_lines_of_the_readme(repository, engine):
    action, tests, on_failure = yaml.safe_load(blocks("yaml", "In a GitHub workflow")[0])
    (at_the_end,) = yaml.safe_load(blocks("yaml", "In a GitHub workflow")[1])
    assert re.fullmatch(r"OWNER/[\w-]+/hpc-slurm-testbed@v0", action["uses"])
    done = repository.use(TESTBED, {"nodes": "2", **action.get("with", {})})
    testbed = Testbed(repository.env["TESTBED_NAME"])
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        done = repository.run(tests["run"])
        assert "1 passed" in done.stdout, done.stdout
        assert testbed.is_up()  # the fixture used it, and left it running
        # What our own workflow does with it.
        for step in yaml.safe_load(CI.read_text())["jobs"]["action"]["steps"]:
            if step.get("run", "").startswith("hpc-testbed run "):
                done = repository.run(step["run"])
                assert done.returncode == 0, done.stderr
                assert "Submitted batch job" in done.stdout
        # The same with a test that Slurm refuses: its words are shown, and so are the logs.
        (repository.workspace / "test_refused.py").write_text(REFUSED)
        done = repository.run(tests["run"])
        assert done.returncode == 1
        assert "invalid partition specified: nowhere" in done.stdout
        assert "1 failed, 1 passed" in done.stdout
        assert "subprocess.run(" not in done.stdout  # the driver's inside is not their concern
        assert "slurmctld-1" in repository.run(on_failure["run"]).stdout
    finally:
        (repository.workspace / "test_refused.py").unlink(missing_ok=True)
        ended = repository.run(at_the_end["run"])
    assert ended.returncode == 0, ended.stderr
    assert testbed.leftover_resources() == []


@pytest.mark.full
@pytest.mark.testbed
def test_the_action_keeps_the_image_for_the_next_run(repository, engine):
    """The cache has it, and an image without a build cache is used as it is."""
    repository.env["TESTBED_IMAGE"] = image = "hpc-testbed-kept"  # not the one of other tests
    try:
        first = repository.use(TESTBED, {"nodes": "1"})
        assert first.returncode == 0, first.stderr
        assert "Building the image" in first.stderr
        repository.run("hpc-testbed down")
        subprocess.run(["docker", "image", "rm", "--force", f"{image}:slurm-trixie"], check=True)
        second = repository.use(TESTBED, {"nodes": "1"})
        assert second.returncode == 0, second.stderr
        assert f"Loaded image: {image}:slurm-trixie" in second.stdout
        assert "Building the image" not in second.stderr
        assert "Updating the image" not in second.stderr
    finally:
        repository.run("hpc-testbed down")
        subprocess.run(["docker", "image", "rm", "--force", f"{image}:slurm-trixie"])


@pytest.mark.full
@pytest.mark.testbed
def test_the_gitlab_recipe_from_docker_load_on(installed, engine):
    (recipe,) = yaml.safe_load(blocks("yaml", "In GitLab CI")[0]).values()
    lines = recipe["before_script"]
    begin = next(i for i, line in enumerate(lines) if "docker load" in line)
    steps = [*lines[begin:], *recipe["script"]]
    assert recipe["cache"]["paths"] == ["hpc-testbed-image.tar"]
    installed.env["TESTBED_NAME"] = "hpc-testbed-gitlab"
    try:
        for _ in range(2):  # with an empty cache, and with what that has left
            for line in steps:
                done = installed.run(line.replace("testbed up", "testbed up --nodes 2"))
                assert done.returncode == 0, (line, done.stdout, done.stderr)
            assert "1 passed" in done.stdout
    finally:
        installed.run("hpc-testbed down")
        (installed.workspace / "hpc-testbed-image.tar").unlink(missing_ok=True)


@pytest.mark.full
@pytest.mark.testbed
def test_without_pytest_a_folder_is_put_there_and_a_script_is_submitted(installed, engine):
    (line,) = re.findall(r"^(hpc-testbed put .*)$", README, flags=re.MULTILINE)
    (installed.workspace / "scripts").mkdir()
    (installed.workspace / "scripts" / "job.sh").write_text("#!/bin/sh\necho from $(id -un)\n")
    installed.env["TESTBED_NAME"] = "hpc-testbed-by-hand"
    try:
        assert installed.run("hpc-testbed up --nodes 1").returncode == 0
        done = installed.run(line)
        assert done.returncode == 0, done.stderr
        assert installed.run("hpc-testbed run 'cat slurm-*.out'").stdout == "from alice\n"
        refused = installed.run("hpc-testbed run --user carol sbatch --wrap=true")
        assert refused.returncode == 1
        assert "Invalid account" in refused.stderr
        missing = installed.run("hpc-testbed put nothing /home/alice/nothing")
        assert missing.stderr == "Error: nothing is not a folder\n"
    finally:
        installed.run("hpc-testbed down")


@pytest.mark.full
@pytest.mark.testbed
def test_an_action_that_cannot_start_it_says_so_and_shows_why(repository, engine):
    done = repository.use(TESTBED, {"nodes": "65"})
    assert done.returncode == 1
    assert "::error::The testbed did not start" in done.stdout
    assert "65 is not in the range 1<=x<=64" in done.stderr


@pytest.mark.full
@pytest.mark.testbed
def test_without_a_name_the_fixture_starts_one_and_takes_it_down_even_with_two_workers(
    installed, engine
):
    (installed.workspace / "test_more.py").write_text(PASSES)
    before = docker_projects()
    done = installed.run("pytest -n 2 --dist loadfile --require-testbed --testbed-nodes 2 -q")
    (installed.workspace / "test_more.py").unlink()
    assert "2 passed" in done.stdout, done.stdout
    mine = docker_projects() - before
    assert not [name for name in mine if "-gw" in name]


@pytest.mark.full
@pytest.mark.testbed
def test_a_second_session_of_the_same_checkout_is_refused_and_harms_nothing(installed, engine):
    (installed.workspace / "test_first.py").write_text(
        "import subprocess, sys\n"
        "def test_first(testbed):\n"
        "    second = [sys.executable, '-m', 'pytest', 'test_theirs.py', '--require-testbed']\n"
        "    done = subprocess.run(second, capture_output=True, text=True)\n"
        "    assert 'another pytest session is using testbed' in done.stdout\n"
        "    testbed.run('srun true')\n"
    )
    done = installed.run("pytest test_first.py --require-testbed --testbed-nodes 1")
    (installed.workspace / "test_first.py").unlink()
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.full
@pytest.mark.testbed
def test_a_dockerfile_of_theirs_adds_packages(installed, engine):
    (text,) = blocks("dockerfile", "Packages of your own")
    (installed.workspace / "testbed.Dockerfile").write_text(text)
    (installed.workspace / "test_theirs.py").write_text(
        "def test_packages(testbed):\n"
        "    testbed.run('srun jq --version')\n"
        "    testbed.run('srun python3 -c \"import tomlkit\"')\n"
    )
    options = "--testbed-nodes 1 -o testbed_dockerfile=testbed.Dockerfile"
    try:
        done = installed.run(f"pytest --require-testbed {options}")
    finally:
        image = Testbed(dockerfile=installed.workspace / "testbed.Dockerfile", suite="trixie").image
        subprocess.run(["docker", "image", "rm", image], capture_output=True)
    (installed.workspace / "test_theirs.py").write_text(PASSES)
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.full
@pytest.mark.testbed
def test_files_that_only_their_owner_can_read_make_an_image_that_works(installed, engine):
    image = f"hpc-testbed-{installed.workspace.parent.name}"  # none of those in use
    carried = "import hpc_testbed.compose as c; print(c.FOLDER.parent)"
    installed.run(f'chmod -R go= "$(python -c "{carried}")"')  # as umask 077 leaves them
    try:
        done = installed.run("pytest --require-testbed --testbed-nodes 2", TESTBED_IMAGE=image)
        assert "1 passed" in done.stdout, done.stdout
    finally:
        subprocess.run(["docker", "image", "rm", f"{image}:slurm-trixie"], capture_output=True)


@pytest.mark.full
@pytest.mark.testbed
def test_their_package_is_installed_with_what_it_needs(installed, engine):
    (installed.workspace / "pyproject.toml").write_text(
        '[project]\nname = "theirs"\nversion = "1"\ndependencies = ["tomlkit"]\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[tool.setuptools]\npy-modules = ["theirs"]\n'
    )
    (installed.workspace / "theirs.py").write_text("import tomlkit\nprint('imported')\n")
    (installed.workspace / "test_theirs.py").write_text(
        "from pathlib import Path\n"
        "from hpc_testbed import install_project\n"
        "def test_it(testbed):\n"
        "    home = install_project(testbed, Path(__file__).parent, download=True)\n"
        "    done = testbed.run(f'srun {home}/.venv/bin/python -m theirs')\n"
        "    assert done.stdout == 'imported\\n'\n"
    )
    done = installed.run("pytest --require-testbed --testbed-nodes 2")
    (installed.workspace / "test_theirs.py").write_text(PASSES)
    assert "1 passed" in done.stdout, done.stdout


def docker_projects():
    listing = ["docker", "ps", "--all", "--format", '{{.Label "com.docker.compose.project"}}']
    return set(subprocess.run(listing, capture_output=True, text=True).stdout.split())
