"""A cluster that can't start says why in one line, and nothing of it is left."""

import asyncio
import errno
import socket
import threading

import distributed
import pytest
from distributed import Security

import dask_hpc
from dask_hpc.cluster import start_errors
from dask_hpc.cluster.local import LocalCluster
from dask_hpc.errors import StartError

from .conftest import NO_DASHBOARD

ANY = {"dashboard_address": ":0"}
KEYS = Security(
    tls_ca_file="/not/there/ca.pem",
    tls_scheduler_cert="/not/there/cert.pem",
    tls_scheduler_key="/not/there/key.pem",
    require_encryption=True,
)
CASES = {
    "an interface that is not here": (
        {"interface": "ib7"},
        r"this computer has no network interface ib7 \(it has: ",
    ),
    "of the scheduler alone": (
        {"scheduler_options": {**ANY, "interface": "ib7"}},
        r"no network interface ib7 .*remove it \(interface and scheduler-options in jobqueue\.yaml",
    ),
    "a host that is not this one": (
        {"scheduler_options": {**ANY, "host": "192.0.2.7"}},
        r"192\.0\.2\.7 is not an address of this computer\. Remove `host`",
    ),
    "a name that nobody knows": (
        {"scheduler_options": {**ANY, "host": "nobody.invalid"}},
        r"unknown host nobody\.invalid",
    ),
    "two that exclude each other": (
        {"scheduler_options": {**ANY, "host": "127.0.0.1", "interface": "lo"}},
        r"both interface and host \(lo, 127\.0\.0\.1\)\. See `host` and `interface`",
    ),
    # The system would take it for 22324.
    "no port": (
        {"scheduler_options": {**ANY, "port": 87860}},
        "87860 is not a valid port. Set `port`",
    ),
    "nor this": (
        {"scheduler_options": {**ANY, "port": "x"}},
        "'x' is not a valid port. Set `port`",
    ),
    "no address": (
        {"scheduler_options": {"dashboard_address": "nonsense::::"}},
        "'nonsense::::' is not a valid dashboard address. Set `dashboard_address`",
    ),
    "keys that are not there": (
        {"security": KEYS, "protocol": "tls://"},
        r"cannot read the file /not/there/ca\.pem from the security",
    ),
    "no keys": (
        {"protocol": "tls://", "security": False},
        "needs keys. Pass security=True, or no protocol",
    ),
    "no protocol": ({"protocol": "foo://"}, "unknown address scheme 'foo'"),
    "no time": (
        {"scheduler_options": {**ANY, "worker_ttl": "soon"}},
        "here: Invalid time unit: soon",
    ),
}


@pytest.fixture
def busy():
    """Yield a port that is in use."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def nothing_left():
    """No thread of an event loop, and no cluster to be closed when Python ends."""
    before, clusters = set(threading.enumerate()), set(distributed.SpecCluster._instances)
    yield
    assert not {thread.name for thread in set(threading.enumerate()) - before}
    made = set(distributed.SpecCluster._instances) - clusters
    open_ = [cluster for cluster in made if cluster.status.name != "closed"]
    assert not open_


def fails(make, match):
    with pytest.raises(StartError, match=match) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, RuntimeError)  # as distributed's own
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_why_a_scheduler_does_not_start_is_one_line(lab, case, capfd):
    arguments, match = CASES[case]
    fails(lambda: dask_hpc.SLURMCluster(**arguments), match)
    said = capfd.readouterr()
    assert said.err + said.out == ""


def test_a_port_in_use_is_named_and_another_one_works(lab, busy, capfd):
    def make(**port):
        return dask_hpc.SLURMCluster(scheduler_options={**ANY, **port})

    line = fails(lambda: make(port=busy), f"port {busy} is already in use")
    assert line.endswith(
        "Set `port` to another number, or remove it to use any free port "
        "(interface and scheduler-options in jobqueue.yaml, section jobqueue.slurm)."
    )
    assert capfd.readouterr().err == ""
    make().close()


def test_the_same_on_an_event_loop(lab, busy):
    async def start():
        options = {**ANY, "port": busy}
        async with dask_hpc.SLURMCluster(asynchronous=True, scheduler_options=options):
            pass

    fails(lambda: asyncio.run(start()), f"port {busy} is already in use")


def test_a_port_of_the_systems():
    refused = RuntimeError("Scheduler failed to start.")
    refused.__cause__ = PermissionError(errno.EACCES, "Permission denied")
    what, remedy = start_errors.explain(refused, {"port": 80})
    assert what == "port 80 is reserved for the system"
    assert "1024" in remedy


def test_what_is_not_known_is_shown_and_no_remedy_is_named():
    error = RuntimeError("Cluster failed to start: Scheduler failed to start.")
    error.__cause__ = RuntimeError("Scheduler failed to start.")
    error.__cause__.__cause__ = KeyError("zulu")
    assert start_errors.explain(error, {"port": 1}) == ("KeyError: zulu", "")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"host": "192.0.2.7"}, "192.0.2.7 is not an address of this computer"),
        ({"scheduler_port": 87860}, "Set `scheduler_port`"),
        ({"memory_limit": "lots"}, "Cannot start Dask workers here: Could not interpret 'lots'"),
        (
            {"local_directory": "/proc/none"},
            "Cannot start Dask workers here: /proc/none: No such file",
        ),
    ],
)
def test_the_same_on_a_computer_without_a_batch_system(arguments, match, capfd):
    arguments = {"n_workers": 1, **NO_DASHBOARD, **arguments}
    fails(lambda: LocalCluster(**arguments), match)
    assert capfd.readouterr().err == ""


def test_a_port_in_use_there(busy, capfd):
    fails(
        lambda: LocalCluster(n_workers=0, scheduler_port=busy, **NO_DASHBOARD),
        f"port {busy} is already in use. Set `scheduler_port`",
    )
    assert capfd.readouterr().err == ""


def test_a_misspelt_argument_there():
    with pytest.raises(dask_hpc.ConfigError, match="did you mean scheduler_port"):
        LocalCluster(sheduler_port=1)
    LocalCluster(n_workers=0, death_timeout=60, **NO_DASHBOARD).close()


def test_a_wrong_number_of_workers_leaves_no_cluster(lab):
    with pytest.raises((ValueError, TypeError)):
        dask_hpc.SLURMCluster(n_workers=-1)


def test_interfaces_of_containers_are_named_last(monkeypatch):
    there = ["veth0a1", "lo", "docker0", "eth1", "ib0"]
    monkeypatch.setattr("psutil.net_if_addrs", lambda: dict.fromkeys(there))
    error = ValueError(f"'ib7' is not a valid network interface. Valid ones are: {there}")
    what, remedy = start_errors.explain(error, {})
    assert (
        what == "this computer has no network interface ib7 (it has: eth1, ib0, docker0, veth0a1)"
    )
    assert remedy.startswith("Set `interface` to one that `ip address` lists")
