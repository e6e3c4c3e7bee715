"""The environments of a program and of its workers are compared when the first worker connects."""

import asyncio
import contextlib
import importlib.metadata
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from distributed.protocol import pickle
from distributed.versions import get_versions

import dask_hpc
from dask_hpc.cluster import environment_check

from .conftest import reported, until
from .fakes import World, on_loop

SAME = {"python": "3.12.4.final.0", "dask": "2026.8.0", "numpy": None, "blue-lab": "0.1.0"}


def test_equal_versions_are_not_mentioned():
    assert environment_check.describe(SAME, dict(SAME), "/a", "/b", "node1") == ""


@pytest.mark.parametrize(
    ("change", "pair"),
    [
        ({"python": "3.11.2.final.0"}, "Python 3.12.4 and 3.11.2."),
        ({"dask": "2026.3.0"}, "dask 2026.8.0 and 2026.3.0."),
        ({"numpy": "2.4.1"}, "numpy none and 2.4.1."),
        ({"blue-lab": None, "numpy": "2"}, "numpy none and 2, blue-lab 0.1.0 and none."),
    ],
)
def test_each_difference_is_in_one_line_with_both_environments(change, pair):
    line = environment_check.describe(SAME, SAME | change, "/home/a/env", "/opt/env", "node1")
    assert f"have different packages: {pair} " in line
    assert "runs in /home/a/env, and the worker on node1 in /opt/env." in line
    assert "\n" not in line


class FakeWorker:
    """Answers as a worker does to `run`, for functions of Python's own."""

    def __init__(self, versions, gone=False):
        self.versions, self.gone = versions, gone
        self.address = "tcp://10.0.0.2:1000"

    async def run(self, function, args):
        if self.gone:
            raise OSError("it has gone")
        function, args = pickle.loads(function), pickle.loads(args)
        if function is importlib.metadata.version:
            return {"status": "error", "exception": "PackageNotFoundError"}
        results = {platform.node: "node1", sysconfig.get_config_var: "/opt/env"}
        return {"status": "OK", "result": results[function]}


@pytest.fixture
def check(monkeypatch):
    """Return a function that makes the check of a cluster whose worker will be asked."""
    asked = []

    def check(*workers):
        world = World()
        world.pool.scheduler.connection_args = {}
        one = environment_check.EnvironmentCheck(world.pool, world.messages, world.tasks)

        @contextlib.asynccontextmanager
        async def rpc(address, connection_args):
            asked.append(address)
            yield workers[len(asked) - 1]

        monkeypatch.setattr(environment_check, "rpc", rpc)
        return world, one, asked

    return check


def versions(**changed):
    return {"packages": get_versions()["packages"] | changed}


@on_loop
async def test_only_the_first_worker_is_asked(check):
    worker = FakeWorker(versions(dask="2026.1.3"))
    world, one, asked = check(worker)
    for _ in range(3):
        one.worker_added(None, worker)
    await world.tasks.wait()
    assert len(asked) == 1
    [line] = world.said
    assert f"dask {importlib.metadata.version('dask')} and 2026.1.3" in line
    assert f"runs in {sys.prefix}, and the worker on node1 in /opt/env" in line


@on_loop
async def test_nothing_is_said_of_one_environment(check):
    world, one, _ = check(FakeWorker(versions()))
    one.worker_added(None, FakeWorker(versions()))
    await world.tasks.wait()
    assert world.said == []


@on_loop
async def test_if_the_first_worker_is_gone_the_next_one_is_asked(check):
    gone, there = FakeWorker(versions(dask="1"), gone=True), FakeWorker(versions(dask="2"))
    world, one, _ = check(gone, there)
    one.worker_added(None, gone)
    await world.tasks.wait()
    assert world.said == []
    one.worker_added(None, there)
    await world.tasks.wait()
    assert "and 2." in world.said[0]


@on_loop
async def test_the_labs_package_is_compared_too(check, monkeypatch):
    monkeypatch.setattr(environment_check, "lab_package", lambda: "dask-hpc")
    worker = FakeWorker(versions())
    world, one, _ = check(worker)
    one.worker_added(None, worker)
    await world.tasks.wait()
    assert f"dask-hpc {dask_hpc.__version__} and none." in world.said[0]


def test_the_labs_package_is_that_of_the_active_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(environment_check.files, "installed_project", lambda: tmp_path)
    path = tmp_path / "pyproject.toml"
    assert environment_check.lab_package() is None
    path.write_text('[project]\nname = "blue-lab"\n')
    assert environment_check.lab_package() == "blue-lab"
    path.write_text("[[")
    assert environment_check.lab_package() is None


def test_workers_of_another_environment_are_told_of(lab, tmp_path):
    """In real processes: the worker's Python sees another version of cloudpickle."""
    prefix = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    ask = [prefix / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    Path(site, "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    information = Path(site, "cloudpickle-1.0.dist-info")
    information.mkdir()
    text = "Metadata-Version: 2.1\nName: cloudpickle\nVersion: 1.0\n"
    (information / "METADATA").write_text(text)
    with dask_hpc.SLURMCluster(python=str(prefix / "bin/python")) as cluster:
        cluster.scale(jobs=1)
        until(lambda: any("different packages" in line for line in reported(cluster)))
    [line] = [line for line in reported(cluster) if "different packages" in line]
    assert f"cloudpickle {importlib.metadata.version('cloudpickle')} and 1.0." in line
    assert f"runs in {sys.prefix}, and the worker on {platform.node()} in {prefix}." in line


def test_an_unexpected_answer_is_only_logged(check, caplog):
    class Broken(FakeWorker):
        async def run(self, function, args):
            raise ValueError("not a pickle")

    async def compare():
        worker = Broken(versions(dask="1"))
        world, one, _ = check(worker)
        one.worker_added(None, worker)
        await world.tasks.wait()
        return world.said

    caplog.set_level("INFO", "dask_hpc")
    assert asyncio.run(compare()) == []
    assert "does not report its environment" in caplog.text
