"""The dashboard's link leads to the dashboard, wherever Python runs: real servers, real pages.

How the link is chosen is in tests/toolkit/test_dashboard_link.py.
"""

import json
import socket
import subprocess
import time

import pytest

from .conftest import environment
from .jupyter import TOKEN, JupyterLab, fetch

pytestmark = pytest.mark.xdist_group("installed projects")

# The link comes with the port, and the path that nobody can guess.
CLUSTER = """
from dask_hpc import LocalCluster
cluster = LocalCluster(n_workers=0, dashboard_address=":0")
port, prefix = cluster.scheduler.http_server.port, cluster.scheduler_spec["options"]["http_prefix"]
print(cluster.dashboard_link, f"{port}{prefix}", flush=True)
"""
DASKS_OWN = """
from dask.distributed import LocalCluster
cluster = LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0")
print(cluster.dashboard_link, cluster.scheduler.http_server.port, flush=True)
"""


def is_dashboard(page):
    """Whether (status, text) is Dask's page."""
    status, text = page
    return status == 200 and "Dask Diagnostic UI" in text


@pytest.fixture
def script(local_project):
    """Return a function that starts code as a script in a terminal.

    It returns what the code printed first, and the script goes on until the test is over. Nothing
    may be printed about how the link was found.
    """
    running = []

    def script(code, **variables):
        process = subprocess.Popen(
            [local_project.python, "-c", f"{code}\ninput()"],
            cwd=local_project.home,
            env=environment(local_project.home, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process.stdout.readline().split()

    yield script
    for process in running:
        assert process.communicate("\n", timeout=60)[1] == ""


@pytest.fixture(scope="module", params=[pytest.param("/", marks=pytest.mark.full), "/x/"])
def jupyterlab(request, local_project):
    with JupyterLab(local_project, base_url=request.param) as jupyterlab:
        yield jupyterlab


def test_in_a_notebook_it_is_a_path_of_the_notebooks_server(jupyterlab):
    link, port = jupyterlab.run(CLUSTER).split()
    assert link == f"{jupyterlab.base_url}proxy/dask/{port}/status"
    assert is_dashboard(jupyterlab.get(link))
    link, port = jupyterlab.run(DASKS_OWN).split()
    assert link == f"{jupyterlab.base_url}proxy/{port}/status"
    assert is_dashboard(jupyterlab.get(link))


CLOSE_WHEN_TOLD = """
import pathlib, threading, time
def close(go=pathlib.Path({go!r})):
    while not go.exists():
        time.sleep(0.05)
    cluster.close()
threading.Thread(target=close).start()
"""


def test_the_link_dies_with_its_cluster(jupyterlab, tmp_path):
    go = tmp_path / "go"
    link, place = jupyterlab.run(CLUSTER + CLOSE_WHEN_TOLD.format(go=str(go))).split()
    assert is_dashboard(jupyterlab.get(link))
    assert jupyterlab.get(link.replace("/status", "x/status"))[0] == 410  # another prefix
    assert not is_dashboard(fetch(jupyterlab.root + link))  # without a token: a login page
    go.touch()
    end = time.monotonic() + 30
    while jupyterlab.get(link)[0] != 410:
        assert time.monotonic() < end
        time.sleep(0.1)
    with socket.create_server(("127.0.0.1", int(place.partition("/")[0]))) as another_users:
        another_users.settimeout(1)
        assert jupyterlab.get(link)[0] == 410
        with pytest.raises(TimeoutError):
            another_users.accept()


def test_a_dashboard_gets_neither_cookies_nor_tokens(jupyterlab):
    code = """
import http.server, threading
from dask_hpc.security import records
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers).encode() + self.path.encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
records.write("a", "tcp://127.0.0.1:1", None, server.server_port, "/secret")
print(server.server_port)
"""
    port = jupyterlab.run(code).strip()
    status, said = jupyterlab.get(f"{jupyterlab.base_url}proxy/dask/{port}/secret/status?a=b")
    assert status == 200
    assert said.endswith("/secret/status?a=b")
    assert TOKEN not in said
    assert "Cookie" not in said
    assert "Authorization" not in said


def test_the_panel_starts_and_ends_a_local_cluster_where_there_is_no_batch_system(jupyterlab):
    clusters = f"{jupyterlab.base_url}dask/clusters/"
    status, text = jupyterlab.ask("PUT", clusters)
    assert status == 200, text
    model = json.loads(text)
    assert model["name"] == "LocalCluster 1"
    assert model["workers"] > 0
    assert model["dashboard_link"].startswith(f"{jupyterlab.base_url}proxy/dask/")
    assert is_dashboard(jupyterlab.get(model["dashboard_link"]))
    assert jupyterlab.ask("DELETE", clusters + model["id"])[0] == 204
    assert json.loads(jupyterlab.get(clusters)[1]) == []


@pytest.mark.full
def test_a_notebook_that_joins_somebodys_cluster_reaches_it_the_same_way(jupyterlab, script):
    address, port = script(CLUSTER.replace("dashboard_link", "scheduler_address"))
    link = jupyterlab.run(
        f"from dask.distributed import Client\nprint(Client({address!r}).dashboard_link)"
    ).strip()
    assert link == f"{jupyterlab.base_url}proxy/dask/{port}/status"
    assert is_dashboard(jupyterlab.get(link))


@pytest.mark.full
def test_in_jupyterlabs_terminal_it_is_a_whole_address(jupyterlab):
    # A child of the server that is no kernel; started by a kernel, since that is easier to do.
    code = (
        "import subprocess, sys\n"
        "process = subprocess.Popen([sys.executable, '-c', {!r}], text=True,\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "print(process.stdout.readline())"
    ).format(CLUSTER + "input()")
    link, port = jupyterlab.run(code).split()
    assert link == f"{jupyterlab.root}{jupyterlab.base_url}proxy/dask/{port}/status"
    assert is_dashboard(jupyterlab.get(link.removeprefix(jupyterlab.root)))


@pytest.mark.full
def test_where_the_server_can_not_pass_it_on_the_link_is_direct(local_project):
    option = "--ServerApp.jpserver_extensions={'jupyter_server_proxy': False}"
    with JupyterLab(local_project, option) as jupyterlab:
        # A server that does not answer in time is taken for one that can.
        patient = "from dask_hpc.jupyter import dashboard_link; dashboard_link.TIMEOUT_S = 60"
        link, port = jupyterlab.run(patient + CLUSTER).split()
        assert link == f"http://localhost:{port}/status"
        assert is_dashboard(fetch(link))
        assert jupyterlab.get(f"/proxy/{port}/status")[0] == 404


@pytest.mark.full
def test_in_a_script_it_works_as_it_is(script):
    link, port = script(CLUSTER)
    assert link == f"http://localhost:{port}/status"
    assert is_dashboard(fetch(link))


@pytest.mark.full
def test_a_link_that_somebody_has_set_stays(script, local_project):
    own = local_project.home / ".config/dask/own.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    chosen = "http://here.example:{port}/"
    own.write_text(json.dumps({"distributed": {"dashboard": {"link": chosen}}}))
    try:
        link, port = script(CLUSTER)
    finally:
        own.unlink()
    assert link == chosen.format(port=port.partition("/")[0]) + port.partition("/")[2]
