"""Which link suits a process; that links lead there is in tests/template/test_dashboard.py."""

import asyncio
import copy
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dask
import distributed  # noqa: F401 - its defaults are Dask's
import pytest
from distributed.utils import format_dashboard_link

from dask_hpc.jupyter import dashboard_link
from dask_hpc.jupyter.dashboard_link import (
    LINK_KEY,
    LOCAL_LINK,
    NODE_LINK,
    OWN_PROXY_PATH,
    PROXY_PATH,
)
from dask_hpc.security import records

HUB = "JUPYTERHUB_SERVICE_PREFIX"
OTHER, DASKS_OWN = "http://here.example:{port}/", "{scheme}://{host}:{port}/status"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Return where Jupyter servers write about themselves; none has, and no link is set."""
    for name in (HUB, *dashboard_link.JOB_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    before = copy.deepcopy(dask.config.config)
    dashboard_link.find_link.cache_clear()
    yield tmp_path
    dask.config.config.clear()
    dask.config.config.update(before)
    dashboard_link.find_link.cache_clear()


def shown():
    """Return the link that Dask shows once a cluster has been started."""
    asyncio.run(dashboard_link.dask_setup(None))
    return dask.config.get(LINK_KEY)


@pytest.fixture
def server(folder):
    """Return a function: start a server that answers with a status, as if it had started us."""
    started = []

    def server(status, own=404):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                pages = {"/x/server-proxy/servers-info": status, "/x/proxy/dask/0/x": own}
                self.send_response(pages.get(self.path, 500))
                self.end_headers()

            def log_message(self, *_):
                pass

        started.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=started[-1].serve_forever).start()
        url = f"http://127.0.0.1:{started[-1].server_port}/x/"
        note(folder, url)
        return url

    yield server
    for each in started:
        each.shutdown()
        each.server_close()


def note(folder, url):
    """Write what a server with this process's number writes."""
    about = {"pid": os.getpid(), "url": url, "base_url": "/x/"}
    (folder / f"jpserver-{os.getpid()}.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("variables", "link"),
    [
        ({}, LOCAL_LINK),
        # The hub's server is not seen from here.
        ({HUB: "/user/alice/"}, "/user/alice/" + PROXY_PATH),
        ({"SLURMD_NODENAME": "node1"}, NODE_LINK),
        ({"SLURMD_NODENAME": "node1", HUB: "/user/alice/"}, NODE_LINK),
    ],
)
def test_variables_tell(monkeypatch, variables, link):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert shown() == link


@pytest.mark.parametrize(
    ("status", "link"),
    [(200, "/x/" + PROXY_PATH), (403, "/x/" + PROXY_PATH), (404, LOCAL_LINK)],
)
def test_server_is_asked_for_its_proxy(server, status, link):
    server(status)
    assert shown() == link


@pytest.mark.parametrize("status", [302, 410])  # a login page; or the server knows the user
def test_server_with_the_toolkits_own_proxy_is_asked_to_use_it(server, status):
    server(200, own=status)
    assert shown() == "/x/" + OWN_PROXY_PATH


@pytest.mark.parametrize(
    ("template", "recorded", "link"),
    [
        ("/x/" + OWN_PROXY_PATH, True, "/x/proxy/dask/4001/secret/status"),
        ("/x/" + OWN_PROXY_PATH, False, "/x/proxy/4001/status"),
        ("/x/" + PROXY_PATH, True, "/x/proxy/4001/secret/status"),
        (LOCAL_LINK, True, "http://localhost:4001/secret/status"),
        ("https://here.example/{port}", True, "https://here.example/4001/secret"),
        (LOCAL_LINK, False, "http://localhost:4001/status"),
    ],
)
def test_a_client_of_another_python_knows_the_clusters_prefix(template, recorded, link):
    dask.config.set({LINK_KEY: template})
    shown()
    record = records.write("a", "tcp://127.0.0.1:4000", None, 4001 if recorded else 1, "/secret")
    try:
        assert format_dashboard_link("127.0.0.1", 4001) == link
    finally:
        record.remove()


def test_what_a_server_left_behind_leads_nobody_astray(folder):
    note(folder, "http://127.0.0.1:1/")
    assert shown() == LOCAL_LINK


@pytest.mark.parametrize(
    ("how", "chosen"),
    [
        ("a variable", OTHER),
        ("a variable", DASKS_OWN),
        ("a file", OTHER),
        ("a file", DASKS_OWN),
        ("dask.config.set", OTHER),  # set there, Dask's own looks as if nobody had set it
    ],
)
def test_link_that_somebody_has_set_stays(monkeypatch, how, chosen):
    own = Path(dask.config.paths[-1], "own.yaml")
    if how == "a variable":
        monkeypatch.setenv("DASK_DISTRIBUTED__DASHBOARD__LINK", chosen)
    elif how == "a file":
        own.parent.mkdir(exist_ok=True)
        own.write_text(json.dumps({"distributed": {"dashboard": {"link": chosen}}}))
    try:
        dask.config.refresh()
        if how == "dask.config.set":
            dask.config.set({LINK_KEY: chosen})
        assert shown() == chosen
    finally:
        own.unlink(missing_ok=True)
