"""The scheduler's dashboard is loaded when somebody looks at it, and not before."""

import asyncio
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import distributed
import pytest

import dask_hpc
from dask_hpc._compat import lazy_dashboard
from dask_hpc._compat.lazy_dashboard import Scheduler

from ..marks import full
from .conftest import until

# Bokeh takes two seconds to import: one process does.
pytestmark = pytest.mark.xdist_group("bokeh")


def address(cluster, page):
    return cluster.dashboard_link.removesuffix("status") + page


def fetch(cluster, page):
    """Status and text of a page, as a browser sees it."""
    with urllib.request.urlopen(address(cluster, page), timeout=60) as answer:
        return answer.status, answer.read().decode()


@pytest.fixture
def cluster(lab):
    with dask_hpc.SLURMCluster() as cluster:
        yield cluster


@pytest.mark.parametrize("page", ["individual-task-stream", *full("status", "workers")])
def test_the_first_look_at_any_page_loads_it(cluster, page):
    assert not cluster.scheduler.has_dashboard
    status, text = fetch(cluster, page)
    assert status == 200
    assert "Bokeh" in text
    assert cluster.scheduler.has_dashboard
    assert fetch(cluster, "status")[0] == 200


def test_who_does_not_know_the_prefix_sees_nothing(cluster):
    host, prefix = cluster.dashboard_link.split("/")[2:4]
    for _ in range(2):
        for path in ("", "/", "/status", "/json/counts.json", "/health", "/eventstream"):
            with pytest.raises(urllib.error.HTTPError, match="404") as error:
                urllib.request.urlopen(f"http://{host}{path}", timeout=60)
            assert prefix not in str(error.value.headers) + error.value.read().decode()
        fetch(cluster, "status")  # and not after the pages are loaded either


class OwnScheduler(distributed.Scheduler):
    """A user's own class, which loads its dashboard at once."""


@pytest.mark.parametrize("scheduler_cls", [distributed.Scheduler, OwnScheduler])
def test_pages_work_behind_a_proxy(lab, scheduler_cls):
    """Their links are relative: JupyterLab serves them below another path."""
    with dask_hpc.SLURMCluster(scheduler_cls=scheduler_cls) as cluster:
        pages_work_behind_a_proxy(cluster)


def pages_work_behind_a_proxy(cluster):
    prefix = cluster.scheduler_spec["options"]["http_prefix"]
    for page in ("status", "individual-task-stream"):
        text = fetch(cluster, page)[1]
        assert prefix not in text
        scripts = re.findall(r'<script[^>]* src="([^"]+)"', text)
        assert scripts
        assert not any(script.startswith("/") for script in scripts)
    assert all(fetch(cluster, script)[0] == 200 for script in scripts)


def test_it_listens_on_the_loopback_below_128_random_bits(cluster):
    link = urllib.parse.urlsplit(cluster.dashboard_link)
    sockets = cluster.scheduler.http_server._sockets.values()
    assert [socket.getsockname()[0] for socket in sockets] == ["127.0.0.1"]
    _, prefix, page = link.path.split("/")
    assert len(prefix) * 6 >= 128
    assert page == "status"
    with dask_hpc.SLURMCluster() as other:
        assert prefix not in other.dashboard_link


def test_several_looks_at_the_same_moment_load_it_once(cluster):
    pages = ["status", "graph", "individual-plots.json", "health", "status"]
    with ThreadPoolExecutor() as executor:
        got = list(executor.map(lambda page: fetch(cluster, page)[0], pages))
    assert got == [200] * len(pages)
    assert len(cluster.scheduler.http_application.applications) == 1


def test_the_list_of_its_parts_is_complete_at_the_first_look(cluster):
    # JupyterLab's Dask panel asks for it once.
    first = fetch(cluster, "individual-plots.json")[1]
    assert "/individual-task-stream" in first
    assert fetch(cluster, "individual-plots.json")[1] == first


def test_a_page_that_there_is_not_is_not_found_as_with_dask(cluster):
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(cluster, "nosuch")


def test_what_is_no_page_of_it_does_not_load_it(cluster):
    assert fetch(cluster, "health") == (200, "ok")
    assert not cluster.scheduler.has_dashboard


def test_nothing_of_bokeh_is_imported_before(tmp_path):
    # In a Python of its own, with no batch system: what counts is what its start imports.
    program = (
        "import sys, dask_hpc\n"
        "with dask_hpc.SLURMCluster(cores=1, processes=1, memory='1 GiB', interface='lo',\n"
        "        log_directory='logs', scheduler_options={'dashboard_address': ':0'}) as cluster:\n"
        "    print(any(name.partition('.')[0] == 'bokeh' for name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"dashboard_address": ":0", "dashboard": True}, Scheduler),
        ({"dashboard_address": ":0", "dashboard": False}, distributed.Scheduler),
        ({"dashboard_address": ":0", "http_prefix": "/x"}, Scheduler),
        ({"dashboard_address": None}, distributed.Scheduler),
        ({"dashboard_address": ":0"}, Scheduler),
    ],
)
def test_without_a_dashboard_the_scheduler_is_dasks_own(lab, options, kind):
    with dask_hpc.SLURMCluster(scheduler_options=options) as cluster:
        assert type(cluster.scheduler) is kind


def test_without_bokeh_the_page_says_what_to_install(cluster, monkeypatch):
    monkeypatch.setattr(lazy_dashboard, "PAGES", "no_such_module")
    assert "Dask needs bokeh" in fetch(cluster, "status")[1]


def test_a_look_while_the_scheduler_closes_loads_nothing(cluster):
    scheduler = cluster.scheduler
    cluster.close()
    until(lambda: scheduler.status == distributed.Status.closed)
    asyncio.run(scheduler.load_dashboard())
    assert not scheduler.has_dashboard
