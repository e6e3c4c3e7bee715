"""Encryption by default: the choice, the credentials, and who finds them."""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dask
import pytest
from cryptography import x509
from distributed import Client, Scheduler, Security, Worker

import dask_hpc
from dask_hpc import ConfigError, LocalCluster
from dask_hpc.security import certificates, choice, records

SMALL = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}


@pytest.fixture(autouse=True)
def none_left():
    shutil.rmtree(records._folder(), ignore_errors=True)
    yield
    assert list(records.records()) == []


# --- The choice ---------------------------------------------------------------------------------

OWN = Security(tls_ca_file="/a", tls_client_cert="/b")
UNENCRYPTED = "This cluster is not encrypted"


@pytest.mark.parametrize(
    ("arguments", "configured", "encrypted", "warned"),
    [
        ((), None, True, None),
        ((), True, True, None),
        ((), False, False, "`security: false` in the section dask-hpc"),
        ((True,), False, True, None),
        ((False,), None, False, r"security=False"),
        ((None, "tls://"), None, True, None),
        ((None, "tcp://"), None, False, "its protocol is tcp"),
        ((None, "tcp"), None, False, "its protocol is tcp"),
        ((None, "inproc://"), None, False, None),
        ((True, "inproc"), None, True, None),
    ],
)
def test_a_cluster_is_encrypted_unless_the_user_decides_otherwise(
    arguments, configured, encrypted, warned, caplog
):
    with dask.config.set({"dask-hpc.security": configured}):
        chosen = choice.choose(*arguments)
    assert (chosen is not None) == encrypted
    if encrypted:
        assert chosen.require_encryption
    assert [UNENCRYPTED in it for it in caplog.messages] == [True] * bool(warned)
    if warned:
        assert warned in caplog.text


def test_settings_of_the_users_own_are_used(caplog):
    assert choice.choose(OWN) is OWN
    with dask.config.set({"distributed.comm.tls.scheduler.cert": "/b"}):
        assert choice.choose().tls_scheduler_cert == "/b"
    assert not caplog.messages


def test_each_cluster_has_keys_of_its_own():
    assert choice.choose().tls_worker_key != choice.choose().tls_worker_key


def test_without_cryptography_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(choice, "certificates", None)
    with pytest.raises(ConfigError, match="`python -m pip install cryptography`") as error:
        choice.choose()
    assert "\n" not in str(error.value)


def test_a_value_that_is_no_truth_is_one_line():
    with (
        dask.config.set({"dask-hpc.security": "sometimes"}),
        pytest.raises(ConfigError, match=r"dask-hpc\.security"),
    ):
        choice.choose()


# --- The certificate ----------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-20, 0, 24 * 300])
def test_a_certificate_is_valid_where_the_clock_is_late_or_early(hours):
    here = datetime.now(UTC)
    certificate, _ = certificates.create(here)
    there = here + timedelta(hours=hours)
    read = x509.load_pem_x509_certificate(certificate.encode())
    assert read.not_valid_before_utc <= there <= read.not_valid_after_utc


def handshake(server: Security, client: Security) -> None:
    """Connect two ends in memory."""
    ends = server.get_listen_args("scheduler")["ssl_context"], client.get_connection_args("client")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_end = ends[0].wrap_bio(up, down, server_side=True)
    client_end = ends[1]["ssl_context"].wrap_bio(down, up)
    for _ in range(5):
        for end in (client_end, server_end):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()


def test_whoever_has_the_credentials_connects_and_nobody_else():
    pair = certificates.create()
    one, same, other = (certificates.security(*it) for it in (pair, pair, certificates.create()))
    handshake(one, same)
    with pytest.raises(ssl.SSLError):
        handshake(one, other)


@pytest.mark.parametrize("skew", [-4, 4])  # of the computer that creates it, in seconds
def test_a_cluster_works_with_the_certificate_of_a_clock_that_is_wrong(skew):
    pair = certificates.create(datetime.now(UTC) + timedelta(seconds=skew))
    with LocalCluster(security=certificates.security(*pair), **SMALL) as cluster:
        assert Client(cluster).submit(sum, [1, 2]).result(timeout=60) == 3


# --- Who finds them -----------------------------------------------------------------------------


class Running:
    """A scheduler, and its record; nothing that takes long to start."""

    def __init__(self, name="physics", security=...):
        self.security = choice.choose() if security is ... else security
        self.name = name

    async def __aenter__(self):
        self.scheduler = await Scheduler(
            host="127.0.0.1",
            port=0,
            security=self.security,
            dashboard=False,
            dashboard_address="127.0.0.1:0",
        )
        self.record = records.write(self.name, self.scheduler.address, self.security)
        return self

    async def __aexit__(self, *_):
        self.record.remove()
        await self.scheduler.close()


def test_the_files_are_the_users_alone():
    old = os.umask(0)
    try:
        record = records.write("a", "tls://127.0.0.1:1", choice.choose())
    finally:
        os.umask(old)
    try:
        for path in (record.folder.parent, record.folder, *record.folder.iterdir()):
            assert path.stat().st_mode & 0o077 == 0, path
    finally:
        record.remove()


