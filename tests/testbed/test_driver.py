"""The testbed's driver: scaling, running, copying, and what it says where something is wrong."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from functools import partialmethod
from unittest.mock import MagicMock

import pytest

from hpc_testbed import DockerUnavailableError, Testbed, TestbedError, docker_problem
from hpc_testbed.lock import locked

# --- without Docker ---


@pytest.mark.parametrize("nodes", [0, -1, 65])
def test_a_number_of_nodes_that_slurm_cannot_have_is_refused(nodes):
    with pytest.raises(TestbedError, match="nodes must be 1 to 64"):
        Testbed(nodes=nodes)


def test_an_unknown_suite_is_refused_with_the_known_ones():
    with pytest.raises(TestbedError, match="choose one of trixie, bookworm"):
        Testbed(suite="sid")


def test_a_missing_docker_command_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert docker_problem() == "Docker is missing: the command `docker` is not installed"


DENIED = (
    "permission denied while trying to connect to the Docker daemon socket",
    "permission denied (ask to be added to the group docker, and log in again)",
)
STOPPED = ("Cannot connect to the Docker daemon. Is it running?", "Is it running?")


@pytest.mark.parametrize(
    ("verb", "says", "words"),
    [("up", *DENIED), ("shell", *DENIED), ("fault", *DENIED), ("status", *STOPPED)],
)
def test_docker_that_may_not_be_used_is_said_in_one_line(tmp_path, verb, says, words):
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    docker.chmod(0o755)
    arguments = [verb, "kill-node"] if verb == "fault" else [verb]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = command_line(*arguments, PATH=path, DOCKER_HOST="unix:///nonexistent")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the Docker engine does not respond")
    assert done.stderr.rstrip().endswith(words)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "says",
    [
        "could not find an available, non-overlapping IPv4 address pool among the defaults to "
        "assign to the network",
        "Error response from daemon: all predefined address pools have been fully subnetted",
    ],
    ids=["Docker 20.10", "Docker 28"],
)
def test_no_addresses_for_one_more_testbed_is_said_and_nothing_is_left(tmp_path, monkeypatch, says):
    # An engine without containers, and a command that has made two networks when addresses are out.
    engine = MagicMock()
    engine.containers.list.return_value = []
    monkeypatch.setattr("docker.from_env", lambda **_: engine)
    docker = tmp_path / "docker"
    docker.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {tmp_path}/calls\n'
        'case " $* " in\n'
        f"  *' up '*) echo '{says}' >&2; exit 1 ;;\n"
        "esac\n"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(TestbedError, match="no free addresses for another testbed"):
        Testbed("hpc-testbed-no-addresses").up()
    calls = (tmp_path / "calls").read_text().splitlines()
    (up,) = [number for number, call in enumerate(calls) if " up " in call]
    assert [call for call in calls[up:] if " down --volumes" in call]


@pytest.fixture
def context(tmp_path, monkeypatch):
    """Return a function that makes a context of Docker's command, the current one from then on."""
    if shutil.which("docker") is None:
        pytest.skip("the command `docker` is not installed")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    def make(host):
        create = ["docker", "context", "create", "made", "--docker", f"host={host}"]
        subprocess.run(create, check=True, capture_output=True)
        subprocess.run(["docker", "context", "use", "made"], check=True, capture_output=True)

    return make


@pytest.mark.parametrize("chosen", ["by docker context use", "by DOCKER_CONTEXT"])
def test_context_without_an_engine_is_said(context, monkeypatch, chosen):
    context("unix:///nonexistent")
    if "DOCKER_CONTEXT" in chosen:
        subprocess.run(["docker", "context", "use", "default"], check=True, capture_output=True)
        monkeypatch.setenv("DOCKER_CONTEXT", "made")
    assert docker_problem().startswith(
        "the Docker engine does not respond: Cannot connect to the Docker daemon at unix:///nonexistent."
    )


