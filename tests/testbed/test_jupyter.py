"""JupyterLab on the login node, reached by ssh as the project's README says; its Dask panel."""

import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from hpc_testbed import ssh_config

TOKEN = "a-token-of-the-tests"
PORT = 8899  # on the login node


@pytest.fixture(scope="module")
def config(testbed_session):
    """Yield a configuration file of ssh that lets alice in."""
    with ssh_config(testbed_session) as path:
        yield path


class Session:
    """What a member types in one terminal: ssh, with the tunnel, and JupyterLab in it."""

    def __init__(self, config, lab, settings):
        self.lab = lab
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        variables = " ".join(f"DASK_{name}={value}" for name, value in settings.items())
        command = (
            f"cd {lab.home} && . .venv/bin/activate && exec env {variables} "
            f"jupyter lab --no-browser --port {PORT} --IdentityProvider.token={TOKEN}"
        )
        tunnel = ["-tt", "-L", f"{self.port}:localhost:{PORT}", "-o", "ExitOnForwardFailure=yes"]
        self.process = subprocess.Popen(
            ["ssh", "-F", config, "-o", "BatchMode=yes", *tunnel, "login", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def _answers(self):
        assert self.process.poll() is None, "ssh or JupyterLab has ended"
        try:
            return self.ask("GET", "/api")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, **body):
        """Send a request as the panel does; return (status, text)."""
        data = json.dumps(body).encode() if body else None
        url = f"http://localhost:{self.port}{path}"
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def new_cluster(self):
        """Press "+ NEW"; return the path of the new cluster and what the panel is told of it."""
        status, text = self.ask("PUT", "/dask/clusters/")
        assert status == 200, text
        model = json.loads(text)
        return f"/dask/clusters/{model['id']}", model

    def type(self, keys):
        self.process.stdin.write(keys)
        self.process.stdin.flush()

    def pid(self):
        # The brackets keep pgrep from finding the shell that runs it.
        return self.lab.testbed.run(f"pgrep -f '[j]upyter-lab.*port {PORT}'", check=False).stdout

    def end(self):
        if pid := self.pid().strip():
            self.lab.testbed.run(f"kill {pid}", check=False)
        until(lambda: not self.pid())
        self.process.kill()
        self.process.wait()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)


@pytest.fixture
def jupyterlab(config, lab):
    """Return a function that starts JupyterLab, with other settings of Dask than the lab's."""
    sessions = []

    def start(**settings):
        sessions.append(Session(config, lab, settings))
        return sessions[-1]

    yield start
    for session in sessions:
        session.end()


def test_the_panels_buttons_new_scale_shutdown_and_no_job_is_left_after_sigterm(jupyterlab, lab):
    session = jupyterlab()
    cluster, model = session.new_cluster()
    assert model["name"] == "SLURMCluster 1"
    assert model["workers"] == 0
    assert session.ask("PATCH", cluster, workers=5)[0] == 200
    assert len(lab.testbed.jobs()) == 2  # of 4 workers each: they are there once it has answered
    until(lambda: json.loads(session.ask("GET", cluster)[1])["workers"] == 8)
    assert json.loads(session.ask("GET", cluster)[1])["cores"] == 16
    status, page = session.ask("GET", model["dashboard_link"])
    assert status == 200, model
    assert "Dask Diagnostic UI" in page
    plots = model["dashboard_link"].replace("/status", "/individual-plots.json")
    assert "Individual Task Stream" in json.loads(
        session.ask("GET", plots)[1]
    )  # the panel's yellow buttons
    assert session.ask("DELETE", cluster)[0] == 204
    until(lambda: lab.testbed.jobs() == [])
    assert json.loads(session.ask("GET", "/dask/clusters/")[1]) == []
    check_no_job_is_left(session, lab, "SIGTERM")


@pytest.mark.full
@pytest.mark.parametrize(
    "how",
    [
        "kill -9",
        "Ctrl-C twice",
        "the ssh session is closed",
    ],
)
def test_no_job_is_left_when_jupyterlab_ends_with_a_cluster_running(jupyterlab, lab, how):
    check_no_job_is_left(jupyterlab(), lab, how)


def check_no_job_is_left(session, lab, how):
    """End JupyterLab while its panel has a cluster with a job that runs and one that begins."""
    cluster, _ = session.new_cluster()
    session.ask("PATCH", cluster, workers=4)
    until(lambda: json.loads(session.ask("GET", cluster)[1])["workers"] == 4)
    session.ask("PATCH", cluster, workers=8)
    _, second = sorted(lab.testbed.jobs(), key=int)
    if how == "Ctrl-C twice":
        session.type(b"\x03")
        time.sleep(0.5)  # as a person does
        session.type(b"\x03")
    elif how == "SIGTERM":
        lab.testbed.run(f"kill {session.pid()}")
    elif how == "kill -9":
        lab.testbed.run(f"kill -9 {session.pid()}")
    else:
        session.process.send_signal(signal.SIGKILL)
    until(lambda: lab.testbed.jobs() == [], seconds=20)
    # Without us the jobs would end, too, but later: their workers find no scheduler.
    state = f"sacct -nXP -j {second} -o state"
    until(lambda: lab.testbed.run(state).stdout.startswith("CANCELLED"), seconds=10)


@pytest.mark.parametrize(
    ("settings", "method", "says"),
    [
        (
            {"JOBQUEUE__SLURM__ACCOUNT": "nobody"},
            "PATCH",
            "Slurm rejected the job: .*Invalid account.*Check account",
        ),
        pytest.param(
            {"JOBQUEUE__SLURM__SCHEDULER_OPTIONS__INTERFACE": "ib9"},
            "PUT",
            "ib9.*interface and scheduler-options",
            marks=pytest.mark.full,
        ),
        pytest.param(
            {"JOBQUEUE__SLURM__PROCESSES": "99"},
            "PUT",
            "99 processes cannot share 8 cores",
            marks=pytest.mark.full,
        ),
    ],
    ids=["account", "interface", "processes"],
)
def test_the_panel_shows_what_is_wrong_in_one_line(jupyterlab, settings, method, says):
    session = jupyterlab(**settings)
    if method == "PUT":
        status, text = session.ask("PUT", "/dask/clusters/")
    else:
        status, text = session.ask("PATCH", session.new_cluster()[0], workers=4)
    assert status == 500
    message = json.loads(text)["message"]  # the panel's dialog has this text
    assert "\n" not in message
    assert re.search(says, message)


def test_in_a_script_on_the_login_node_the_link_works_as_it_is(lab):
    printed = lab.python(
        "import urllib.request\n"
        "from dask_hpc import SLURMCluster\n"
        "with SLURMCluster() as cluster:\n"
        "    print(cluster.dashboard_link)\n"
        "    page = urllib.request.urlopen(cluster.dashboard_link).read().decode()\n"
        "    print('Dask Diagnostic UI' in page)"
    )
    link, found = printed.split()
    assert link.startswith("http://localhost:")
    assert found == "True"