def test_a_client_of_an_address_finds_the_credentials_in_another_python():
    code = "import sys, distributed as d; print(d.Client(sys.argv[1]).submit(sum, [1, 2]).result())"
    variable = "DASK_DISTRIBUTED__CLIENT__SECURITY_LOADER"
    with LocalCluster(**SMALL) as cluster:
        done = subprocess.run(
            [sys.executable, "-c", code, cluster.scheduler_address],
            env=os.environ | {variable: "dask_hpc.security.records.load"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout == "3\n", done.stderr


def test_a_name_leads_to_its_cluster():
    async def connected():
        async with Running(), dask_hpc.connect("physics", asynchronous=True) as client:
            return client.scheduler.address, client.security.require_encryption

    address, encrypted = asyncio.run(connected())
    assert address.startswith("tls://")
    assert encrypted


def test_a_name_leads_to_a_cluster_that_is_not_encrypted():
    async def connected():
        async with Running(security=None), dask_hpc.connect("physics", asynchronous=True) as client:
            return client.scheduler.address

    assert asyncio.run(connected()).startswith("tcp://")


def test_two_clusters_of_one_name_are_told_with_both_addresses():
    with LocalCluster(name="a", n_workers=0, dashboard_address=None) as one:
        with LocalCluster(name="a", n_workers=0, dashboard_address=None) as other:
            with pytest.raises(ConfigError, match="Several clusters are named a") as error:
                dask_hpc.connect("a")
            assert one.scheduler_address in str(error.value)
            assert other.scheduler_address in str(error.value)


def test_a_name_that_nobody_has_is_told_with_those_that_run():
    record = records.write("physics", "tls://127.0.0.1:1", None)
    try:
        with pytest.raises(ConfigError, match=r"named chemistry\. Running: physics\.$"):
            dask_hpc.connect("chemistry")
    finally:
        record.remove()
    with pytest.raises(ConfigError, match=r"Running: none\.$"):
        dask_hpc.connect("chemistry")


def test_a_cluster_that_has_ended_elsewhere_is_told():
    record = records.write("physics", "tcp://127.0.0.1:1", None)
    try:
        with pytest.raises(ConfigError, match=r"does not answer at tcp://127\.0\.0\.1:1: it has"):
            dask_hpc.connect("physics", timeout="1s")
    finally:
        record.remove()


ADDRESS = "tls://127.0.0.1:4000"


def test_the_credentials_of_an_address_are_those_of_this_host_and_the_latest():
    security = choice.choose()
    made = [records.write(name, ADDRESS, security) for name in ("old", "new", "elsewhere")]
    path = made[2].folder / records.ABOUT
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere"}))
    try:
        assert records.at(ADDRESS).name == "new"
        found = records.load({"address": ADDRESS})
        assert found.tls_client_key == security.tls_client_key
    finally:
        for record in made:
            record.remove()


def test_an_address_without_credentials_is_one_line():
    with pytest.raises(ConfigError, match=r"no credentials for tls://127\.0\.0\.1:4000: this"):
        records.load({"address": ADDRESS})


def test_an_encrypted_cluster_at_an_unencrypted_address_is_one_line():
    record = records.write("a", ADDRESS, choice.choose())
    try:
        for address in ("tcp://127.0.0.1:4000", "127.0.0.1:4000", "localhost:4000"):
            with pytest.raises(ConfigError, match=r"connect to tls://127\.0\.0\.1:4000\.$"):
                records.load({"address": address})
    finally:
        record.remove()
    assert records.load({"address": "tcp://127.0.0.1:4000"}) is None
    assert records.load({"address": "inproc://127.0.0.1/1/2"}) is None


def test_keys_of_the_users_own_stay_where_they_are(tmp_path):
    certificate, key = certificates.create()
    for name, text in (("cert", certificate), ("key", key)):
        (tmp_path / name).write_text(text)
    own = certificates.security(str(tmp_path / "cert"), str(tmp_path / "key"))
    record = records.write("a", ADDRESS, own)
    try:
        assert (record.folder / "key").is_symlink()
        assert record.security.tls_client_key == key
    finally:
        record.remove()
    assert (tmp_path / "key").exists()
    with dask.config.set({"distributed.comm.tls.client.cert": str(tmp_path / "cert")}):
        assert records.load({"address": ADDRESS}) is None  # Dask's own configuration has keys


def test_a_dead_python_leaves_nothing_for_long():
    gone = subprocess.Popen(["true"])
    gone.wait()
    record = records.write("old", ADDRESS, None)
    path = record.folder / records.ABOUT
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": gone.pid}))
    records.write("new", ADDRESS, None).remove()
    assert not record.folder.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_damaged_record_is_skipped(text):
    record = records.write("a", ADDRESS, None)
    (record.folder / records.ABOUT).write_text(text)
    assert list(records.records()) == []
    record.remove()


def test_a_home_that_cannot_be_written_is_told_and_the_cluster_works(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with LocalCluster(**{**SMALL, "n_workers": 0}) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
    assert "Cannot record this cluster in your home directory" in caplog.text


def test_threads_alone_need_no_encryption(caplog):
    with LocalCluster(processes=False, dashboard_address=None) as cluster:
        assert cluster.scheduler_address.startswith("inproc://")
        with Client(cluster) as client:
            assert client.submit(sum, [1, 2]).result() == 3
        assert list(records.records()) == []
    assert UNENCRYPTED not in caplog.text


def test_a_worker_without_credentials_is_refused():
    async def refused():
        async with Running() as running:
            worker = Worker(running.scheduler.address, security=choice.choose(), death_timeout=3)
            with pytest.raises(TimeoutError):
                await worker
            return len(running.scheduler.workers)

    assert asyncio.run(refused()) == 0