def test_context_that_is_unknown_is_said(context, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    assert re.match(r"the Docker engine does not respond: .*context \"nowhere\"", docker_problem())


@pytest.fixture
def own_locks(tmp_path, monkeypatch):
    """Keep this test's locks apart from those of tests that run at the same time."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("own_locks")
def test_a_second_command_waits_for_the_first_and_says_so(capfd):
    waiting = threading.Thread(target=_hold, args=["test-lock", "waiting for it"])
    with locked("test-lock", busy=""):
        waiting.start()
        waiting.join(1.5)
        assert waiting.is_alive()
        with pytest.raises(TestbedError, match="in use"):
            _hold("test-lock", "in use", wait=False)
    waiting.join(10)
    assert not waiting.is_alive()
    assert capfd.readouterr().err == "waiting for it\n"


@pytest.mark.usefixtures("own_locks")
def test_who_does_not_wait_a_second_says_nothing(capfd):
    with locked("test-lock", busy="waiting for it"):
        pass
    _hold("test-lock", "waiting for it")
    assert capfd.readouterr().err == ""


def _hold(name, busy, wait=True):
    with locked(name, busy=busy, wait=wait):
        pass


def command_line(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "hpc_testbed", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("verb", ["up", "status", "down"])
def test_the_command_says_in_one_line_that_no_engine_answers(verb):
    done = command_line(verb, DOCKER_HOST="unix:///nonexistent")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(
        ("Error: Docker is missing", "Error: the Docker engine does not respond")
    )
    assert done.stderr.count("\n") == 1


# --- with it ---


def test_scaling_up_and_down_leaves_exactly_the_nodes_asked_for(testbed):
    try:
        testbed.scale(6)
        assert set(testbed.node_states()) == {f"node{n}" for n in range(1, 7)}
        testbed.run("srun --nodes=6 true")
        # Started again without a number, as by `make testbed-up`, it keeps them.
        Testbed(testbed.name).up()
        assert len(testbed.node_states()) == 6
    finally:
        testbed.scale(4)
    assert set(testbed.node_states()) == {f"node{n}" for n in range(1, 5)}
    testbed.run("srun --nodes=4 true")


def test_a_node_that_goes_takes_its_job_with_it_and_names_it(testbed, capsys):
    job = testbed.run("sbatch --parsable --no-requeue --nodes=4 --wrap='sleep 60'").stdout.strip()
    testbed.run(f"until squeue -h -j {job} -o %T | grep -q RUNNING; do sleep 0.2; done")
    try:
        testbed.scale(3)
        state = f"squeue -h --states=all -j {job} -o %T"
        # Until its processes on the other nodes have ended.
        testbed.run(f"while {state} | grep -q COMPLETING; do sleep 0.2; done", timeout=60)
        assert testbed.run(state).stdout.strip() == "NODE_FAIL"
        said = f"Removing node4 ends or requeues running jobs: job {job} (alice).\n"
        assert capsys.readouterr().err == said
    finally:
        testbed.scale(4)


def test_a_failing_command_raises_with_its_own_last_words(testbed):
    with pytest.raises(TestbedError, match=r"failed with exit code 3: .*no such thing"):
        testbed.run("echo no such thing >&2; exit 3")


def test_a_command_over_its_time_is_ended_inside_too(testbed):
    begin = time.monotonic()
    done = testbed.run("sleep 4321", timeout=1, check=False)
    assert done.returncode == 124
    assert time.monotonic() - begin < 20
    assert testbed.run("pgrep -f 'sleep 432[1]'", check=False).stdout == ""


def test_a_command_over_its_time_is_an_error_that_says_so(testbed):
    with pytest.raises(TestbedError, match="`sleep 4321` timed out after 1 s"):
        testbed.run("sleep 4321", timeout=1)


@pytest.mark.parametrize("python", ["this one", "before 3.11.4"])
def test_what_is_put_comes_back_and_belongs_to_the_user(testbed, tmp_path, monkeypatch, python):
    if python != "this one":  # Debian 12's 3.11.2 has no filters for archives
        monkeypatch.delattr(tarfile, "data_filter")
        monkeypatch.setattr(
            tarfile.TarFile, "extract", partialmethod(_extract, tarfile.TarFile.extract)
        )
    source = tmp_path / "a folder"
    (source / "__pycache__").mkdir(parents=True)
    (source / "text.txt").write_text("grüezi\n")
    testbed.put(source, "/home/bob/copied", user="bob")
    assert testbed.run("stat -c %U copied/text.txt", user="bob").stdout.strip() == "bob"
    testbed.get("/home/bob/copied", tmp_path / "back")
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["text.txt"]
    assert (tmp_path / "back" / "text.txt").read_text() == "grüezi\n"
    testbed.run("rm -r copied", user="bob")


def _extract(archive, original, member, path="", set_attrs=True, *, numeric_owner=False):
    """As it was before Python 3.11.4: it has no argument `filter`."""
    original(archive, member, path, set_attrs, numeric_owner=numeric_owner)


MODES = "stat -c '%a %n' /home/bob copied copied/open copied/private"


def test_put_keeps_the_modes_of_folders_that_exist(testbed, tmp_path):
    source = tmp_path / "folder"
    for name, mode in {"open": 0o755, "private": 0o700}.items():
        (source / name).mkdir(mode, parents=True)
        (source / name).chmod(mode)
        (source / name / "file").touch()
    source.chmod(0o755)
    testbed.put(source, "/home/bob", user="bob")
    testbed.put(source, "/home/bob/copied", user="bob")
    modes = testbed.run(MODES, user="bob").stdout.split()[::2]
    assert modes == ["700", "755", "755", "700"]
    testbed.run("chmod 700 copied copied/open", user="bob")
    testbed.put(source, "/home/bob/copied", user="bob")
    modes = testbed.run(MODES, user="bob").stdout.split()[::2]
    assert modes == ["700", "700", "700", "700"]
    testbed.run("rm -r copied open private", user="bob")


def test_put_makes_a_private_folder_private(testbed, tmp_path):
    source = tmp_path / "folder"
    source.mkdir(0o700)
    testbed.put(source, "/home/bob/copied", user="bob")
    assert testbed.run("stat -c %a copied", user="bob").stdout == "700\n"
    testbed.run("rmdir copied", user="bob")


def test_get_keeps_the_modes_of_folders(testbed, tmp_path):
    testbed.run("mkdir -p copied/open && mkdir -m 700 copied/private copied/new", user="bob")
    kept = tmp_path / "back" / "open"
    for folder in (kept.parent, kept):
        folder.mkdir(0o700)
    testbed.get("/home/bob/copied", tmp_path / "back")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"back": 0o700, "open": 0o700, "private": 0o700, "new": 0o700}
    testbed.run("rm -r copied", user="bob")


# --- what a command reads and prints ---


def test_a_script_comes_through_stdin(testbed):
    assert testbed.run("bash -s", input="echo from\necho stdin\n").stdout == "from\nstdin\n"
    script = "echo from stdin; exit 3\n"
    done = subprocess.run(
        [sys.executable, "-m", "hpc_testbed", "--name", testbed.name, "run", "bash -s"],
        input=script,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("from stdin\n", 3)


def test_bytes_come_through_the_command_as_they_are(testbed):
    sent = bytes(range(256)) * 300
    done = subprocess.run(
        [sys.executable, "-m", "hpc_testbed", "--name", testbed.name, "run", "cat"],
        input=sent,
        capture_output=True,
    )
    assert done.stdout == sent


def test_run_after_two_hyphens(testbed):
    done = command_line("--name", testbed.name, "run", "--", "echo", "--user")
    assert (done.stdout, done.returncode) == ("--user\n", 0)


@pytest.mark.parametrize("stdin", ["closed", "empty", "endless"])
def test_a_command_that_reads_nothing_needs_no_stdin(testbed, stdin):
    line = f"{sys.executable} -m hpc_testbed --name {testbed.name} run 'echo ran'"
    redirect = {"closed": "<&-", "empty": "< /dev/null", "endless": "< /dev/zero"}[stdin]
    done = subprocess.run(
        f"{line} {redirect}", shell=True, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.returncode) == ("ran\n", 0)


def test_output_that_is_no_utf_8_is_escaped(testbed):
    command = r"printf 'caf\351\n'"
    assert testbed.run(command).stdout == "caf\\xe9\n"
    with pytest.raises(TestbedError, match=r"failed with exit code 1: caf\\xe9"):
        testbed.run(f"{command} >&2; exit 1")


@pytest.mark.parametrize(
    "words",
    [["shell"], ["run", "true"], ["put", ".", "/home/alice/put"]],
    ids=lambda words: words[0],
)
def test_a_user_that_the_testbed_has_not_is_said_in_one_line(testbed, words):
    done = command_line("--name", testbed.name, words[0], "--user", "eve", *words[1:])
    assert (done.returncode, done.stderr) == (1, "Error: the testbed has no user 'eve'\n")


# --- what runs already ---


def test_nodes_that_are_added_are_made_from_the_image_of_those_that_run(testbed, capsys):
    def images(field=".Image"):
        form = ["docker", "inspect", "--format", f"{{{{{field}}}}}"]
        nodes = [testbed.container(node).id for node in testbed.node_names()]
        return subprocess.run([*form, *nodes], capture_output=True, text=True).stdout.split()

    (image,), (name,) = set(images()), set(images(".Config.Image"))
    careless = Testbed(testbed.name, target="lab" if ":slurm-" in name else "slurm")
    try:
        careless.scale(5)
        assert images() == [image] * 5
        careless.up(6)
        assert images() == [image] * 6
        assert f"runs {name}, not {careless.image}" in capsys.readouterr().err
    finally:
        testbed.scale(4)


@pytest.mark.full
@pytest.mark.testbed
def test_two_commands_that_start_one_testbed_both_find_it_up(testbed_session):
    name = "hpc-testbed-twice"
    command = [sys.executable, "-m", "hpc_testbed", "--name", name, "up", "--nodes", "1"]
    try:
        both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=200)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert sorted(text.count("waiting for it") for text in said) == [0, 1]
        assert Testbed(name).node_states() == {"node1": "idle"}
    finally:
        Testbed(name).down()


def test_logs_of_a_service_that_is_not_there_name_those_that_are(testbed):
    with pytest.raises(TestbedError, match="unknown service nope; choose from mariadb, "):
        testbed.logs("nope")


def test_up_again_keeps_what_runs(testbed):
    before = testbed.container("slurmctld")
    testbed.up()
    assert testbed.container("slurmctld") == before


@pytest.mark.full
@pytest.mark.testbed
def test_down_leaves_no_container_network_or_volume(testbed_session):
    other = Testbed("hpc-testbed-beside", nodes=1)  # and two run side by side
    mark = "label=com.docker.compose.project=hpc-testbed-beside"

    def left():
        kinds = (["ps", "--all"], ["network", "ls"], ["volume", "ls"])
        return [
            line
            for kind in kinds
            for line in subprocess.run(
                ["docker", *kind, "--quiet", "--filter", mark], capture_output=True, text=True
            ).stdout.split()
        ]

    with other:
        assert len(left()) > 8
        assert other.run("srun hostname").returncode == 0
    assert left() == []
    assert testbed_session.run("srun true").returncode == 0


@pytest.mark.full
@pytest.mark.testbed
def test_a_container_that_ends_at_the_start_is_named_with_its_last_words(
    testbed_session, monkeypatch
):
    monkeypatch.setenv("TESTBED_NODE_CPUS", "many")
    begin = time.monotonic()
    with pytest.raises(TestbedError, match=r"hpc-testbed-wrong-node-1 ended .*: .*many"):
        Testbed("hpc-testbed-wrong", nodes=1).__enter__()
    assert time.monotonic() - begin < 60
    assert Testbed("hpc-testbed-wrong").leftover_resources() == []


SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


@pytest.mark.parametrize("context_host", [SOCKET, "unix:///nonexistent"])
def test_engine_of_the_context_or_docker_host(context, monkeypatch, context_host):
    if docker_problem():
        pytest.skip(docker_problem())
    context(context_host)
    if context_host != SOCKET:  # as for Docker's command, DOCKER_HOST counts more
        monkeypatch.setenv("DOCKER_HOST", SOCKET)
    assert docker_problem() is None
    assert Testbed("hpc-testbed-nowhere").leftover_resources() == []


def test_using_a_testbed_that_is_not_up_says_so():
    if docker_problem():
        pytest.skip(docker_problem())
    with pytest.raises(TestbedError, match="is not up"):
        Testbed("hpc-testbed-nowhere").run("true")
    with pytest.raises(TestbedError, match="is not up"):
        Testbed("hpc-testbed-nowhere").fault("kill-node")
    with pytest.raises(TestbedError, match="is not up"):
        Testbed("hpc-testbed-nowhere").scale(2)


def test_no_engine_is_an_error_of_its_own(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    with pytest.raises(DockerUnavailableError):
        Testbed().up()
